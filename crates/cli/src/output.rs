//! Where the answers go: standard output, or a pager in front of it.
//!
//! A reader that goes away (`logboom show | head`) is no failure: it comes back as [`OutputError::Closed`], which ends the program
//! quietly with 0. Colours are decided once, from `--color`, `NO_COLOR`, `TERM` and whether a terminal is there.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    thread,
};

use logboom_files::config::OnTerminal;
use rustix::event::{PollFd, PollFlags, poll};

use crate::pager::Pager;

/// How text is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// A terminal will show it: controls in messages are made visible.
    pub for_terminal: bool,
    /// Colours and styles, ours and those of messages.
    pub color: bool,
}

impl Look {
    /// Decides from the flag, whether standard output is a terminal, and the environment.
    pub fn decide(when: OnTerminal, terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> Look {
        let wanted =
            env("NO_COLOR").is_none_or(|value| value.is_empty()) && env("TERM").is_none_or(|term| term != "dumb");
        let color = when == OnTerminal::Always || (when == OnTerminal::Auto && terminal && wanted);
        Look { for_terminal: terminal || when == OnTerminal::Always, color }
    }

    /// The look of this process's standard output.
    pub fn of_stdout(when: OnTerminal) -> Look {
        Look::decide(when, io::stdout().is_terminal(), |name| std::env::var_os(name))
    }

    /// `text` in the style of these SGR parameters, where there are colours.
    pub fn paint(self, sgr: &str, text: &str) -> String {
        if self.color && !sgr.is_empty() { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Why output failed.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The reader has gone; not a failure.
    #[error("nobody reads the output any more")]
    Closed,
    /// The operating system refused.
    #[error("cannot write standard output")]
    Io(#[source] io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> OutputError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => OutputError::Closed,
            _ => OutputError::Io(error),
        }
    }
}

/// Does something as soon as nobody reads standard output any more. Who writes seldom would not see it for long.
///
/// # Errors
/// Where there is no thread to be had.
pub fn when_closed(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let wait = move || {
        let stdout = io::stdout();
        // Asked for nothing it waits for errors: that the other end of a pipe is closed is one. Of a file there are none.
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        if rustix::io::retry_on_intr(|| poll(&mut fds, None)).is_ok() {
            then();
        }
    };
    thread::Builder::new().name("closed".to_owned()).spawn(wait).map(drop)
}

/// Standard output, or a pager.
pub enum Out {
    /// Standard output itself.
    Stdout(io::StdoutLock<'static>),
    /// A pager that shows it page by page.
    Pager(Pager),
}

impl Out {
    /// Standard output.
    pub fn stdout() -> Out {
        Out::Stdout(io::stdout().lock())
    }

    /// Writes all of `bytes` and hands them on at once.
    ///
    /// # Errors
    /// [`OutputError::Closed`] when nobody reads any more.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        match self {
            Out::Stdout(out) => out.write_all(bytes).and_then(|()| out.flush())?,
            Out::Pager(pager) => pager.write_all(bytes)?,
        }
        Ok(())
    }

    /// Ends the output: waits until the person has left the pager.
    ///
    /// # Errors
    /// Where the pager cannot be waited for.
    pub fn finish(self) -> Result<(), OutputError> {
        match self {
            Out::Stdout(_) => Ok(()),
            Out::Pager(pager) => Ok(pager.finish()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(when: OnTerminal, terminal: bool, set: &[(&str, &str)]) -> (bool, bool) {
        let env = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let look = Look::decide(when, terminal, env);
        (look.for_terminal, look.color)
    }

    #[test]
    fn colours_are_for_terminals_unless_somebody_objects() {
        assert_eq!(look(OnTerminal::Auto, true, &[]), (true, true));
        assert_eq!(look(OnTerminal::Auto, true, &[("NO_COLOR", "")]), (true, true));
        assert_eq!(look(OnTerminal::Auto, true, &[("NO_COLOR", "1")]), (true, false));
        assert_eq!(look(OnTerminal::Auto, true, &[("TERM", "dumb")]), (true, false));
        assert_eq!(look(OnTerminal::Auto, false, &[]), (false, false));
    }

    #[test]
    fn the_flag_beats_the_environment() {
        assert_eq!(look(OnTerminal::Always, false, &[("NO_COLOR", "1")]), (true, true));
        assert_eq!(look(OnTerminal::Never, true, &[]), (true, false));
    }
}
