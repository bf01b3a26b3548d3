//! What is kept where fsync fails: on a disk that takes what is written and cannot bring it to its medium. What was written
//! can be read until the system forgets it, which mounting the disk anew makes it do.
#![allow(clippy::unwrap_used, reason = "a test's helper may fail as the test does")]

mod common;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{Logboom, Running, wait_until};
use rustix::fs::{FallocateFlags, fallocate};
use serde_json::Value;
use tempfile::TempDir;

/// How many lines are printed while the disk works; then comes the line `second`.
const FIRST: u64 = 5_000;
/// How many records there are in all: many times what the medium has room for, and few enough for the slots of a tail.
const RECORDS: u64 = 150_001;

/// The program that prints numbered lines, each whole by one write(2), so that each is one record; see `examples/numbers.rs`.
fn numbers() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_logboom")).with_file_name("examples").join("numbers")
}

/// The message of a record.
fn printed(seq: u64) -> String {
    match seq.checked_sub(FIRST + 1) {
        None => format!("line {seq}"),
        Some(0) => "second".to_owned(),
        Some(number) => format!("line {number}"),
    }
}

/// What fsync says: the loop device has no room, or ext4 could not note that it had written something.
const ERRORS: [&str; 2] = ["disk full", "Input/output error"];

/// A mounted file system, unmounted when dropped.
struct Mount(TempDir);

impl Mount {
    fn new(args: &[&OsStr]) -> Mount {
        let dir = tempfile::tempdir().unwrap();
        mount(args, &dir);
        Mount(dir)
    }
}

