//! What many programs have written for themselves: a channel, a thread, a buffered file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::thread;

use crossbeam_channel::{Receiver, unbounded};

use super::Logger;

pub fn start(dir: &Path) -> anyhow::Result<Logger> {
    let file = BufWriter::new(File::create(dir.join("lines.log"))?);
    let (sender, receiver) = unbounded::<String>();
    let writer = thread::Builder::new().name("base".to_owned()).spawn(move || write(&receiver, file))?;
    Ok(Logger {
        log: Box::new(move |line| {
            let text = format!(
                "{:.6} INFO job {} task {} request completed status={} in {}us path={}\n",
                jiff::Timestamp::now(),
                line.job,
                line.task,
                line.status,
                line.us,
                line.path
            );
            let _ = sender.send(text); // fails only after the writer did, and then lines are missed at the count
        }),
        end: Box::new(move || {
            let _ = writer.join(); // as above
        }),
    })
}

fn write(lines: &Receiver<String>, mut file: BufWriter<File>) -> io::Result<()> {
    while let Ok(line) = lines.recv() {
        file.write_all(line.as_bytes())?;
        if lines.is_empty() {
            file.flush()?;
        }
    }
    file.flush()
}
