//! Keeps our terminal's modes in step with those that the command sets on its own.
//!
//! Most programs set the modes of their input, which is our terminal itself. Some (all that use curses) set those of their
//! output and expect their input to follow, since the two are usually one terminal. Here they are two, and no event tells
//! of a change: whoever reads the command's terminal, and who watches over the command, looks.
//! Only changes are carried over, bit by bit; output processing stays off on the command's side.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use rustix::{
    process::getpgrp,
    termios::{
        InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
        tcsetattr,
    },
};

const KEYS: [SpecialCodeIndex; 9] = [
    SpecialCodeIndex::VINTR,
    SpecialCodeIndex::VQUIT,
    SpecialCodeIndex::VSUSP,
    SpecialCodeIndex::VEOF,
    SpecialCodeIndex::VERASE,
    SpecialCodeIndex::VSTART,
    SpecialCodeIndex::VSTOP,
    SpecialCodeIndex::VMIN,
    SpecialCodeIndex::VTIME,
];

/// The command's terminals that stand for one of ours.
#[derive(Default)]
pub(crate) struct Modes {
    pairs: Mutex<Vec<Pair>>,
}

struct Pair {
    real: BorrowedFd<'static>,
    // Weak, because the thread that reads a terminal decides when it is closed.
    ours: Weak<OwnedFd>,
    last: Termios,
}

impl Modes {
    /// Carries changes of the terminal behind `ours` over to `real`, from now on.
    pub(crate) fn follow(&self, real: BorrowedFd<'static>, ours: &Arc<OwnedFd>) -> io::Result<()> {
        let pair = Pair { real, last: tcgetattr(ours)?, ours: Arc::downgrade(ours) };
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).push(pair);
        Ok(())
    }

    /// Looks for changes.
    pub(crate) fn update(&self) {
        for pair in self.pairs.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            pair.update();
        }
    }
}

impl Pair {
    fn update(&mut self) {
        let Some(mut now) = self.ours.upgrade().and_then(|ours| tcgetattr(&ours).ok()) else { return };
        self.keep_output_exact(&mut now);
        // In the background, setting modes would stop us; the changes are carried over once we are back.
        if same(&self.last, &now) || tcgetpgrp(self.real).ok() != Some(getpgrp()) {
            return;
        }
        if let Ok(mut real) = tcgetattr(self.real) {
            carry_over(&self.last, &now, &mut real);
            // A terminal that is gone needs no modes.
            let _ = tcsetattr(self.real, OptionalActions::Now, &real);
            self.last = now;
        }
    }

    fn keep_output_exact(&self, now: &mut Termios) {
        if now.output_modes.contains(OutputModes::OPOST) {
            now.output_modes.remove(OutputModes::OPOST);
            // It can only fail when the terminal is gone.
            let _ = self.ours.upgrade().map(|ours| tcsetattr(&ours, OptionalActions::Now, now));
        }
    }
}

fn same(a: &Termios, b: &Termios) -> bool {
    (a.input_modes, a.output_modes, a.local_modes) == (b.input_modes, b.output_modes, b.local_modes)
        && KEYS.iter().all(|&key| a.special_codes[key] == b.special_codes[key])
}

fn carry_over(last: &Termios, now: &Termios, to: &mut Termios) {
    let (input, output) = (last.input_modes ^ now.input_modes, last.output_modes ^ now.output_modes);
    let local = last.local_modes ^ now.local_modes;
    to.input_modes = blend::<InputModes>(to.input_modes, now.input_modes, input);
    to.output_modes = blend::<OutputModes>(to.output_modes, now.output_modes, output);
    to.local_modes = blend::<LocalModes>(to.local_modes, now.local_modes, local);
    for key in KEYS.into_iter().filter(|&key| last.special_codes[key] != now.special_codes[key]) {
        to.special_codes[key] = now.special_codes[key];
    }
}

/// `old`, but the bits of `mask` as they are in `new`.
fn blend<T>(old: T, new: T, mask: T) -> T
where
    T: Copy + std::ops::Not<Output = T> + std::ops::BitAnd<Output = T> + std::ops::BitOr<Output = T>,
{
    (old & !mask) | (new & mask)
}
