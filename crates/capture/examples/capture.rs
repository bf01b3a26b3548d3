//! `capture DIR [OPTION=VALUE]... -- COMMAND [ARG]...`: runs a command and keeps its streams as files in DIR.
//!
//! What the command prints is in DIR/stdout and DIR/stderr, what is known at its end in DIR/report, and this process ends
//! as the command did. A run needs a process of its own, since it watches signals and children: the tests are those of
//! this program.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use logboom_capture::command::{CommandError, Drain, Finished, OutputSink, PassThrough, Spec, Status, TimeLimit, Tty};
use logboom_capture::command::{die_of, run};
use logboom_record::{Stream, Time};

/// A sink that keeps each stream in a file.
struct Files {
    streams: [Mutex<File>; 2],
    ended: Mutex<File>,
}

impl Files {
    fn create(dir: &Path) -> io::Result<Files> {
        let file = |name| File::create(dir.join(name)).map(Mutex::new);
        Ok(Files { streams: [file("stdout")?, file("stderr")?], ended: file("ended")? })
    }
}

impl OutputSink for Files {
    fn started(&self, pid: u32, _: Time) {
        say(&self.ended, format!("started {pid}\n").as_bytes());
    }

    fn push(&self, stream: Stream, _: Time, bytes: &[u8]) {
        if let Some(file) = self.streams.get(stream as usize) {
            say(file, bytes);
        }
    }

    fn end(&self, stream: Stream) {
        say(&self.ended, format!("{}\n", stream.as_str()).as_bytes());
    }
}

fn say(file: &Mutex<File>, bytes: &[u8]) {
    if let Ok(mut file) = file.lock()
        && let Err(error) = file.write_all(bytes)
    {
        eprintln!("capture: cannot write: {error}");
    }
}

fn main() -> ExitCode {
    match capture() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("capture: {error}");
            ExitCode::from(125)
        }
    }
}

fn capture() -> Result<u8, Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let dir = args.next().ok_or("DIR is missing")?;
    let dir = Path::new(&dir);
    let options: Vec<OsString> = args.by_ref().take_while(|arg| arg != "--").collect();
    let mut spec = Spec::new(args.next().ok_or("COMMAND is missing")?);
    spec.args = args.collect();
    for option in &options {
        apply(&mut spec, option.to_str().ok_or("an option is not UTF-8")?)?;
    }
    let outcome = run(&spec, Arc::new(Files::create(dir)?));
    fs::write(dir.join("report"), report(&outcome))?;
    Ok(end_like(outcome))
}

fn apply(spec: &mut Spec, option: &str) -> Result<(), Box<dyn std::error::Error>> {
    let (name, value) = option.split_once('=').ok_or("OPTION=VALUE was expected")?;
    let millis = || value.parse().map(Duration::from_millis);
    match (name, value) {
        ("tty", "always") => spec.tty = Tty::Always,
        ("tty", "never") => spec.tty = Tty::Never,
        ("tty", "full") => spec.tty = Tty::Full,
        ("pass", "detachable") => spec.pass_through = PassThrough::Detachable,
        ("pass", "quiet") => spec.pass_through = PassThrough::Quiet,
        ("drain", "forever") => spec.drain = Drain::Forever,
        ("drain", _) => spec.drain = Drain::For(millis()?),
        ("timeout", _) => spec.time_limit = Some(TimeLimit { after: millis()?, grace: Duration::from_secs(60) }),
        ("grace", _) => {
            spec.time_limit = spec.time_limit.map(|limit| TimeLimit { grace: millis().unwrap_or_default(), ..limit })
        }
        ("env", _) => {
            spec.env.push(value.split_once(':').map(|(name, value)| (name.into(), value.into())).ok_or("NAME:VALUE")?)
        }
        _ => return Err(format!("{option} is not known").into()),
    }
    Ok(())
}

fn report(outcome: &Result<Finished, CommandError>) -> String {
    match outcome {
        Ok(finished) => format!("{finished:?}\n"),
        Err(error) => format!("{error}: {error:?}\n"),
    }
}

fn end_like(outcome: Result<Finished, CommandError>) -> u8 {
    match outcome {
        Err(error) => error.exit_code(),
        Ok(finished) if finished.timed_out.is_some() => 124,
        Ok(Finished { status: Status::Exited(code), .. }) => u8::try_from(code).unwrap_or(125),
        Ok(Finished { status: Status::Signaled(signal), .. }) => {
            die_of(signal);
            u8::try_from(128 + signal).unwrap_or(125)
        }
    }
}
