//! One argument or field as bytes: a tag, then the value; `docs/formats.md` has the table. `usize` and `isize` are the integers
//! of their width.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use crate::frame::Slot;

const BOOL: u8 = 13;
const CHAR: u8 = 14;
const STR: u8 = 15;
const TEXT: u8 = 16;
pub(super) const MESSAGE: u8 = 17;

/// What stands in a text where a `Display` or `Debug` of the program's own reported an error, which `format!` panics
/// at.
pub(super) const FORMAT_FAILED: &str = "[formatting failed]";

/// A type whose values are stored as they are and formatted later.
pub trait Stored {
    /// Appends the value.
    fn put(&self, slot: &mut Slot<'_>);
}

/// A value that was read back; strings may hold anything, since a damaged file may.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    F32(f32),
    F64(f64),
    Bool(bool),
    Char(char),
    Str(&'a [u8]),
    Text(&'a [u8]),
    Message(&'a [u8]),
}

macro_rules! numbers {
    ($($tag:literal $type:ident $variant:ident;)*) => {
        $(impl Stored for $type {
            #[inline]
            fn put(&self, slot: &mut Slot<'_>) {
                slot.put_behind([$tag], &self.to_le_bytes());
            }
        })*

        impl<'a> Value<'a> {
            /// Takes the first value off these bytes and hands it on. Each kind does so by itself, so that code which
            /// is inlined here is made for one kind at a time, and no value goes through memory.
            #[inline(always)]
            pub(super) fn take_to<R>(bytes: &mut &'a [u8], then: impl FnOnce(Value<'a>) -> Option<R>) -> Option<R> {
                let (&tag, rest) = bytes.split_first()?;
                *bytes = rest;
                match tag {
                    $($tag => then(Value::$variant($type::from_le_bytes(take_array(bytes)?))),)*
                    BOOL => then(Value::Bool(take_array::<1>(bytes)?[0] != 0)),
                    CHAR => then(Value::Char(char::from_u32(u32::from_le_bytes(take_array(bytes)?))?)),
                    STR => then(Value::Str(take_string(bytes)?)),
                    TEXT => then(Value::Text(take_string(bytes)?)),
                    MESSAGE => then(Value::Message(take_string(bytes)?)),
                    _ => None,
                }
            }
        }
    };
}

numbers! {
    1 u8 U8; 2 u16 U16; 3 u32 U32; 4 u64 U64; 5 u128 U128;
    6 i8 I8; 7 i16 I16; 8 i32 I32; 9 i64 I64; 10 i128 I128;
    11 f32 F32; 12 f64 F64;
}

impl<'a> Value<'a> {
    /// Takes the first value off these bytes.
    pub(super) fn take(bytes: &mut &'a [u8]) -> Option<Value<'a>> {
        Value::take_to(bytes, Some)
    }
}

#[inline]
fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*array)
}

#[inline]
fn take_string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u32::from_le_bytes(take_array(bytes)?) as usize;
    let (string, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(string)
}

#[cfg(target_pointer_width = "64")]
type Words = (u64, i64);
#[cfg(target_pointer_width = "32")]
type Words = (u32, i32);

impl Stored for usize {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        let word: Words = (*self as _, 0);
        word.0.put(slot);
    }
}

impl Stored for isize {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        let word: Words = (0, *self as _);
        word.1.put(slot);
    }
}

impl Stored for bool {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        slot.put(&[BOOL, u8::from(*self)]);
    }
}

impl Stored for char {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        let [a, b, c, d] = u32::from(*self).to_le_bytes();
        slot.put(&[CHAR, a, b, c, d]);
    }
}

impl Stored for str {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        slot.put_behind(string_head(STR, self.len()), self.as_bytes());
    }
}

impl Stored for String {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        self.as_str().put(slot);
    }
}

macro_rules! behind {
    ($($pointer:ty),*) => {
        $(impl<T: Stored + ?Sized> Stored for $pointer {
            #[inline]
            fn put(&self, slot: &mut Slot<'_>) {
                (**self).put(slot);
            }
        })*
    };
}

behind!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

impl<T: Stored + ToOwned<Owned: Stored> + ?Sized> Stored for Cow<'_, T> {
    #[inline]
    fn put(&self, slot: &mut Slot<'_>) {
        (**self).put(slot);
    }
}

/// A length over `u32` cannot lie: its string fits no slot, and the slot says so.
#[inline]
fn string_head(tag: u8, len: usize) -> [u8; 5] {
    let [a, b, c, d] = (len as u32).to_le_bytes();
    [tag, a, b, c, d]
}

/// Appends the whole message, formatted now.
#[inline(never)]
pub fn put_message(slot: &mut Slot<'_>, message: fmt::Arguments<'_>) {
    put_formatted(slot, MESSAGE, message);
}

/// Appends text that is shown as it is, formatted now.
#[inline(never)]
pub(super) fn put_text(slot: &mut Slot<'_>, text: fmt::Arguments<'_>) {
    put_formatted(slot, TEXT, text);
}

fn put_formatted(slot: &mut Slot<'_>, tag: u8, text: fmt::Arguments<'_>) {
    slot.put(&string_head(tag, 0));
    let from = slot.payload_bytes();
    if slot.write_fmt(text).is_err() {
        slot.put(FORMAT_FAILED.as_bytes());
    }
    let len = slot.payload_bytes() - from;
    if !slot.overflowed() {
        slot.payload_mut()[from - 4..from].copy_from_slice(&(len as u32).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(put: impl Fn(&mut Slot<'_>)) -> Vec<u8> {
        let mut place = [0xFF; 256];
        let mut slot = Slot::new(&mut place);
        put(&mut slot);
        assert!(!slot.overflowed());
        slot.payload_mut().to_vec()
    }

    #[test]
    fn values_come_back_one_after_the_other() {
        let bytes = bytes_of(|slot| {
            (-2i8).put(slot);
            u128::MAX.put(slot);
            usize::MAX.put(slot);
            1.5f64.put(slot);
            'é'.put(slot);
            true.put(slot);
            Cow::Borrowed("text").put(slot);
            put_text(slot, format_args!("{}-{}", 1, 2));
        });
        let mut rest = &bytes[..];
        let values: Vec<_> = std::iter::from_fn(|| Value::take(&mut rest)).collect();
        let (i8, u128, usize) = (Value::I8(-2), Value::U128(u128::MAX), Value::U64(u64::MAX));
        let others = [Value::F64(1.5), Value::Char('é'), Value::Bool(true), Value::Str(b"text"), Value::Text(b"1-2")];
        assert_eq!(values, [&[i8, u128, usize][..], &others].concat());
        assert!(rest.is_empty());
    }

    #[test]
    fn a_value_cut_short_is_none() {
        let bytes = bytes_of(|slot| "text".put(slot));
        (0..bytes.len()).for_each(|len| assert_eq!(Value::take(&mut &bytes[..len]), None));
    }

    #[test]
    fn a_display_that_fails_says_so_in_the_text() {
        struct Fails;
        impl fmt::Display for Fails {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let bytes = bytes_of(|slot| put_text(slot, format_args!("a{Fails}b")));
        assert_eq!(Value::take(&mut &bytes[..]), Some(Value::Text(b"a[formatting failed]")));
    }
}
