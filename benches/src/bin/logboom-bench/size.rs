//! How many bytes does a line take on disk?

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use logboom_bench::measure;
use logboom_bench::place::{Place, SEED, remove, total_bytes, write_lines};
use logboom_bench::table::{Bound, Table, figure};
use logboom_bench::{Form, Generated, generate};
use logboom_boom::{NewRecord, Options, Writer};
use logboom_record::{Flags, RunId};

use crate::logboom::{Logboom, boom_files, text_logs};

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
        let method = format!("bytes a line in the sealed boom file and as text; {} lines", self.lines);
        let columns = ["input", "boom file", "as text", "zstd -3 of the text", "boom / zstd -3"];
        let mut table = Table::new("size", "How many bytes does a line take?", method, &columns);

        let dir = place.fresh("size")?;
        measure::run(logboom.run(&dir).arg("cat").arg(place.text(self.lines)?))?;
        let text = Sizes::of(&dir, self.lines)?;
        table.row(text.cells("text through `run`"));
        table.promise("text through `run`", text.boom, "bytes a line", Bound::AtMost(24.5));
        table.promise("text through `run`, beside zstd -3", text.boom / text.zstd, "x", Bound::AtMost(1.0));

        let records = self.records_with_fields(place)?;
        table.row(records.cells("records with fields, 48 runs at a time (zstd -3: as JSON lines)"));
        table.promise("records with fields", records.boom, "bytes a line", Bound::AtMost(31.0));

        let dir = place.fresh("size")?;
        measure::run(logboom.run_producer(&dir)?.arg("same-line").arg(self.same_lines.to_string()))?;
        let same = Sizes::of(&dir, self.same_lines)?;
        table.row(same.cells(&format!("{} identical lines", self.same_lines)));
        table.promise("identical lines", same.boom, "bytes a line", Bound::AtMost(0.1));
        remove(&dir)?;
        Ok(table)
    }

    /// Writes the generated records, fields and all, through crate `boom`; each task, each job and the system is a run.
    fn records_with_fields(&self, place: &Place) -> anyhow::Result<Sizes> {
        let dir = place.fresh("size")?;
        let mut writer = Writer::create_in(&dir, "records", Options::default())?;
        let mut written = Ok(());
        generate(self.lines, SEED, |record| {
            if written.is_ok() {
                written = write(&mut writer, record);
            }
        });
        written?;
        let path = writer.path().to_owned();
        let sealed = writer.seal()?;
        ensure!(sealed.totals.records == self.lines, "{} of {} records written", sealed.totals.records, self.lines);
        let mut jsonl = Counted::default();
        let mut zstd = zstd::stream::Encoder::new(Counted::default(), 3)?;
        write_lines(Form::Jsonl, self.lines, SEED, &mut jsonl)?;
        write_lines(Form::Jsonl, self.lines, SEED, &mut zstd)?;
        let sizes = Sizes::new(self.lines, fs::metadata(path)?.len(), jsonl.0, zstd.finish()?.0);
        remove(&dir)?;
        Ok(sizes)
    }
}

impl Sizes {
    fn of(dir: &Path, lines: u64) -> anyhow::Result<Self> {
        let (booms, texts) = (boom_files(dir)?, text_logs(dir)?);
        ensure!(booms.len() == 1 && texts.len() == 1, "{} should hold one boom file and one text log", dir.display());
        Ok(Self::new(lines, total_bytes(&booms)?, total_bytes(&texts)?, zstd_bytes(&texts)?))
    }

    fn new(lines: u64, boom: u64, text: u64, zstd: u64) -> Self {
        let a_line = |bytes: u64| bytes as f64 / lines as f64;
        Self { boom: a_line(boom), text: a_line(text), zstd: a_line(zstd) }
    }

    fn cells(&self, input: &str) -> [String; 5] {
        let share = self.boom / self.zstd;
        [input.to_owned(), figure(self.boom), figure(self.text), figure(self.zstd), figure(share)]
    }
}

fn write(writer: &mut Writer, record: &Generated<'_>) -> anyhow::Result<()> {
    let run = writer.run(run_id(record)?, record.kind, 1)?;
    writer.push(
        run,
        &NewRecord {
            time: record.time,
            origin_time_ns: None,
            stream: record.stream,
            level: record.level,
            flags: Flags::NONE,
            message: record.message,
            fields: record.fields,
        },
    )?;
    Ok(())
}

/// The id of the record's task, else of its job; the system has one of its own.
fn run_id(record: &Generated<'_>) -> anyhow::Result<RunId> {
    match record.task.or(record.job) {
        Some(id) => id.parse().with_context(|| format!("{id} is no run id")),
        None => Ok(RunId::from_bytes([0; 16])),
    }
}

/// How many bytes `zstd -3` makes of these files.
fn zstd_bytes(files: &[PathBuf]) -> anyhow::Result<u64> {
    let mut counted = Counted::default();
    for path in files {
        zstd::stream::copy_encode(File::open(path)?, &mut counted, 3)?;
    }
    Ok(counted.0)
}

#[derive(Default)]
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
