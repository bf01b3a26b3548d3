//! How many bytes does a line take on disk?

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::logboom::{Logboom, boom_files, text_logs};
use crate::measure;
use crate::place::{Place, remove, total_bytes};
use crate::table::{Bound, Table, figure};

/// Measure the bytes that a line takes.
#[derive(clap::Args)]
pub struct Size {
    /// How many lines of the generated kind.
    #[arg(long, default_value_t = 5_000_000)]
    lines: u64,
    /// How many identical lines.
    #[arg(long, default_value_t = 1_000_000)]
    same_lines: u64,
}

struct Sizes {
    boom: f64,
    text: f64,
    zstd: f64,
}

impl Size {
    pub fn run(&self, place: &Place, logboom: Option<&Path>) -> anyhow::Result<Table> {
        let logboom = Logboom::find(logboom, place)?;
        let method = format!("bytes a line in the sealed boom file and in the text log; {} lines", self.lines);
        let columns = ["input", "boom file", "text log", "zstd -3 of the text log", "boom / zstd -3"];
        let mut table = Table::new("size", "How many bytes does a line take?", method, &columns);

        let dir = place.fresh("size")?;
        measure::run(logboom.run(&dir).arg("cat").arg(place.text(self.lines)?))?;
        let text = Sizes::of(&dir, self.lines)?;
        table.row(text.cells("text through `run`"));
        table.promise("text through `run`", text.boom, "bytes a line", Bound::AtMost(24.5));
        table.promise("text through `run`, beside zstd -3", text.boom / text.zstd, "x", Bound::AtMost(1.0));

        let dir = place.fresh("size")?;
        measure::run(logboom.run_producer(&dir)?.arg("same-line").arg(self.same_lines.to_string()))?;
        let same = Sizes::of(&dir, self.same_lines)?;
        table.row(same.cells(&format!("{} identical lines", self.same_lines)));
        table.promise("identical lines", same.boom, "bytes a line", Bound::AtMost(0.1));
        remove(&dir)?;
        Ok(table)
    }
}

impl Sizes {
    fn of(dir: &Path, lines: u64) -> anyhow::Result<Self> {
        let (booms, texts) = (boom_files(dir)?, text_logs(dir)?);
        ensure!(booms.len() == 1 && texts.len() == 1, "{} should hold one boom file and one text log", dir.display());
        let a_line = |bytes: u64| bytes as f64 / lines as f64;
        Ok(Self {
            boom: a_line(total_bytes(&booms)?),
            text: a_line(total_bytes(&texts)?),
            zstd: a_line(zstd_bytes(&texts)?),
        })
    }

    fn cells(&self, input: &str) -> [String; 5] {
        let share = self.boom / self.zstd;
        [input.to_owned(), figure(self.boom), figure(self.text), figure(self.zstd), figure(share)]
    }
}

/// How many bytes `zstd -3` makes of these files.
fn zstd_bytes(files: &[PathBuf]) -> anyhow::Result<u64> {
    let mut counted = Counted(0);
    for path in files {
        zstd::stream::copy_encode(File::open(path)?, &mut counted, 3)?;
    }
    Ok(counted.0)
}

struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
