//! Names of files, and the words of a command, from whatever a user may type.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// The most bytes of a program's name that go into a file name.
const PROGRAM_BYTES_MAX: usize = 64;

/// The most bytes of a command that are kept in the metadata, which every listing reads.
const COMMAND_BYTES_MAX: usize = 32 << 10;

/// The most bytes of a session file's name, without its number and ending.
const STEM_BYTES_MAX: usize = 120;

/// The last part of a command's first word, fit for a file name; `command` where nothing is left.
pub(super) fn file_part(program: &OsStr) -> String {
    let bytes = program.as_bytes();
    let last = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes);
    let name = fit(last, PROGRAM_BYTES_MAX);
    if name.bytes().all(|byte| byte == b'.') { "command".to_owned() } else { name }
}

/// What stands before `.log` in the file of a name that somebody chose, whatever it is; `session` where nothing is left.
pub(super) fn stem(name: &str) -> String {
    let stem = fit(name.strip_suffix(".log").unwrap_or(name).as_bytes(), STEM_BYTES_MAX);
    match stem.strip_prefix('.') {
        _ if stem.bytes().all(|byte| matches!(byte, b'.' | b'_')) => "session".to_owned(),
        Some(rest) => format!("_{rest}"), // hidden files are logboom's own
        None => stem,
    }
}

/// The name of the session file with this number: `a.log`, `a.2.log`.
pub(super) fn named_log(stem: &str, number: u32) -> String {
    match number {
        1 => format!("{stem}.log"),
        _ => format!("{stem}.{number}.log"),
    }
}

fn fit(bytes: &[u8], bytes_max: usize) -> String {
    let fit = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'+' | b'-' => char::from(*byte),
        _ => '_',
    };
    bytes.iter().take(bytes_max).map(fit).collect()
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
    fn names_that_somebody_chose_become_log_files_of_the_session() {
        for (name, want) in [
            ("a.log", "a.log"),
            ("a", "a.log"),
            ("../../etc/passwd", "_._.._etc_passwd.log"),
            ("a/b\0c", "a_b_c.log"),
            (".hidden", "_hidden.log"),
            ("records.boom", "records.boom.log"),
            ("..", "session.log"),
            ("", "session.log"),
            ("/", "session.log"),
            (".log", "session.log"),
        ] {
            assert_eq!(named_log(&stem(name), 1), want, "{name:?}");
        }
        assert_eq!(stem(&"x".repeat(300)).len(), STEM_BYTES_MAX);
        assert_eq!(named_log("a", 2), "a.2.log");
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
