//! Terminals for the command: one for each stream, or one for everything.
//!
//! A stream's terminal changes no byte (output processing is off) and is nobody's controlling terminal, so a program
//! sees a terminal with the width of ours while signals and job control stay with the real one. The full terminal is an
//! ordinary one; ours is then in raw mode, which [`RawMode`] takes back on every way out.

mod modes;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Weak},
};

use rustix::{
    fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open},
    process::{Pid, getpgrp},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    stdio::{stderr, stdin, stdout},
    termios::{
        OptionalActions, OutputModes, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
        tcsetwinsize,
    },
};

pub(crate) use self::modes::Modes;

/// What a terminal of unknown size is taken for.
const USUAL_SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// Opens a terminal that carries one stream unchanged: our end, which never blocks, and the command's.
pub(crate) fn open_for_stream() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    let mut modes = our_terminal().map_or_else(|| tcgetattr(&theirs), tcgetattr)?;
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    never_block(&ours)?;
    Ok((ours, theirs))
}

/// Gives a full terminal the modes of ours, if we have one.
pub(crate) fn copy_modes(to: BorrowedFd<'_>) -> io::Result<()> {
    if let Some(terminal) = our_terminal() {
        tcsetattr(to, OptionalActions::Now, &tcgetattr(terminal)?)?;
    }
    Ok(())
}

/// Makes reads and writes on `fd` return instead of waiting.
pub(crate) fn never_block(fd: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?)
}

/// The first of stdin, stdout and stderr that is a terminal.
fn our_terminal() -> Option<BorrowedFd<'static>> {
    [stdin(), stdout(), stderr()].into_iter().find(|fd| isatty(fd))
}

/// The process group in the foreground of our controlling terminal.
pub(crate) fn foreground_group() -> Option<Pid> {
    let terminal = open("/dev/tty", OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    tcgetpgrp(terminal).ok()
}

/// Keeps the size of the command's terminals in step with ours.
#[derive(Default)]
pub(crate) struct Sizes {
    // Weak, because the thread that reads a terminal decides when it is closed.
    terminals: Vec<(Option<BorrowedFd<'static>>, Weak<OwnedFd>)>,
}

impl Sizes {
    /// Gives the terminal behind `ours` the size of `like`, else of any terminal of ours, else 80 x 24; from now on.
    pub(crate) fn follow(&mut self, like: BorrowedFd<'static>, ours: &Arc<OwnedFd>) -> io::Result<()> {
        let like = Some(like).filter(|fd| isatty(fd)).or_else(our_terminal);
        let size = like.and_then(size_of).unwrap_or(USUAL_SIZE);
        tcsetwinsize(ours, size)?;
        self.terminals.push((like, Arc::downgrade(ours)));
        Ok(())
    }

    /// Whether there is anything to keep in step.
    pub(crate) fn is_empty(&self) -> bool {
        self.terminals.iter().all(|(like, ours)| like.is_none() || ours.strong_count() == 0)
    }

    /// Looks at our terminals' sizes again; whether any has changed.
    pub(crate) fn update(&self) -> bool {
        self.terminals.iter().fold(false, |changed, (like, ours)| update_one(*like, ours) || changed)
    }
}

fn update_one(like: Option<BorrowedFd<'static>>, ours: &Weak<OwnedFd>) -> bool {
    let (Some(size), Some(ours)) = (like.and_then(size_of), ours.upgrade()) else { return false };
    let changed = tcgetwinsize(&ours).is_ok_and(|now| (now.ws_row, now.ws_col) != (size.ws_row, size.ws_col));
    changed && tcsetwinsize(&ours, size).is_ok()
}

/// The size of a terminal that has one: a serial line says 0 x 0.
fn size_of(terminal: BorrowedFd<'static>) -> Option<Winsize> {
    tcgetwinsize(terminal).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0)
}

/// Our terminal in raw mode; dropping it gives back the modes it had.
#[derive(Debug)]
pub struct RawMode {
    saved: Option<Termios>,
}

impl RawMode {
    /// Makes our standard input raw if it is a terminal and `wanted`.
    pub fn enter_if(wanted: bool) -> RawMode {
        let saved = if wanted { tcgetattr(stdin()).ok() } else { None };
        let raw = RawMode { saved };
        raw.resume();
        raw
    }

    /// Makes it raw again after [`RawMode::pause`].
    pub(crate) fn resume(&self) {
        if let Some(mut modes) = self.saved.clone() {
            modes.make_raw();
            set_modes(&modes);
        }
    }

    /// Gives the terminal back for a while.
    pub(crate) fn pause(&self) {
        if let Some(modes) = &self.saved {
            set_modes(modes);
        }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.pause();
    }
}

/// In the background the terminal is somebody else's: setting its modes would stop us (SIGTTOU).
fn set_modes(modes: &Termios) {
    if tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp()) {
        // A terminal that is gone needs no modes.
        let _ = tcsetattr(stdin().as_fd(), OptionalActions::Now, modes);
    }
}
