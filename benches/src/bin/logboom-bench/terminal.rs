//! A terminal that a command prints to, and that is read at once, as a fast terminal emulator does.

use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::{fs::File, io, thread};

use anyhow::anyhow;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use logboom_bench::measure::{self, Cost};

/// Runs `command` to its end, its standard output a terminal.
///
/// # Errors
/// If there is no terminal to be had, or the command fails.
pub fn run(command: &mut Command) -> anyhow::Result<Cost> {
    let (ours, theirs) = open()?;
    let drain = thread::spawn(move || drain(ours.into()));
    let cost = measure::run(command.stdout(theirs));
    command.stdout(Stdio::null()); // drops our copy of their end, or the terminal would never end
    drain.join().map_err(|_| anyhow!("the reader of the terminal panicked"))??;
    cost
}

fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    Ok((ours, theirs))
}

fn drain(mut terminal: File) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match terminal.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // How a terminal says that its last user is gone.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_has_a_terminal_and_a_failure_is_told() {
        run(Command::new("sh").args(["-c", "test -t 1 && seq 100000"])).unwrap();
        assert!(run(&mut Command::new("false")).is_err());
    }
}
