//! Names of files, and the words of a command, from whatever a user may type.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// The most bytes of a program's name that go into a file name.
const PROGRAM_BYTES_MAX: usize = 64;

/// The most bytes of a command that are kept in the metadata, which every listing reads.
const COMMAND_BYTES_MAX: usize = 32 << 10;

/// The last part of a command's first word, fit for a file name; `command` where nothing is left.
pub(super) fn file_part(program: &OsStr) -> String {
    let bytes = program.as_bytes();
    let last = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes);
    let fit = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'+' | b'-' => char::from(*byte),
        _ => '_',
    };
    let name: String = last.iter().take(PROGRAM_BYTES_MAX).map(fit).collect();
    if name.bytes().all(|byte| byte == b'.') { "command".to_owned() } else { name }
}

/// The name of the text log with this number: `exec_cargo.log`, `exec_cargo.2.log`.
pub(super) fn text_log(program: &str, number: u32) -> String {
    match number {
        1 => format!("exec_{program}.log"),
        _ => format!("exec_{program}.{number}.log"),
    }
}

/// The words of a command as they are kept: U+FFFD for what is not UTF-8, and the rest of a very long one as
/// `… and 1234 more words`.
pub fn command_words<S: AsRef<OsStr>>(words: &[S]) -> Vec<String> {
    let mut room = COMMAND_BYTES_MAX;
    let mut kept = Vec::new();
    for word in words {
        let bytes = word.as_ref().as_bytes();
        if bytes.len() > room {
            kept.push(String::from_utf8_lossy(&bytes[..room]).into_owned() + "…");
            break;
        }
        room -= bytes.len();
        kept.push(word.as_ref().to_string_lossy().into_owned());
    }
    if kept.len() < words.len() {
        kept.push(format!("… and {} more words", words.len() - kept.len()));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(program: &[u8]) -> String {
        file_part(OsStr::from_bytes(program))
    }

    #[test]
    fn hostile_programs_become_plain_file_names() {
        assert_eq!(part(b"/usr/bin/cargo"), "cargo");
        assert_eq!(part(b"g++-12.1"), "g++-12.1");
        assert_eq!(part(b"a\0b\nc d\xff"), "a_b_c_d_");
        assert_eq!(part("ü".as_bytes()), "__");
        assert_eq!(part(&[b'x'; 300]), "x".repeat(64));
        for nothing in [&b""[..], b".", b"..", b"...", b"/", b"bin/", b"../.."] {
            assert_eq!(part(nothing), "command");
        }
    }

    #[test]
    fn a_very_long_command_is_cut_and_says_so() {
        let words = vec!["x".repeat(1_000); 100];
        let kept = command_words(&words);
        assert_eq!(kept.last().unwrap(), "… and 67 more words");
        assert!(kept.iter().map(String::len).sum::<usize>() < COMMAND_BYTES_MAX + 100);
        assert_eq!(command_words(&["ls", "-l"]), ["ls", "-l"]);
    }
}
