//! The engine, by its own command line, and the containers that print.
//!
//! Their image holds nothing but this program and the libraries that it is linked with.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use logboom_bench::place::{Place, remove};

const IMAGE: &str = "logboom-bench:print";
/// What the containers are labelled.
pub const LABEL: &str = "logboom-bench=print";
const SOCKET: &str = "/var/run/docker.sock";
/// Where the containers see the directory with the pipes.
const SHARED: &str = "/shared";
const CLOCK_TICKS_A_SECOND: f64 = 100.0;

/// The engine on this machine, with an image to start containers from.
pub struct Docker {
    daemon_pid: i32,
}

impl Docker {
    /// Makes the image.
    ///
    /// # Errors
    /// If there is no engine here, or this program may not use it.
    pub fn ready(place: &Place) -> anyhow::Result<Docker> {
        let socket = UnixStream::connect(SOCKET).with_context(|| format!("no engine listens on {SOCKET}"))?;
        let daemon_pid = rustix::net::sockopt::socket_peercred(&socket)?.pid.as_raw_nonzero().get();
        make_image(&place.fresh("containers-image")?)?;
        remove(&place.kept("containers-image"))?;
        Ok(Docker { daemon_pid })
    }

    /// The processor time that the engine itself has taken so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.daemon_pid)
    }

    /// Creates a container that prints by `arguments`; `shared` is where its pipes are.
    pub fn create(&self, name: &str, driver: &str, shared: &Path, arguments: &[String]) -> anyhow::Result<Container> {
        let container = Container { name: name.to_owned() };
        container.remove(); // where a run before was broken off
        let mut create = Command::new("docker");
        create.args(["create", "--name", name, "--label", LABEL, "--log-driver", driver, "-v"]);
        create.arg(format!("{}:{SHARED}", shared.display())).args([IMAGE, "/print", "produce", "print"]);
        output(create.args(arguments).arg(SHARED))?;
        Ok(container)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // It takes some megabytes, and is made anew if need be.
        let _ = output(Command::new("docker").args(["rmi", IMAGE]));
    }
}

/// A container, which is removed in the end.
pub struct Container {
    pub name: String,
}

impl Container {
    pub fn start(&self) -> anyhow::Result<()> {
        output(Command::new("docker").args(["start", &self.name])).map(drop)
    }

    /// Waits for its end, which must be a success.
    pub fn wait(&self) -> anyhow::Result<()> {
        let code = output(Command::new("docker").args(["wait", &self.name]))?;
        ensure!(code.trim() == "0", "container {} ended with {}", self.name, code.trim());
        Ok(())
    }

    /// Where its log is.
    pub fn log_path(&self) -> anyhow::Result<PathBuf> {
        let path = output(Command::new("docker").args(["inspect", "--format", "{{.LogPath}}", &self.name]))?;
        ensure!(path.starts_with('/'), "container {} has no log file", self.name);
        Ok(PathBuf::from(path.trim()))
    }

    /// When the engine last wrote to its log, in nanoseconds since 1970; as exact as the file system notes it.
    pub fn logged_ns(&self) -> anyhow::Result<u64> {
        let modified = fs::metadata(self.log_path()?)?.modified()?;
        Ok(modified.duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as u64)
    }

    fn remove(&self) {
        // There may be none.
        let _ = output(Command::new("docker").args(["rm", "--force", &self.name]));
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove();
    }
}

fn make_image(dir: &Path) -> anyhow::Result<()> {
    let root = dir.join("root");
    let program = std::env::current_exe()?;
    fs::create_dir(&root)?;
    fs::copy(&program, root.join("print"))?;
    for library in libraries(&program)? {
        let copy = root.join(library.strip_prefix("/")?);
        fs::create_dir_all(copy.parent().context("a library is in a directory")?)?;
        fs::copy(&library, &copy).with_context(|| format!("cannot copy {}", library.display()))?;
    }
    let tar = dir.join("image.tar");
    output(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."))?;
    output(Command::new("docker").args(["import", "-", IMAGE]).stdin(File::open(&tar)?)).map(drop)
}

/// The libraries that a program is linked with; none for a static one.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = Command::new("ldd").arg(program).output().context("cannot start ldd")?;
    let text = String::from_utf8(listed.stdout)?;
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

/// What a command prints that must succeed.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = command.stderr(Stdio::piped()).output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {} {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8(done.stdout)?)
}

/// The processor time that a process has taken so far, to a hundredth of a second.
pub fn cpu_of(pid: i32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    let (_, fields) = stat.rsplit_once(')').context("a stat file without a name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(Duration::from_secs_f64(ticks / CLOCK_TICKS_A_SECOND))
}
