//! Text that goes into a report: whatever it holds, it is shown, and does nothing.

use std::borrow::Cow;

use logboom_record::ansi;

use crate::visible;

/// A name or a message on one line.
pub fn one_line(text: &str) -> String {
    plain(&without_ansi(text)).replace(['\n', '\t'], " ")
}

/// Text of several lines.
pub fn lines(text: &str) -> String {
    plain(&without_ansi(text)).into_owned()
}

fn without_ansi(text: &str) -> String {
    let mut bare = Vec::with_capacity(text.len());
    ansi::strip(text.as_bytes(), &mut bare);
    String::from_utf8_lossy(&bare).into_owned()
}

/// Without control characters but newline and tab, and without what XML 1.0 forbids or turns the direction of text; those are U+FFFD.
pub fn plain(text: &str) -> Cow<'_, str> {
    match text.contains(is_forbidden) {
        true => Cow::Owned(text.replace(is_forbidden, "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

fn is_forbidden(one: char) -> bool {
    match one {
        '\n' | '\t' => false,
        '\u{fffe}' | '\u{ffff}' => true,
        _ => one.is_control() || visible::turns_direction(one),
    }
}
