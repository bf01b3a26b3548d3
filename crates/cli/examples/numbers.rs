//! `numbers PROGRESS [COUNT]`: prints `line 1`, `line 2`, … as fast as it can, and keeps in the file PROGRESS the number of the
//! last line whose write(2) has returned, so that a test knows what was printed when.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
};

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let progress = File::create(args.next().ok_or(io::ErrorKind::InvalidInput)?)?;
    let count: u64 = args.next().map_or(Ok(u64::MAX), |text| text.parse()).map_err(io::Error::other)?;
    let (mut out, mut chunk, mut line) = (io::stdout().lock(), Vec::new(), 0u64);
    while line < count {
        chunk.clear();
        while chunk.len() < 4_000 && line < count {
            line += 1;
            writeln!(chunk, "line {line}")?;
        }
        out.write_all(&chunk)?;
        out.flush()?;
        progress.write_all_at(format!("{line:020}").as_bytes(), 0)?;
    }
    Ok(())
}
