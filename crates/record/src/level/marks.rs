//! Symbols and emoji that stand in front of a message.

use super::Level;

/// What a symbol at the start of a text says.
pub(super) enum Mark {
    /// The symbol is the level.
    Level(Level),
    /// The symbol is a frame or a bullet; look behind it.
    Ornament,
}

/// Reads one symbol beyond ASCII, and gives what it says and what follows it.
pub(super) fn read(text: &[u8]) -> Option<(Mark, &[u8])> {
    let len = match text.first()? {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return None,
    };
    let symbol = std::str::from_utf8(text.get(..len)?).ok()?.chars().next()?;
    let rest = &text[len..];
    Some((meaning(symbol)?, rest.strip_prefix(b"\xef\xb8\x8f").unwrap_or(rest)))
}

fn meaning(symbol: char) -> Option<Mark> {
    Some(Mark::Level(match symbol {
        '❌' | '✗' | '✖' | '✘' | '✕' | '×' | '⨯' | '❎' | '🚨' | '💥' | '⛔' | '🛑' | '🔴' | '🟥' | '🚫' | '💀'
        | '☠' => Level::Error,
        '⚠' | '🚧' | '🟡' | '🟠' | '🟨' | '❗' | '❕' | '‼' => Level::Warn,
        'ℹ' | '✅' | '✓' | '✔' | '☑' | '🟢' | '🟩' | '🎉' | '🚀' | '✨' => Level::Info,
        '🐛' | '🐞' | '🔍' | '🔎' => Level::Debug,
        '\u{2500}'..='\u{25ff}'
        | '⎯'
        | '❯'
        | '›'
        | '»'
        | '•'
        | '·'
        | '→'
        | '➜'
        | '➤'
        | '…'
        | '⬤'
        | '\u{2009}'
        | '\u{feff}'
        | '\u{fe0f}' => {
            return Some(Mark::Ornament);
        }
        _ => return None,
    }))
}
