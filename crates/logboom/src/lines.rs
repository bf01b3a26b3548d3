//! The last lines of a text log, read from its end.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// How much is read at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// At most `count` last lines of the file, oldest first, without the newline. A line that is not UTF-8 has U+FFFD there.
///
/// # Errors
/// Those of the system.
pub fn last_lines(path: &Path, count: usize) -> io::Result<Vec<String>> {
    let file = File::open(path)?;
    let (mut at, mut tail) = (file.metadata()?.len(), Vec::new());
    while at > 0 && memchr::memchr_iter(b'\n', &tail).count() <= count {
        let bytes = BLOCK_BYTES.max(tail.len()).min(usize::try_from(at).unwrap_or(usize::MAX));
        at -= bytes as u64;
        let mut block = vec![0; bytes];
        file.read_exact_at(&mut block, at)?;
        block.extend_from_slice(&tail);
        tail = block;
    }
    let text = tail.strip_suffix(b"\n").unwrap_or(&tail);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let last = &lines[lines.len().saturating_sub(count)..];
    Ok(last.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_across_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let lines: Vec<String> =
            (0..20_000).map(|number| format!("line {number} {}", "x".repeat(number % 50))).collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        for count in [0, 1, 2, 3_000, 20_000, 30_000] {
            assert_eq!(last_lines(&path, count).unwrap(), lines[20_000 - count.min(20_000)..], "{count}");
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(last_lines(&path, 5).unwrap(), [""; 0]);
    }
}
