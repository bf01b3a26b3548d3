//! Reads what a container prints from an engine, frame by frame.
//!
//! The bytes are handed out where they were read to, at most [`BUFFER_BYTES`] at once, so they are copied once: out of
//! the kernel. Nothing is read ahead: an engine whose reader is slow waits, and so may the container.

use std::{
    fmt,
    io::{self, Read},
    ops::Range,
};

use hyper::body::Bytes;
use logboom_record::Stream;
use tokio::io::AsyncReadExt;

use super::{
    EngineError, Framing,
    error::About,
    frames::{Demux, Part},
    http::{Answer, BlockingSocket, Socket},
};

const BUFFER_BYTES: usize = 64 * 1024;
/// How much of an error in the middle of a stream is told.
const SAID_BYTES_MAX: usize = 4 * 1024;

/// Some bytes that a container printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where to: [`Stream::Stdout`] or [`Stream::Stderr`]. A terminal's are all stdout.
    pub stream: Stream,
    /// Never empty.
    pub bytes: &'a [u8],
    /// Whether the engine's frame starts here; never so of raw bytes. Each entry of a log is a frame.
    pub starts: bool,
    /// Whether the engine's frame ends here; never so of raw bytes.
    pub ends: bool,
}

/// Where frames come from: the connection itself, or a body of HTTP.
enum Source {
    Socket { socket: Socket, buffer: Box<[u8]> },
    Body { answer: Box<Answer>, chunk: Bytes },
}

impl Source {
    fn bytes(&self) -> &[u8] {
        match self {
            Source::Socket { buffer, .. } => buffer,
            Source::Body { chunk, .. } => chunk,
        }
    }

    /// Reads over what is there; gives how many bytes that were, 0 at the end.
    async fn fill(&mut self, about: &About) -> Result<usize, EngineError> {
        match self {
            Source::Socket { socket, buffer } => socket.read(buffer).await.map_err(|error| about.clone().lost(error)),
            Source::Body { answer, chunk } => {
                *chunk = answer.chunk().await.map_err(|error| about.clone().broken(error))?.unwrap_or_default();
                Ok(chunk.len())
            }
        }
    }
}

/// Which bytes of a buffer are still to be read, and what is known of those before them.
struct Reading {
    demux: Demux,
    unread: Range<usize>,
    /// What the engine has said of an error so far.
    said: Vec<u8>,
    about: About,
}

impl Reading {
    /// The next part of a frame in the buffer; `None` if all of that is read.
    fn part(&mut self, buffer: &[u8]) -> Result<Option<Part>, EngineError> {
        loop {
            let (demux, start) = (&mut self.demux, self.unread.start);
            let found = demux.next(&buffer[self.unread.clone()]).map_err(|bad| self.about.clone().unreadable(bad))?;
            let Some(mut part) = found else {
                self.unread = 0..0;
                return Ok(None);
            };
            part.at = start + part.at.start..start + part.at.end;
            self.unread.start = part.at.end;
            if part.stream != Stream::System {
                return Ok(Some(part));
            }
            self.hear(&buffer[part.at], part.ends)?;
        }
    }

    /// The engine says why it cannot go on, which is an error as soon as it is said.
    fn hear(&mut self, said: &[u8], ends: bool) -> Result<(), EngineError> {
        self.said.extend_from_slice(&said[..said.len().min(SAID_BYTES_MAX - self.said.len())]);
        match ends {
            true => Err(self.said()),
            false => Ok(()),
        }
    }

    fn said(&self) -> EngineError {
        self.about.clone().said(String::from_utf8_lossy(&self.said).trim_end().to_owned())
    }

    /// There is nothing more to read.
    fn end(&self) -> Result<(), EngineError> {
        if !self.said.is_empty() {
            return Err(self.said());
        }
        match self.demux.may_end() {
            true => Ok(()),
            false => Err(self.about.clone().ended_within("a frame")),
        }
    }
}

fn frame(part: Part, buffer: &[u8]) -> Frame<'_> {
    Frame { stream: part.stream, bytes: &buffer[part.at], starts: part.starts, ends: part.ends }
}

/// The output of a container, as it comes.
pub struct Frames {
    source: Source,
    reading: Reading,
}

impl Frames {
    /// What follows the head of an answer: on the connection itself if the engine left HTTP behind, else as a body.
    pub(super) async fn of(answer: Answer, framing: Framing, about: About) -> Result<Frames, EngineError> {
        let (source, unread) = match answer.upgraded().await.map_err(|error| about.clone().broken(error))? {
            Ok((socket, first)) => {
                let mut buffer = vec![0; BUFFER_BYTES.max(first.len())].into_boxed_slice();
                buffer[..first.len()].copy_from_slice(&first);
                (Source::Socket { socket, buffer }, 0..first.len())
            }
            Err(answer) => (Source::Body { answer: Box::new(answer), chunk: Bytes::new() }, 0..0),
        };
        Ok(Frames { source, reading: Reading { demux: Demux::new(framing), unread, said: Vec::new(), about } })
    }

    /// The same stream, of which nothing was read yet, taken for what it is: who attaches need not know that before.
    #[must_use]
    pub fn framed(mut self, framing: Framing) -> Frames {
        self.reading.demux = Demux::new(framing);
        self
    }

