//! Widths: what `format!` puts around a text to fill its room.

use super::template::{Align, Spec};

/// Fills the room around what stands behind `from`, which has `chars` characters.
pub(super) fn pad(out: &mut Vec<u8>, from: usize, chars: usize, spec: &Spec, otherwise: Align) {
    let missing = usize::from(spec.width).saturating_sub(chars);
    let before = match spec.align.unwrap_or(otherwise) {
        Align::Left => 0,
        Align::Center => missing / 2,
        Align::Right => missing,
    };
    fill(out, spec.fill, before);
    let bytes = before * spec.fill.len_utf8();
    out[from..].rotate_right(bytes);
    fill(out, spec.fill, missing - before);
}

/// Fills the room of a number, which is ASCII and stands behind `from`: with zeros between its sign and its digits, if
/// the template says so.
pub(super) fn pad_number(out: &mut Vec<u8>, from: usize, spec: &Spec) {
    let chars = out.len() - from;
    if !spec.zero {
        return pad(out, from, chars, spec, Align::Right);
    }
    let missing = usize::from(spec.width).saturating_sub(chars);
    let digits = from + head_bytes(&out[from..], spec);
    fill(out, '0', missing);
    out[digits..].rotate_right(missing);
}

/// The sign, and the `0x` of `#`.
fn head_bytes(number: &[u8], spec: &Spec) -> usize {
    let sign = usize::from(matches!(number.first(), Some(b'+' | b'-')));
    let prefixed = spec.alternate && number[sign..].len() > 1 && matches!(number[sign + 1], b'x' | b'o' | b'b');
    sign + if prefixed { 2 } else { 0 }
}

fn fill(out: &mut Vec<u8>, fill: char, count: usize) {
    let mut bytes = [0; 4];
    let bytes = fill.encode_utf8(&mut bytes).as_bytes();
    (0..count).for_each(|_| out.extend_from_slice(bytes));
}
