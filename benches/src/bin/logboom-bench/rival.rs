//! Who is compared: programs that read lines from a pipe and keep them in files, each with its usual time stamp.
//!
//! Rotation is set as wide as each allows, and no rival may throw anything away, so that every line can be counted afterwards.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use logboom_bench::measure::create;
use logboom_bench::place::{count_lines, files};

use crate::logboom::Logboom;

/// One way of keeping the lines that come through a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// The limit: no time stamps, nothing looked at.
    Cat,
    /// Passed through to nowhere and kept, without time stamps.
    Tee,
    /// daemontools.
    Multilog,
    /// s6, TAI64N stamps.
    S6Tai,
    /// s6, readable stamps.
    S6Iso,
    /// runit.
    Svlogd,
    /// moreutils.
    Ts,
    /// Its stdin source and file destination.
    SyslogNg,
    /// `logboom run -- cat FILE`: text log and boom file.
    LogboomRun,
    /// The same without the boom file.
    LogboomText,
    /// `cat FILE | logboom pipe`.
    LogboomPipe,
}

impl Rival {
    /// Everybody, in the order in which they take their turns.
    pub const ALL: [Rival; 11] = [
        Rival::Cat,
        Rival::Tee,
        Rival::Multilog,
        Rival::S6Tai,
        Rival::S6Iso,
        Rival::Svlogd,
        Rival::Ts,
        Rival::SyslogNg,
        Rival::LogboomRun,
        Rival::LogboomText,
        Rival::LogboomPipe,
    ];

    /// What the tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Rival::Cat => "cat > file",
            Rival::Tee => "tee file",
            Rival::Multilog => "multilog t",
            Rival::S6Tai => "s6-log t",
            Rival::S6Iso => "s6-log T",
            Rival::Svlogd => "svlogd -tt",
            Rival::Ts => "ts > file",
            Rival::SyslogNg => "syslog-ng",
            Rival::LogboomRun => "logboom run",
            Rival::LogboomText => "logboom run --no-boom",
            Rival::LogboomPipe => "logboom pipe",
        }
    }

    /// Whether it is one of those that logboom has to beat: they stamp each line.
    pub const fn is_beaten_by_promise(self) -> bool {
        use Rival::{Multilog, S6Iso, S6Tai, Svlogd, SyslogNg, Ts};
        matches!(self, Multilog | S6Tai | S6Iso | Svlogd | Ts | SyslogNg)
    }

    /// Whether it is logboom itself.
    pub const fn is_logboom(self) -> bool {
        matches!(self, Rival::LogboomRun | Rival::LogboomText | Rival::LogboomPipe)
    }

    /// Whether it can be started here; asked once, before the first round.
    pub fn is_installed(self) -> bool {
        let program = match self {
            Rival::Cat | Rival::Tee | Rival::LogboomRun | Rival::LogboomText | Rival::LogboomPipe => return true,
            Rival::Multilog => "multilog",
            Rival::S6Tai | Rival::S6Iso => "s6-log",
            Rival::Svlogd => "svlogd",
            Rival::Ts => "ts",
            Rival::SyslogNg => "syslog-ng",
        };
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
    }

    /// The program that reads the pipe and keeps its lines in `dir`; for `logboom run`, all but the command to run.
    pub fn sink(self, dir: &Path, logboom: &Logboom) -> anyhow::Result<Command> {
        Ok(match self {
            Rival::Cat => to_file("cat", &[], dir)?,
            Rival::Tee => silent("tee", &[&path(dir, "out.log")]),
            Rival::Multilog => silent("multilog", &["t", "s16777215", "n100000", &path(dir, "out")]),
            Rival::S6Tai => silent("s6-log", &["n100000", "s268435455", "t", &path(dir, "out")]),
            Rival::S6Iso => silent("s6-log", &["n100000", "s268435455", "T", &path(dir, "out")]),
            Rival::Svlogd => svlogd(dir)?,
            Rival::Ts => to_file("ts", &["%Y-%m-%dT%H:%M:%.S"], dir)?,
            Rival::SyslogNg => syslog_ng(dir)?,
            Rival::LogboomRun => logboom.run(dir),
            Rival::LogboomText => with(logboom.command("run", dir), &["--quiet", "--no-boom", "--"]),
            Rival::LogboomPipe => with(logboom.command("pipe", dir), &["--quiet", "--name", "bench"]),
        })
    }

    /// How many lines it kept in `dir`.
    pub fn kept_lines(self, dir: &Path) -> anyhow::Result<u64> {
        let is_log = |path: &Path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name == "current" || name.starts_with('@') || name.ends_with(".log")
        };
        files(dir, &is_log)?.iter().map(|path| count_lines(path)).sum()
    }
}

fn silent(program: &str, arguments: &[&str]) -> Command {
    let mut command = with(Command::new(program), arguments);
    command.stdout(Stdio::null());
    command
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

fn to_file(program: &str, arguments: &[&str], dir: &Path) -> anyhow::Result<Command> {
    let mut command = with(Command::new(program), arguments);
    command.stdout(create(&dir.join("out.log"))?);
    Ok(command)
}

fn svlogd(dir: &Path) -> anyhow::Result<Command> {
    let out = dir.join("out");
    fs::create_dir(&out)?;
    fs::write(out.join("config"), "s0\nn0\n")?; // one file, never rotated
    Ok(silent("svlogd", &["-tt", &path(dir, "out")]))
}

/// Flow control and batches as its manual advises for speed; without flow control it would drop lines.
fn syslog_ng(dir: &Path) -> anyhow::Result<Command> {
    let config = dir.join("syslog-ng.conf");
    let text = format!(
        "@version: 3.38\n\
         options {{ frac-digits(6); stats-freq(0); flush-lines(1000); }};\n\
         source in {{ stdin(flags(no-parse) log-fetch-limit(1000) log-iw-size(100000)); }};\n\
         destination out {{ file(\"{}\" template(\"${{R_ISODATE}} ${{MESSAGE}}\\n\") log-fifo-size(200000)); }};\n\
         log {{ source(in); destination(out); flags(flow-control); }};\n",
        path(dir, "out.log")
    );
    fs::write(&config, text)?;
    let mut command = silent("syslog-ng", &["--foreground", "--no-caps"]);
    command.arg("--cfgfile").arg(config).stderr(Stdio::null());
    for (option, name) in [("--persist-file", "persist"), ("--pidfile", "pid"), ("--control", "control")] {
        command.arg(option).arg(dir.join(name));
    }
    Ok(command)
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_string_lossy().into_owned()
}
