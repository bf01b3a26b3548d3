//! The Docker engine that `make test` found or started, and containers of a test's own.

#[path = "../../../capture/tests/docker/image.rs"]
mod image;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

pub use image::IMAGE;
use tempfile::TempDir;

use super::{Logboom, signal, wait_until};

const NO_ENGINE: &str =
    "these tests need a Docker engine and its client: `make test` starts one where none runs (see docs/guide.md)";

/// Runs `docker` to its end, and gives what it printed.
#[track_caller]
pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect(NO_ENGINE);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    assert!(output.status.success(), "docker {args:?}: {}\n{NO_ENGINE}", text(&output.stderr));
    text(&output.stdout)
}

/// The engine's socket.
pub fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    PathBuf::from(host.strip_prefix("unix://").expect("these tests need an engine on this machine"))
}

/// Makes the image where it is not there yet.
pub fn make_image() {
    image::make(&["docker"]);
}

/// An engine on another machine, as it were: its socket by connections over TCP, which can be cut.
pub struct Proxy {
    pub host: String,
    clients: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Of the engine of the tests.
    pub fn start() -> Proxy {
        Proxy::to(socket())
    }

    /// Of an engine that may go away meanwhile.
    pub fn to(socket: PathBuf) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        let clients: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let theirs = Arc::clone(&clients);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Where the engine is gone the connection ends.
                let Ok(engine) = UnixStream::connect(&socket) else { continue };
                theirs.lock().unwrap().push(client.try_clone().unwrap());
                let (to, from) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || (pump(from, &to), to.shutdown(Shutdown::Write)));
                thread::spawn(move || (pump(engine, &client), client.shutdown(Shutdown::Both)));
            }
        });
        Proxy { host, clients }
    }

    /// Breaks all connections.
    pub fn cut_all(&self) {
        self.clients.lock().unwrap().drain(..).for_each(|client| drop(client.shutdown(Shutdown::Both)));
    }
}

/// An engine that is killed may leave an error instead of an end.
fn pump(mut from: impl Read, mut to: impl Write) {
    let _ = std::io::copy(&mut from, &mut to);
}

/// Holds containers up until a test lets them go on.
pub struct Gate(TempDir);

impl Gate {
    pub fn new() -> Gate {
        Gate(tempfile::tempdir().unwrap())
    }

    /// The volume that a container needs for it, as `-v` of `docker create` has it.
    pub fn volume(&self) -> String {
        format!("{}:/gate:ro", self.0.path().display())
    }

    /// The part of a shell script that waits for it.
    pub fn wait(&self) -> &'static str {
        "while ! [ -e /gate/open ]; do sleep 0.05; done"
    }

    pub fn open(&self) {
        std::fs::write(self.0.path().join("open"), "").unwrap();
    }
}

/// What a container runs to print numbered lines on both streams, as fast as it goes.
pub fn numbered(lines: u32) -> String {
    let filler = "x".repeat(100);
    format!(
        "awk 'BEGIN {{ for (i = 1; i <= {lines}; i++) {{ printf \"out %07d {filler}\\n\", i; \
         if (i % 10 == 0) printf \"err %07d\\n\", i > \"/dev/stderr\" }} }}'"
    )
}

/// A container that goes with the test.
pub struct Container {
    pub name: String,
}

impl Container {
    /// A name that no other test has, also in another process.
    pub fn named(test: &str) -> Container {
        make_image();
        Container { name: format!("logboom-{test}-{}", std::process::id()) }
    }

    /// Creates it, with these options of `docker create`, to run this script.
    #[track_caller]
    pub fn create(&self, options: &[&str], script: &str) {
        let mut args = vec!["create", "--name", &self.name];
        args.extend(options);
        args.extend([IMAGE, "/bin/sh", "-c", script]);
        docker(&args);
    }

    /// Starts it.
    #[track_caller]
    pub fn start(&self) {
        docker(&["start", &self.name]);
    }

    /// Creates and starts it.
    #[track_caller]
    pub fn run(&self, options: &[&str], script: &str) {
        self.create(options, script);
        self.start();
    }

    /// Removes it, running or not.
    pub fn remove(&self) {
        let mut remove = Command::new("docker");
        // It may have gone by itself.
        let _ = remove.args(["rm", "-fv", &self.name]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove();
    }
}

/// An engine of a test's own, to be killed: in a network namespace, where it cannot harm the machine's.
pub struct OwnEngine {
    dir: TempDir,
    child: Child,
}

impl OwnEngine {
    /// One that leaves its containers running when it ends.
    pub fn start() -> OwnEngine {
        let dir = tempfile::tempdir().unwrap();
        let child = OwnEngine::spawn(dir.path());
        let engine = OwnEngine { dir, child };
        engine.wait();
        image::make(&["docker", "-H", &engine.host()]);
        engine
    }

    fn spawn(dir: &Path) -> Child {
        let path = |name: &str| dir.join(name).display().to_string();
        let mut engine = Command::new("unshare");
        engine.args(["--net", "dockerd", "--live-restore", "--bridge=none", "--iptables=false", "--ip-forward=false"]);
        engine.args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")]);
        engine.args(["-H", &format!("unix://{}", path("sock"))]);
        let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
        engine.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn wait(&self) {
        let host = self.host();
        wait_until(|| {
            let mut info = Command::new("docker");
            info.args(["-H", &host, "info"]).stdout(Stdio::null()).stderr(Stdio::null());
            info.status().unwrap().success()
        });
    }

    /// Where it is reached.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    /// The same, as an option has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Runs `docker` with it.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> String {
        docker(&[&["-H", &self.host()], args].concat())
    }

    /// What it kept of a container's output, of the streams that this redirection of a shell leaves.
    pub fn logs(&self, container: &str, redirection: &str) -> String {
        let script = format!("docker -H {} logs {container} {redirection}", self.host());
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Ends it by a signal, `-TERM` say; the containers go on.
    pub fn end(&mut self, name: &str) {
        signal(name, self.child.id());
        self.child.wait().unwrap();
    }

    /// Starts it again.
    pub fn restart(&mut self) {
        // What was killed leaves these, and their numbers may be those of other processes, or of zombies.
        for pid in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(self.dir.path().join(pid));
        }
        self.child = OwnEngine::spawn(self.dir.path());
        self.wait();
    }
}

impl Drop for OwnEngine {
    /// Leaves nothing running, as far as that can be had of an engine that was killed.
    fn drop(&mut self) {
        let remove = format!("docker -H {0} ps -aq | xargs -r docker -H {0} rm -fv", self.host());
        let containerd = self.dir.path().join("exec/containerd/containerd.pid");
        let end = format!("kill {} $(cat {})", self.child.id(), containerd.display());
        for script in [remove, end] {
            let _ = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        let _ = self.child.wait();
    }
}

/// Starts to follow.
pub fn follow(logboom: &Logboom, args: &[&str]) -> Child {
    let mut all = vec!["docker"];
    all.extend(args);
    logboom.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a session of it is there and written.
pub fn wait_for_session(logboom: &Logboom) {
    let sessions = logboom.data().join("sessions");
    let has_boom = |dir: std::fs::DirEntry| dir.path().join("records.boom").exists();
    wait_until(|| std::fs::read_dir(&sessions).is_ok_and(|dirs| dirs.flatten().any(has_boom)));
}

/// What was printed on a stream, line by line; nothing may be missing.
pub fn messages(logboom: &Logboom, stream: &str) -> Vec<String> {
    logboom.run(["show", "--raw", "--stream", stream]).expect(0).lines()
}
