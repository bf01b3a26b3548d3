//! Dates and times of every kind, which may stand in front of everything else.

use super::scan::{blanks, count_digits};

/// Skips a date, a time, or both, with what belongs to them (weekday, zone, `PM`); `None` if `text` starts with neither.
pub(super) fn skip(text: &[u8]) -> Option<&[u8]> {
    let rest = match text.first()? {
        b'0'..=b'9' => date(text).or_else(|| clock(text)).or_else(|| part(text))?,
        b'A'..=b'Z' => skip_names(text)?,
        _ => return None,
    };
    Some(more(more(more(rest))))
}

/// As `skip`, for the shapes that most loggers use; says no at once to anything else.
#[inline]
pub(super) fn usual(text: &[u8]) -> Option<&[u8]> {
    date(text).or_else(|| clock(text)).map(|rest| more(more(rest)))
}

/// Skips one more part of a stamp, if there is one.
#[inline]
fn more(rest: &[u8]) -> &[u8] {
    let [b' ', next @ ..] = rest else { return rest };
    let after = match next {
        [b'0'..=b'9', ..] => clock(next).or_else(|| part(next)),
        [b'A'..=b'Z' | b'+' | b'-', ..] => zone(next),
        _ => None,
    };
    after.unwrap_or(rest)
}

/// `2026-01-02`, alone or with a time: the most usual shape, told by the places of its separators.
#[inline]
fn date(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'1' | b'2', _, _, b'0'..=b'9', left @ (b'-' | b'/'), b'0' | b'1', _, right, b'0'..=b'3', _, rest @ ..]
            if left == right =>
        {
            match rest {
                [b'T' | b' ' | b'_', time @ ..] if time.first().is_some_and(u8::is_ascii_digit) => clock(time),
                _ => ended(rest),
            }
        }
        _ => None,
    }
}

/// `15:04:05`, with a fraction and a zone.
#[inline]
fn clock(text: &[u8]) -> Option<&[u8]> {
    let [b'0'..=b'2', b'0'..=b'9', b':', b'0'..=b'5', _, b':', b'0'..=b'6', _, rest @ ..] = text else { return None };
    let rest = match rest {
        [b'.' | b',', fraction @ ..] => &fraction[count_digits(fraction)..],
        _ => rest,
    };
    match rest {
        [b'Z', rest @ ..] => ended(rest),
        [b'+' | b'-', ..] => zone(rest),
        _ => ended(rest),
    }
}

/// One token of digits and separators that can only be a date, a time or an epoch: `2026-01-02T15:04:05.123Z`.
fn part(text: &[u8]) -> Option<&[u8]> {
    let (mut len, mut separators) = (0, 0);
    for &byte in text {
        match byte {
            b'0'..=b'9' | b'.' | b',' => {}
            b':' | b'-' | b'/' => separators += 1,
            b'T' | b'_' | b'+' | b'Z' if len > 0 => {}
            _ => break,
        }
        len += 1;
    }
    if !text.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let rest = &text[len..];
    match rest {
        [b'A' | b'P' | b'a' | b'p', b'M' | b'm', rest @ ..] if separators == 1 => return ended(rest),
        [b'-', ..] => {}
        _ if separators == 0 && text[..len].iter().take_while(|b| b.is_ascii_digit()).count() >= 10 => {}
        [b' ', b'0'..=b'2', b'0'..=b'9', b':', ..] if len == 8 && separators == 0 => {}
        _ if separators == 1 && is_short_date(&text[..len]) => {}
        _ if separators == 2 && text.get(2) == Some(&b'-') && is_month(&text[3..]) => {}
        _ if separators < 2 => return named_date(text),
        _ => {}
    }
    ended(rest)
}

/// `02 Jan 2026`, `02-Jan-2026`, `02/Jan/2026:15:04:05`.
fn named_date(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'0'..=b'3', b'0'..=b'9', b' ' | b'-' | b'/', month @ ..] if is_month(month) => match &month[3..] {
            [b' ' | b'-' | b'/', b'1' | b'2', _, _, _, rest @ ..] => {
                ended(rest.strip_prefix(b":").and_then(part).unwrap_or(rest))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Android's `01-02`, when a time follows.
fn is_short_date(token: &[u8]) -> bool {
    matches!(token, [b'0' | b'1', _, b'-', b'0'..=b'3', _])
}

fn ended(rest: &[u8]) -> Option<&[u8]> {
    matches!(rest, [] | [b' ' | b'\t' | b']' | b')' | b'|' | 0x1b, ..]).then_some(rest)
}

/// `Jan  2 15:04:05`, `Tue Jan 02 15:04:05.1 2026`, `Jan 02, 2026 3:04:05 PM`.
fn skip_names(text: &[u8]) -> Option<&[u8]> {
    let text = if is_weekday(text) { blanks(text[3..].strip_prefix(b",").unwrap_or(&text[3..])) } else { text };
    if !is_month(text) {
        return part(text);
    }
    let day = text[3..].strip_prefix(b" ").map(blanks)?;
    let digits = count_digits(day);
    if !(1..=2).contains(&digits) {
        return None;
    }
    let rest = match &day[digits..] {
        [b',', b' ', b'1' | b'2', _, _, _, after @ ..] => after,
        after => after,
    };
    let rest = rest.strip_prefix(b" ")?;
    let rest = clock(rest).or_else(|| part(rest))?;
    match rest {
        [b' ', b'1' | b'2', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', after @ ..] => Some(ended(after).unwrap_or(rest)),
        _ => Some(rest),
    }
}

/// `PM`, `UTC`, `+0000` behind a time.
fn zone(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'A' | b'P', b'M', rest @ ..] => ended(rest),
        [b'+' | b'-', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', rest @ ..] => ended(rest),
        [b'+' | b'-', b'0'..=b'9', b'0'..=b'9', b':', b'0'..=b'9', b'0'..=b'9', rest @ ..] => ended(rest),
        [b'U', b'T', b'C', rest @ ..] | [b'G', b'M', b'T', rest @ ..] => ended(rest),
        [b'C', b'E', b'T', rest @ ..] | [b'E' | b'P', b'S' | b'D', b'T', rest @ ..] => ended(rest),
        _ => None,
    }
}

fn is_month(text: &[u8]) -> bool {
    const MONTHS: [[u8; 3]; 12] =
        [*b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov", *b"Dec"];
    text.first_chunk().is_some_and(|start| MONTHS.contains(start))
}

fn is_weekday(text: &[u8]) -> bool {
    const DAYS: [[u8; 3]; 7] = [*b"Mon", *b"Tue", *b"Wed", *b"Thu", *b"Fri", *b"Sat", *b"Sun"];
    matches!(text.get(3), Some(b' ' | b',')) && text.first_chunk().is_some_and(|start| DAYS.contains(start))
}
