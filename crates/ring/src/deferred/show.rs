//! One value as text, byte for byte as `format!` writes it.
//!
//! Widths are filled by `pad.rs`, because a fill that is known only at run time cannot be said to `write!`; everything
//! else is left to the standard library.

use std::fmt::{Binary, Debug, Display, LowerExp, LowerHex, Octal, UpperExp, UpperHex};
use std::io::Write;

use super::pad::{pad, pad_number};
use super::template::{Align, Shape, Spec};
use super::value::Value;

/// A value as `{}` shows it. Inlined where the value was just read, so that its kind is told once.
#[inline(always)]
pub(super) fn show_plain(value: Value<'_>, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::U8(value) => digits(value, out),
        Value::U16(value) => digits(value, out),
        Value::U32(value) => digits(value, out),
        Value::U64(value) => digits(value, out),
        Value::I32(value) => digits(value, out),
        Value::I64(value) => digits(value, out),
        Value::Str(bytes) | Value::Text(bytes) => out.extend_from_slice(bytes),
        _ => return show(value, &Spec::PLAIN, out),
    }
    Some(())
}

#[inline]
fn digits(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A value as a placeholder shows it; `None` where the two do not go together, which no template that compiled has.
pub(super) fn show(value: Value<'_>, spec: &Spec, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::U8(value) => show_integer(value, spec, out),
        Value::U16(value) => show_integer(value, spec, out),
        Value::U32(value) => show_integer(value, spec, out),
        Value::U64(value) => show_integer(value, spec, out),
        Value::U128(value) => show_integer(value, spec, out),
        Value::I8(value) => show_integer(value, spec, out),
        Value::I16(value) => show_integer(value, spec, out),
        Value::I32(value) => show_integer(value, spec, out),
        Value::I64(value) => show_integer(value, spec, out),
        Value::I128(value) => show_integer(value, spec, out),
        Value::F32(value) => show_float(value, spec, out),
        Value::F64(value) => show_float(value, spec, out),
        Value::Bool(value) => show_str(if value { "true" } else { "false" }, spec, out),
        Value::Char(value) if spec.shape == Shape::Debug => write!(out, "{value:?}").ok(),
        Value::Char(value) => show_str(value.encode_utf8(&mut [0; 4]), spec, out),
        Value::Str(bytes) if spec.shape == Shape::Debug => write!(out, "{:?}", str::from_utf8(bytes).ok()?).ok(),
        Value::Str(bytes) => show_str(str::from_utf8(bytes).ok()?, spec, out),
        Value::Text(bytes) => {
            out.extend_from_slice(bytes);
            Some(())
        }
        Value::Message(_) => None,
    }
}

/// Strings, and `bool` in either trait: cut to the precision, filled to the width.
fn show_str(text: &str, spec: &Spec, out: &mut Vec<u8>) -> Option<()> {
    matches!(spec.shape, Shape::Display | Shape::Debug).then_some(())?;
    let text = match spec.precision {
        Some(chars) => text.char_indices().nth(usize::from(chars)).map_or(text, |(at, _)| &text[..at]),
        None => text,
    };
    let from = out.len();
    out.extend_from_slice(text.as_bytes());
    if spec.width > 0 {
        pad(out, from, text.chars().count(), spec, Align::Left);
    }
    Some(())
}

/// Writes with and without `+`.
macro_rules! signed {
    ($out:ident, $spec:ident, $rest:literal, $($arg:expr),+) => {
        if $spec.plus {
            write!($out, concat!("{:+", $rest, "}"), $($arg),+)
        } else {
            write!($out, concat!("{:", $rest, "}"), $($arg),+)
        }
    };
}

fn show_integer<T>(value: T, spec: &Spec, out: &mut Vec<u8>) -> Option<()>
where
    T: Display + LowerHex + UpperHex + Octal + Binary + LowerExp + UpperExp,
{
    let from = out.len();
    let written = match spec.shape {
        Shape::Display | Shape::Debug => signed!(out, spec, "", value),
        Shape::LowerHex if spec.alternate => signed!(out, spec, "#x", value),
        Shape::LowerHex => signed!(out, spec, "x", value),
        Shape::UpperHex if spec.alternate => signed!(out, spec, "#X", value),
        Shape::UpperHex => signed!(out, spec, "X", value),
        Shape::Octal if spec.alternate => signed!(out, spec, "#o", value),
        Shape::Octal => signed!(out, spec, "o", value),
        Shape::Binary if spec.alternate => signed!(out, spec, "#b", value),
        Shape::Binary => signed!(out, spec, "b", value),
        Shape::LowerExp | Shape::UpperExp => show_exponent(value, spec, out),
    };
    written.ok()?;
    pad_number(out, from, spec);
    Some(())
}

fn show_float<T: Display + Debug + LowerExp + UpperExp>(value: T, spec: &Spec, out: &mut Vec<u8>) -> Option<()> {
    let from = out.len();
    let written = match (spec.shape, spec.precision.map(usize::from)) {
        (Shape::Display, None) => signed!(out, spec, "", value),
        (Shape::Display, Some(precision)) => signed!(out, spec, ".1$", value, precision),
        (Shape::Debug, None) => signed!(out, spec, "?", value),
        (Shape::Debug, Some(precision)) => signed!(out, spec, ".1$?", value, precision),
        (Shape::LowerExp | Shape::UpperExp, _) => show_exponent(value, spec, out),
        _ => return None,
    };
    written.ok()?;
    pad_number(out, from, spec);
    Some(())
}

fn show_exponent<T: LowerExp + UpperExp>(value: T, spec: &Spec, out: &mut Vec<u8>) -> std::io::Result<()> {
    match (spec.shape, spec.precision.map(usize::from)) {
        (Shape::UpperExp, None) => signed!(out, spec, "E", value),
        (Shape::UpperExp, Some(precision)) => signed!(out, spec, ".1$E", value, precision),
        (_, None) => signed!(out, spec, "e", value),
        (_, Some(precision)) => signed!(out, spec, ".1$e", value, precision),
    }
}
