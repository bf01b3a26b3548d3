//! Runs `examples/capture` and looks at what it kept, what it passed on and how it ended.
#![allow(dead_code, reason = "every test file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a test's support fails as a test does")]

use std::{
    fs,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The driver as a program: `cargo test` builds the examples beside the tests (but not if told `--test NAME`).
pub fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/capture");
    assert!(program.exists(), "{} is missing: cargo build -p logboom-capture --examples", program.display());
    program
}

/// A directory for one run, and the driver's command line.
pub struct Capture {
    dir: TempDir,
    pub command: Command,
}

/// How a run ended.
pub struct Done {
    pub status: ExitStatus,
    /// What was passed on.
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// What the sink got.
    pub kept_stdout: Vec<u8>,
    pub kept_stderr: Vec<u8>,
    pub report: String,
    /// What the sink was told: `started PID`, and the streams as they ended.
    pub told: String,
}

pub fn capture(options: &[&str], command: &[&str]) -> Capture {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = Command::new(program());
    driver.arg(dir.path()).args(options).arg("--").args(command);
    Capture { dir, command: driver }
}

impl Capture {
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn run(mut self) -> Done {
        let child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.wait(child)
    }

    pub fn spawn(&mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn wait(self, child: Child) -> Done {
        let output = child.wait_with_output().unwrap();
        self.done(output.status, output.stdout, output.stderr)
    }

    pub fn done(self, status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8>) -> Done {
        let kept = |name| fs::read(self.dir.path().join(name)).unwrap();
        Done {
            status,
            stdout,
            stderr,
            kept_stdout: kept("stdout"),
            kept_stderr: kept("stderr"),
            report: String::from_utf8(kept("report")).unwrap(),
            told: String::from_utf8(kept("ended")).unwrap(),
        }
    }

    /// Waits until the sink has got `text` on stdout.
    pub fn wait_for_kept(&self, text: &str) {
        let file = self.dir.path().join("stdout");
        wait_until(text, || fs::read(&file).is_ok_and(|kept| contains(&kept, text.as_bytes())));
    }
}

pub fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What the sink was told so far.
pub fn told(dir: &Path) -> String {
    fs::read_to_string(dir.join("ended")).unwrap_or_default()
}

/// Looks until it is so.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "waited too long for: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until `value` is the same for `calm`, and gives it.
pub fn wait_until_calm<T: PartialEq>(calm: Duration, mut value: impl FnMut() -> T) -> T {
    let (mut last, mut since, start) = (value(), Instant::now(), Instant::now());
    while since.elapsed() < calm {
        assert!(start.elapsed() < PATIENCE, "never became calm");
        thread::sleep(Duration::from_millis(5));
        let now = value();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// Whether a process lives: a zombie does not.
pub fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

/// Waits for a file that ends with a newline, and reads it.
pub fn read_when_written(file: &Path) -> String {
    let mut text = String::new();
    wait_until(&file.display().to_string(), || {
        text = fs::read_to_string(file).unwrap_or_default();
        text.ends_with('\n')
    });
    text
}

/// A terminal with a program in it that leads its session, as a terminal emulator has one.
pub struct Terminal {
    master: Arc<OwnedFd>,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
    pub child: Child,
}

impl Terminal {
    pub fn start(command: Command) -> Terminal {
        let (master, slave) = pty_process::blocking::open().unwrap();
        master.resize(pty_process::Size::new(33, 111)).unwrap();
        let child = pty_process::blocking::Command::from(command).spawn(slave).unwrap();
        let (master, screen) = (Arc::new(OwnedFd::from(master)), Arc::new(Mutex::new(Vec::new())));
        let (source, target) = (Arc::clone(&master), Arc::clone(&screen));
        let reader = thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(count @ 1..) = rustix::io::read(&source, &mut buffer) {
                target.lock().unwrap().extend(&buffer[..count]);
            }
        });
        Terminal { master, screen, reader, child }
    }

    pub fn press(&self, keys: &str) {
        rustix::io::write(&self.master, keys.as_bytes()).unwrap();
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    /// The modes of the terminal, as its programs see them.
    pub fn modes(&self) -> rustix::termios::Termios {
        rustix::termios::tcgetattr(&self.master).unwrap()
    }

    pub fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !contains(&self.screen.lock().unwrap(), text.as_bytes()) {
            assert!(start.elapsed() < PATIENCE, "{text:?} never appeared in: {}", self.shown());
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Waits for the program's end, and gives all that was on the screen.
    pub fn finish(mut self) -> (ExitStatus, Vec<u8>) {
        let mut status = None;
        wait_until("the terminal's program to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.reader.join().unwrap();
        let screen = self.screen.lock().unwrap().clone();
        (status.unwrap(), screen)
    }
}

/// Reads a stream to its end in a thread.
pub fn read_all(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    })
}

/// A file with random bytes.
pub fn random_file(path: &Path, bytes: usize) -> Vec<u8> {
    let mut random = vec![0; bytes];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    fs::File::create(path).unwrap().write_all(&random).unwrap();
    random
}