fn mount(args: &[&OsStr], at: &TempDir) {
    let mounted = Command::new("mount").args(args).arg(at.path()).status().unwrap();
    assert!(mounted.success(), "mounting {args:?} needs root and loop devices: run the tests as root");
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, so that nothing stays mounted where a test fails; the loop device goes with its last user.
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// An ext4 whose image is a sparse file on a small tmpfs. When that is full, ext4 knows nothing of it and takes writes as
/// before; to write them back fails. Its own tables have their room, so that only what files hold is lost.
struct ThinDisk {
    // Dropped in this order.
    disk: Mount,
    medium: Mount,
}

impl ThinDisk {
    fn new() -> ThinDisk {
        let medium = Mount::new(&["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs"].map(OsStr::new));
        let image = medium.0.path().join("image");
        File::create_new(&image).unwrap().set_len(32 << 20).unwrap();
        let mkfs =
            ["-q", "-F", "-b", "4096", "-N", "256", "-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=0"];
        let made = Command::new("mkfs.ext4").args(mkfs).arg(&image).status().unwrap();
        assert!(made.success(), "mkfs.ext4 {}", image.display());
        let tables = File::options().write(true).open(&image).unwrap();
        fallocate(&tables, FallocateFlags::empty(), 0, 256 << 10).unwrap();
        let disk = Mount::new(&[OsStr::new("-o"), OsStr::new("loop"), image.as_os_str()]);
        ThinDisk { disk, medium }
    }

    fn image(&self) -> PathBuf {
        self.medium.0.path().join("image")
    }

    fn filler(&self) -> PathBuf {
        self.medium.0.path().join("filler")
    }

    /// Whether this line of a text log is on the medium.
    fn has_line(&self, message: &str) -> bool {
        let grep = Command::new("grep").args(["-aq", &format!(" O I {message}$")]).arg(self.image()).status();
        grep.unwrap().success()
    }

    /// From now on nothing new reaches the medium.
    fn fill(&self) {
        let mut filler = File::create_new(self.filler()).unwrap();
        while filler.write_all(&[0; 4_096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    /// Forgets all that the medium does not have.
    fn mount_anew(&self) {
        let unmounted = Command::new("umount").arg(self.disk.0.path()).status().unwrap();
        assert!(unmounted.success(), "somebody still uses the disk");
        mount(&[OsStr::new("-o"), OsStr::new("loop"), self.image().as_os_str()], &self.disk.0);
    }
}

/// A run on such a disk, which prints on when it is told to.
struct Run {
    disk: ThinDisk,
    logboom: Logboom,
    running: Running,
}

impl Run {
    /// Whose first lines are on the medium, and whose next ones will not be.
    fn start(options: &[&str], script: &str) -> Run {
        let disk = ThinDisk::new();
        let logboom = Logboom::in_dir(disk.disk.0.path().join("logs"));
        let (numbers, rest) = (numbers(), RECORDS - FIRST - 1);
        let script =
            format!("\"$0\" /dev/null {FIRST}; read go; echo second; read go; \"$0\" /dev/null {rest}; {script}");
        let mut command = logboom.command(["run"]);
        command.args(options).args(["--", "sh", "-c", &script]).arg(numbers);
        let running = Running::of(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut run = Run { disk, logboom, running };
        // One sync may have been anybody's; the next begins when the writer has noted that its last one went well.
        run.wait_for_sync(&printed(FIRST));
        run.go_on();
        run.wait_for_sync(&printed(FIRST + 1));
        run.disk.fill();
        run
    }

    fn wait_for_sync(&self, line: &str) {
        wait_until(|| self.disk.has_line(line));
    }

    fn go_on(&mut self) {
        self.running.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

#[test]
fn without_a_boom_file_what_the_disk_did_not_take_is_a_gap() {
    let mut run = Run::start(&["--no-boom"], "exit 3");
    run.go_on();
    let Run { disk, logboom, running } = run;
    check_command(running);
    let verify = logboom.json(["verify", "--json"]);
    let closed: Vec<&Value> = verify["gaps"].as_array().unwrap().iter().filter(|gap| !gap["to"].is_null()).collect();
    assert!(
        closed.iter().all(|gap| ERRORS.iter().any(|why| gap["why"].as_str().unwrap().starts_with(why))),
        "{verify}"
    );
    let lost = closed.iter().map(|gap| gap["to"].as_u64().unwrap() - gap["from"].as_u64().unwrap() + 1).sum::<u64>();
    assert!(lost > 0 && lost + verify["records"].as_u64().unwrap() == RECORDS, "{verify}");
    assert_eq!(verify["damaged"].as_array().unwrap().len(), 0, "{verify}");
    check_kept(&logboom, FIRST + 1);
    disk.make_room();
    disk.mount_anew();
    logboom.run(["verify"]).expect(1);
    check_kept(&logboom, FIRST + 1);
}

#[test]
fn a_boom_file_can_be_read_while_the_system_has_it_and_then_says_what_is_missing() {
    let mut run = Run::start(&[], "exit 3");
    run.go_on();
    let Run { disk, logboom, running } = run;
    check_command(running);
    check_kept(&logboom, FIRST + 1);
    disk.make_room();
    disk.mount_anew();
    logboom.run(["verify"]).expect(1);
    // The second line was seen on the medium, but perhaps in the text log only.
    check_kept(&logboom, FIRST);
}

#[test]
fn who_follows_a_text_log_gets_each_record_once_though_it_is_cut_back() {
    let mut run = Run::start(&["--no-boom", "--quiet"], "read go; echo last");
    let seen = run.logboom.path("seen");
    let mut follow = run.logboom.command(["tail", "-f", "-n", "1000000", "--json"]);
    let follower = Running::of(follow.stdout(File::create(&seen).unwrap()));
    wait_until(|| fs::read_to_string(&seen).unwrap().contains(r#""message":"second""#));
    let log = run.logboom.session_file("exec_sh.log");
    run.go_on();
    wait_until(|| fs::read_to_string(&log).unwrap().contains(" - W lost seq "));
    run.disk.make_room();
    run.go_on();
    let Run { disk, logboom, running } = run;
    running.done().expect(0);
    follower.done().expect(0);
    let seen = fs::read_to_string(&seen).unwrap();
    let entries: Vec<Value> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, before) = entries.split_last().unwrap();
    assert_eq!((last["seq"].as_u64(), last["message"].as_str()), (Some(RECORDS + 1), Some("last")), "{last}");
    check_entries(before, FIRST + 1);
    check_kept(&logboom, FIRST + 1);
    drop(disk);
}

/// The command ends with its own exit code, all that it printed is passed on, and there is one warning.
fn check_command(running: Running) {
    let done = running.done().expect(3);
    let printed: String = (1..=RECORDS).map(|seq| printed(seq) + "\n").collect();
    assert!(done.text() == printed, "the output was changed");
    assert!(done.stderr.lines().count() == 1 && done.stderr.contains("/sessions/"), "one warning: {}", done.stderr);
}

/// The first so many records can be read as they were printed. Of the rest each is read so, or is in a gap.
fn check_kept(logboom: &Logboom, acknowledged: u64) {
    let entries = logboom.jsons(["show", "--json"]);
    check_entries(entries.iter().filter(|entry| entry["message"] != "last"), acknowledged);
}

fn check_entries<'a>(entries: impl IntoIterator<Item = &'a Value>, acknowledged: u64) {
    let mut next = 1;
    for entry in entries {
        if entry.get("message").is_some() {
            assert_eq!(
                (entry["seq"].as_u64(), entry["message"].as_str()),
                (Some(next), Some(&*printed(next))),
                "{entry}"
            );
            next += 1;
        } else {
            next = check_gap(entry, next, acknowledged);
        }
    }
    assert!(next == RECORDS + 1 || next == u64::MAX, "{next}");
}

/// Gives the seq after a gap, which begins where the records before it ended.
fn check_gap(entry: &Value, next: u64, acknowledged: u64) -> u64 {
    let gap = entry.get("gap").unwrap_or(entry);
    assert!(gap["from"].as_u64() == Some(next) && next > acknowledged, "{entry} where {next} was due");
    gap["to"].as_u64().map_or(u64::MAX, |to| to + 1)
}
