//! How the program ends: decided by the commands, carried out here.
//!
//! A wrapper must end as what it wraps, so that `$?`, `set -e` and `make` see no difference. Where the command died of a
//! signal logboom dies of the same one, but without a core dump of its own.

use std::process::ExitCode;

use logboom_capture::command;

/// Exit code of `run` and `exec` when logboom itself could not do its work.
pub const WRAPPER_FAILED: u8 = 125;

/// Exit code of the other commands when they could not do all of what was asked.
pub const FAILED: u8 = 2;

/// How the program is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked: 0.
    Done,
    /// The answer is no: nothing found, or something lost or damaged: 1.
    No,
    /// As the captured command did.
    Code(u8),
    /// Of the signal that the captured command died of.
    Signal(i32),
}

impl Exit {
    /// The code to return from `main`, unless a signal ends the process here.
    pub fn carry_out(self) -> ExitCode {
        match self {
            Exit::Done => ExitCode::SUCCESS,
            Exit::No => ExitCode::from(1),
            Exit::Code(code) => ExitCode::from(code),
            Exit::Signal(signal) => {
                command::die_of(signal);
                // Even that did not end us: what a shell would show for it.
                ExitCode::from(u8::try_from(128 + signal).unwrap_or(WRAPPER_FAILED))
            }
        }
    }
}
