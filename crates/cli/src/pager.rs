//! A pager in front of standard output, for `show` on a terminal.
//!
//! `LOGBOOM_PAGER`, else `PAGER`, else `less`; an empty one or `cat` means none, and one that cannot be started is no
//! reason to fail: the text then goes straight to the terminal. While the pager runs, Ctrl-C is its own (less stops
//! a search with it): logboom goes on until the pager closes the pipe.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, atomic::AtomicBool},
};

/// What less does unless LESS says otherwise: leave at once if it all fits on a screen, let colours pass, leave the text
/// on the screen.
const LESS: &str = "FRX";

/// A running pager.
pub struct Pager {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Pager {
    /// Starts the pager that the environment names; `None` where none is wanted or none can be started.
    pub fn start(env: impl Fn(&str) -> Option<OsString>) -> Option<Pager> {
        let words = command(&env)?;
        let (program, arguments) = words.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped());
        if env("LESS").is_none() {
            command.env("LESS", LESS);
        }
        let mut child = command.spawn().ok()?;
        // A handler that only notes the signal is the portable way to ignore it here and not in the pager.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::new(AtomicBool::new(false)));
        let stdin = child.stdin.take();
        Some(Pager { child, stdin })
    }

    /// Closes the pager's input and waits until the person leaves it.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn finish(mut self) -> io::Result<()> {
        self.stdin = None;
        self.child.wait().map(|_| ())
    }
}

impl Drop for Pager {
    /// An error must not give the terminal back to the shell while the pager still owns it.
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.wait();
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The words of the pager's command line; through a shell where it needs one.
fn command(env: impl Fn(&str) -> Option<OsString>) -> Option<Vec<String>> {
    let line = env("LOGBOOM_PAGER")
        .or_else(|| env("PAGER"))
        .map_or_else(|| "less".into(), |line| line.to_string_lossy().into_owned());
    let line = line.trim();
    if line.is_empty() || line == "cat" {
        return None;
    }
    if line.contains(|c: char| "|&;<>()$`\\\"'*?[#~%=".contains(c)) {
        return Some(vec!["sh".into(), "-c".into(), line.into()]);
    }
    Some(line.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(set: &[(&str, &str)]) -> Option<Vec<String>> {
        command(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn the_pager_is_what_the_environment_names() {
        assert_eq!(words(&[]).unwrap(), ["less"]);
        assert_eq!(words(&[("PAGER", "more -d")]).unwrap(), ["more", "-d"]);
        assert_eq!(words(&[("PAGER", "more"), ("LOGBOOM_PAGER", "most")]).unwrap(), ["most"]);
        assert_eq!(words(&[("PAGER", "sed 's/a/b/' | less")]).unwrap(), ["sh", "-c", "sed 's/a/b/' | less"]);
    }

    #[test]
    fn an_empty_pager_and_cat_mean_none() {
        assert_eq!(words(&[("PAGER", "")]), None);
        assert_eq!(words(&[("PAGER", "less"), ("LOGBOOM_PAGER", " cat ")]), None);
    }
}