    /// What was printed next; `None` when the engine has ended the stream. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`EngineError::Lost`] if the connection breaks, [`EngineError::Said`] if the engine says in the stream why it
    /// cannot go on, [`EngineError::Unreadable`] if what comes is no stream of frames.
    pub async fn next(&mut self) -> Result<Option<Frame<'_>>, EngineError> {
        Ok(self.part().await?.map(|part| frame(part, self.source.bytes())))
    }

    async fn part(&mut self) -> Result<Option<Part>, EngineError> {
        loop {
            if let Some(part) = self.reading.part(self.source.bytes())? {
                return Ok(Some(part));
            }
            match self.source.fill(&self.reading.about).await? {
                0 => return self.reading.end().map(|()| None),
                read => self.reading.unread = 0..read,
            }
        }
    }

    /// Takes the stream off the runtime, for a thread that reads nothing else: that spends least on each byte. Gives
    /// the stream back if the engine sends it within HTTP, as some do.
    ///
    /// # Errors
    /// [`EngineError::Lost`] if the system refuses.
    pub fn into_blocking(self) -> Result<Result<BlockingFrames, Frames>, EngineError> {
        match self.source {
            Source::Socket { socket, buffer } => {
                let socket = socket.into_blocking().map_err(|error| self.reading.about.clone().lost(error))?;
                Ok(Ok(BlockingFrames { socket, buffer, reading: self.reading }))
            }
            source => Ok(Err(Frames { source, reading: self.reading })),
        }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("of", &self.reading.about).finish_non_exhaustive()
    }
}

/// The output of a container, for a thread that waits for it.
pub struct BlockingFrames {
    socket: BlockingSocket,
    buffer: Box<[u8]>,
    reading: Reading,
}

impl BlockingFrames {
    /// What comes over a socket, for tests.
    #[cfg(test)]
    pub(crate) fn of_socket(stream: std::os::unix::net::UnixStream, framing: Framing) -> BlockingFrames {
        let host = super::Host::Unix("/test.sock".into());
        let about = About { host, action: "read".to_owned(), container: None };
        let reading = Reading { demux: Demux::new(framing), unread: 0..0, said: Vec::new(), about };
        BlockingFrames {
            socket: BlockingSocket::Unix(stream),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            reading,
        }
    }

    /// What was printed next; waits for it. `None` when the engine has ended the stream.
    ///
    /// # Errors
    /// As [`Frames::next`].
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its buffer")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, EngineError> {
        Ok(self.part()?.map(|part| frame(part, &self.buffer)))
    }

    /// What was read already of what was printed next; `None` where that has to be waited for.
    ///
    /// # Errors
    /// As [`Frames::next`].
    pub fn next_at_hand(&mut self) -> Result<Option<Frame<'_>>, EngineError> {
        Ok(self.reading.part(&self.buffer)?.map(|part| frame(part, &self.buffer)))
    }

    fn part(&mut self) -> Result<Option<Part>, EngineError> {
        loop {
            if let Some(part) = self.reading.part(&self.buffer)? {
                return Ok(Some(part));
            }
            match self.socket.read(&mut self.buffer) {
                Ok(0) => return self.reading.end().map(|()| None),
                Ok(read) => self.reading.unread = 0..read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.reading.about.clone().lost(error)),
            }
        }
    }

    /// A handle by which another thread writes what the stream's program reads.
    ///
    /// # Errors
    /// [`EngineError::Lost`] if there is no file descriptor left for it.
    pub fn input(&self) -> Result<Input, EngineError> {
        match self.socket.try_clone() {
            Ok(socket) => Ok(Input { socket }),
            Err(error) => Err(self.reading.about.clone().lost(error)),
        }
    }

    /// A handle by which another thread ends the stream.
    ///
    /// # Errors
    /// [`EngineError::Lost`] if there is no file descriptor left for it.
    pub fn stopper(&self) -> Result<Stopper, EngineError> {
        match self.socket.try_clone() {
            Ok(socket) => Ok(Stopper { socket }),
            Err(error) => Err(self.reading.about.clone().lost(error)),
        }
    }
}

impl fmt::Debug for BlockingFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingFrames").field("of", &self.reading.about).finish_non_exhaustive()
    }
}

/// The way to the standard input of whatever prints the stream.
#[derive(Debug)]
pub struct Input {
    socket: BlockingSocket,
}

impl Input {
    /// Writes all of it; waits while the program does not read.
    ///
    /// # Errors
    /// Those of the connection: the program has ended.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Says that nothing more comes.
    pub fn end(self) {
        // It fails where the stream has ended already.
        let _ = self.socket.shutdown_write();
    }
}

/// Ends a stream that a thread waits for.
#[derive(Debug)]
pub struct Stopper {
    socket: BlockingSocket,
}

impl Stopper {
    /// Tells the engine and the reader that nothing more is wanted. The reader still gets what came before; an error
    /// is said to a reader only where that ends within a frame.
    pub fn stop(&self) {
        // It fails where the stream has ended already, which is what is wanted.
        let _ = self.socket.shutdown();
    }
}
