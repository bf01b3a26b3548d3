//! Benchmarks of logboom beside its rivals.

use std::io::{self, Write};

use clap::{Parser, Subcommand, ValueEnum};
use logboom_bench::{Form, generate};

/// Measures logboom beside its rivals, and makes the input for it.
#[derive(Parser)]
struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write generated records to stdout, one a line.
    Gen {
        /// How a record is written.
        form: FormArg,
        /// How many records.
        lines: u64,
        /// The same seed gives the same records.
        #[arg(default_value_t = 42)]
        seed: u64,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum FormArg {
    /// The message alone.
    Text,
    /// A JSON object with all fields.
    Jsonl,
}

fn main() -> anyhow::Result<()> {
    match Bench::parse().what {
        What::Gen { form: FormArg::Text, lines, seed } => write_lines(Form::Text, lines, seed, io::stdout()),
        What::Gen { form: FormArg::Jsonl, lines, seed } => write_lines(Form::Jsonl, lines, seed, io::stdout()),
    }
}

fn write_lines(form: Form, lines: u64, seed: u64, mut out: impl Write) -> anyhow::Result<()> {
    const BUFFER_BYTES: usize = 256 * 1024;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES + 4096);
    let mut result = Ok(());
    generate(lines, seed, |record| {
        form.write(record, &mut buffer);
        if buffer.len() >= BUFFER_BYTES && result.is_ok() {
            result = out.write_all(&buffer);
            buffer.clear();
        }
    });
    result?;
    out.write_all(&buffer)?;
    Ok(out.flush()?)
}
