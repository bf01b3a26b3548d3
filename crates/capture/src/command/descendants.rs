//! Finds the processes that descend from us, and signals them one by one.
//!
//! Never a process group: the command shares ours with whoever started us. Processes come and go while the table is
//! read, so one look may miss some; the caller looks again until none is left. A process is named by its id and its
//! start, and signalled through a pidfd, so that a reused id is never hit.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use rustix::{
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, pidfd_open, pidfd_send_signal, waitid,
    },
};

use super::Survivor;

/// One row of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) name: String,
    pub(super) state: u8,
    pub(super) parent: i32,
    pub(super) group: i32,
    started: u64,
}

impl Process {
    /// The process with this id, if there is one.
    pub(super) fn read(pid: i32) -> Option<Process> {
        parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Sends it a signal; an error says why that is not allowed or possible, a process that is gone is none.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        let sent = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(_) | Err(Errno::NOSYS) if Process::read(self.pid).is_none_or(|now| now.started != self.started) => {
                Ok(())
            }
            Ok(fd) => pidfd_send_signal(fd, signal),
            Err(Errno::NOSYS) => kill_process(pid, signal),
            Err(errno) => Err(errno),
        };
        if sent == Err(Errno::SRCH) { Ok(()) } else { sent }
    }

    fn survivor(&self) -> Survivor {
        Survivor { pid: self.pid, program: self.name.clone() }
    }
}

/// The line of /proc/PID/stat; the name may contain anything, so what follows is found after its last parenthesis.
fn parse(stat: &[u8]) -> Option<Process> {
    let stat = String::from_utf8_lossy(stat);
    let (before, after) = stat.rsplit_once(") ")?;
    let (pid, name) = before.split_once(" (")?;
    let mut fields = after.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let started = fields.nth(16)?.parse().ok()?;
    Some(Process { pid: pid.parse().ok()?, name: name.to_owned(), state, parent, group, started })
}

/// The ids of our own children: before the command is started, they are none of its descendants.
pub(super) fn children_of_ours() -> HashSet<i32> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if matches!(waitid(WaitId::All, look), Err(Errno::CHILD)) {
        return HashSet::new(); // as nearly always, and much faster than reading the table
    }
    let us = getpid().as_raw_nonzero().get();
    table().into_iter().filter(|process| process.parent == us).map(|process| process.pid).collect()
}

fn table() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(Process::read).collect()
}

/// The living processes below us, except for the `strangers` and what is below them.
pub(super) fn alive(strangers: &HashSet<i32>) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in table() {
        children.entry(process.parent).or_default().push(process);
    }
    let (mut found, mut parents) = (Vec::new(), vec![getpid().as_raw_nonzero().get()]);
    while let Some(parent) = parents.pop() {
        for process in children.remove(&parent).into_iter().flatten() {
            if !strangers.contains(&process.pid) {
                parents.push(process.pid);
                found.push(process);
            }
        }
    }
    found.retain(|process| !matches!(process.state, b'Z' | b'X'));
    found
}

/// Sends SIGTERM, and SIGCONT so that the stopped ones hear it, to every descendant once. Processes that are started
/// meanwhile are found by looking again; those started later may be somebody's cleaning up and are left to it.
pub(super) fn terminate(strangers: &HashSet<i32>) {
    let mut told = HashSet::new();
    for _look in 0..100 {
        let before = told.len();
        for process in alive(strangers) {
            if told.insert((process.pid, process.started)) {
                // What cannot be signalled is found again, and reported, when it is to be killed.
                let _ = process.signal(Signal::TERM).and_then(|()| process.signal(Signal::CONT));
            }
        }
        if told.len() == before {
            return;
        }
    }
}

/// What one round of killing found.
pub(super) struct Killed {
    /// Those that were sent SIGKILL.
    pub(super) sent: Vec<Survivor>,
    /// Those that may not be signalled.
    pub(super) refused: Vec<Survivor>,
}

/// Sends SIGKILL to every descendant.
pub(super) fn kill(strangers: &HashSet<i32>) -> Killed {
    let mut killed = Killed { sent: Vec::new(), refused: Vec::new() };
    for process in alive(strangers) {
        let list = if process.signal(Signal::KILL).is_ok() { &mut killed.sent } else { &mut killed.refused };
        list.push(process.survivor());
    }
    killed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read() {
        let stat = b"42 (a) (b c) S 7 8 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 777 1 2 3";
        let process = parse(stat).unwrap();
        assert_eq!((process.pid, process.name.as_str()), (42, "a) (b c"));
        assert_eq!((process.state, process.parent, process.group, process.started), (b'S', 7, 8, 777));
    }

    #[test]
    fn a_reused_id_is_not_signalled() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let mut process = Process::read(child.id().cast_signed()).unwrap();
        process.started -= 1;
        process.signal(Signal::KILL).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        process.started += 1;
        process.signal(Signal::KILL).unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
