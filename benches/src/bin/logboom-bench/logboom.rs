//! The program under test, as the benches start it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use logboom_bench::place::{Place, files};

/// Retention must not take away what a bench has made.
const SETTINGS: &str = "older_than = \"10000d\"\nkeep = 1000000\nmax_bytes = \"1024GiB\"\n";

/// Where logboom is, and the directory in which it is started.
pub struct Logboom {
    program: PathBuf,
    cwd: PathBuf,
}

impl Logboom {
    /// Takes the program at `program`, or the one beside this bench.
    ///
    /// # Errors
    /// If it is not there.
    pub fn find(program: Option<&Path>, place: &Place) -> anyhow::Result<Self> {
        let program = match program {
            Some(program) => std::path::absolute(program)?,
            None => std::env::current_exe()?.with_file_name("logboom"),
        };
        ensure!(program.exists(), "{} is missing; build it or give --logboom", program.display());
        fs::write(place.kept("logboom.toml"), SETTINGS)?;
        Ok(Self { program, cwd: place.kept("") })
    }

    /// `logboom SUBCOMMAND --dir DIR`, cut off from the environment's own logboom settings and from our terminal.
    pub fn command(&self, subcommand: &str, dir: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(subcommand).arg("--dir").arg(dir).current_dir(&self.cwd).stdin(Stdio::null());
        for variable in ["LOGBOOM_DIR", "LOGBOOM_SESSION", "LOGBOOM_RUN"] {
            command.env_remove(variable);
        }
        command
    }

    /// `logboom run --quiet --dir DIR --`, to which the command to run is added.
    pub fn run(&self, dir: &Path) -> Command {
        let mut command = self.command("run", dir);
        command.args(["--quiet", "--"]);
        command
    }

    /// `logboom run --quiet --dir DIR -- logboom-bench produce`, to which what to produce is added.
    pub fn run_producer(&self, dir: &Path) -> anyhow::Result<Command> {
        let mut command = self.run(dir);
        command.arg(std::env::current_exe()?).arg("produce");
        Ok(command)
    }

    /// Asks `verify` how many records the latest session holds.
    ///
    /// # Errors
    /// If any is lost, or anything is damaged.
    pub fn verified_records(&self, dir: &Path) -> anyhow::Result<u64> {
        let answer = self.output("verify", dir, &["--json"])?;
        let answer: serde_json::Value = serde_json::from_slice(&answer).context("verify --json")?;
        answer["records"].as_u64().context("verify --json gives no number of records")
    }

    /// Whether `show --raw` of the latest session prints exactly what is in `input`.
    pub fn shows(&self, dir: &Path, input: &Path) -> anyhow::Result<bool> {
        let mut show = self.command("show", dir).arg("--raw").stdout(Stdio::piped()).spawn()?;
        let shown = show.stdout.take().context("show has no stdout")?;
        let same = Command::new("cmp").arg("-s").arg(input).arg("-").stdin(shown).status()?;
        Ok(show.wait()?.success() && same.success())
    }

    /// What a successful command prints.
    pub fn output(&self, subcommand: &str, dir: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let answer = self.command(subcommand, dir).args(arguments).output()?;
        let said = || String::from_utf8_lossy(&answer.stderr).into_owned();
        ensure!(answer.status.success(), "logboom {subcommand} {}: {} {}", arguments.join(" "), answer.status, said());
        Ok(answer.stdout)
    }

    /// A data dir with one session that holds the lines of `input`, made at the first call.
    pub fn session_of(&self, input: &Path, place: &Place) -> anyhow::Result<PathBuf> {
        let stem = input.file_stem().context("an input has a name")?.to_string_lossy();
        let name = format!("session-{stem}");
        let (dir, whole) = (place.kept(&name), place.kept(&format!("{name}.whole")));
        if !whole.exists() {
            place.fresh(&name)?;
            eprintln!("capturing {}", dir.display());
            let status = self.run(&dir).arg("cat").arg(input).status()?;
            ensure!(status.success(), "logboom run -- cat {}: {status}", input.display());
            fs::write(whole, "")?;
        }
        Ok(dir)
    }

    /// A data dir with at least so many sessions, each of a run of `true`.
    pub fn sessions(&self, count: usize, place: &Place) -> anyhow::Result<PathBuf> {
        let dir = place.kept(&format!("sessions-{count}"));
        fs::create_dir_all(dir.join("sessions"))?;
        let there = fs::read_dir(dir.join("sessions"))?.count();
        if there < count {
            eprintln!("making {} sessions in {}", count - there, dir.display());
        }
        for _ in there..count {
            let status = self.run(&dir).arg("true").stdout(Stdio::null()).status()?;
            ensure!(status.success(), "logboom run true: {status}");
        }
        Ok(dir)
    }
}

/// The boom files of a data dir.
pub fn boom_files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    files(dir, &|path| path.extension() == Some(OsStr::new("boom")))
}

/// The text logs of a data dir.
pub fn text_logs(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    files(dir, &|path| path.extension() == Some(OsStr::new("log")))
}
