//! Copies our standard input to the command's full terminal.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    thread::{self, JoinHandle},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, read, write},
    stdio::stdin,
    termios::{SpecialCodeIndex, tcgetattr},
};

use super::relay::Bell;

/// The thread that copies; it ends with its standard input or when this is dropped.
pub(super) struct Input {
    stop: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Input {
    pub(super) fn start(terminal: Arc<OwnedFd>) -> io::Result<Input> {
        let stop = Arc::new(Bell::new()?);
        let copy = Copy { terminal, stop: Arc::clone(&stop), last: b'\n' };
        let thread = thread::Builder::new().name("logboom-input".into()).spawn(move || copy.run())?;
        Ok(Input { stop, thread: Some(thread) })
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.stop.ring();
        if let Some(thread) = self.thread.take() {
            // The thread calls nothing that panics.
            let _ = thread.join();
        }
    }
}

struct Copy {
    terminal: Arc<OwnedFd>,
    stop: Arc<Bell>,
    last: u8,
}

impl Copy {
    fn run(mut self) {
        let mut buffer = [0; 4096];
        while self.ready(PollFd::from_borrowed_fd(stdin(), PollFlags::IN)) {
            match read(stdin(), &mut buffer) {
                Ok(0) => return self.say_end(),
                Ok(count) if !self.write(&buffer[..count]) => return,
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
        }
    }

    /// A terminal has no end of input but its end-of-file key, which after an unfinished line must be pressed twice.
    fn say_end(&mut self) {
        let Ok(modes) = tcgetattr(self.terminal.as_fd()) else { return };
        let key = modes.special_codes[SpecialCodeIndex::VEOF];
        let keys: &[u8] = if self.last == b'\n' { &[key] } else { &[key, key] };
        self.write(keys);
    }

    /// Whether everything was written before the terminal or the run ended.
    fn write(&mut self, mut bytes: &[u8]) -> bool {
        self.last = bytes.last().copied().unwrap_or(self.last);
        while !bytes.is_empty() {
            match write(&*self.terminal, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.ready(PollFd::new(&*self.terminal, PollFlags::OUT)) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Waits until it is; false when the run has ended.
    fn ready(&self, fd: PollFd<'_>) -> bool {
        let mut fds = [fd, PollFd::new(&*self.stop, PollFlags::IN)];
        loop {
            match poll(&mut fds, None) {
                // It is not ready: to read now would be to wait for a key, deaf to the run's end.
                Err(Errno::INTR) => {}
                Err(_) => return false,
                Ok(_) => return fds[1].revents().is_empty(),
            }
        }
    }
}
