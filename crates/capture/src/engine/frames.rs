//! Takes apart the stream in which an engine sends stdout and stderr.
//!
//! A header of 8 bytes (stream, three zeros, length) stands before each frame, and a chunk may end anywhere: inside a
//! header, inside a frame. [`Demux`] keeps nothing but an unfinished header: it says where in the caller's bytes the
//! next part of a frame lies, so a frame of 4 GiB costs no memory and nothing is copied. No I/O.

use std::ops::Range;

use logboom_record::Stream;

const HEADER_BYTES: usize = 8;

/// How a container's output comes. A container's [`tty`](super::Container::tty) tells, never the bytes themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Frames of stdout and stderr.
    Multiplexed,
    /// Just the bytes of the terminal.
    Raw,
}

impl Framing {
    /// What an engine does for a container or an exec with a terminal, or without one.
    pub const fn of_tty(tty: bool) -> Framing {
        if tty { Framing::Raw } else { Framing::Multiplexed }
    }
}

/// Where a frame, or a part of one, lies in the bytes that were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which stream it is of. [`Stream::System`] is the engine itself, which says what went wrong. Raw bytes are
    /// stdout.
    pub stream: Stream,
    /// Its bytes; never empty.
    pub at: Range<usize>,
    /// Whether a frame starts here. An engine sends each entry of a log as one frame. Never so of raw bytes.
    pub starts: bool,
    /// Whether a frame ends here. Never so of raw bytes.
    pub ends: bool,
}

/// The stream is not of frames, or its reader is out of step with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{header:02x?} is not the header of a frame")]
pub struct BadFrame {
    header: [u8; HEADER_BYTES],
}

/// Where in the stream the bytes that come next are.
#[derive(Clone, Copy, Debug)]
enum Place {
    Raw,
    Header { bytes: [u8; HEADER_BYTES], have: usize },
    Frame { stream: Stream, left: usize, starts: bool },
}

const AT_HEADER: Place = Place::Header { bytes: [0; HEADER_BYTES], have: 0 };

/// Finds the frames. A header that was not read whole stays here, everything else with the caller.
#[derive(Clone, Debug)]
pub struct Demux {
    place: Place,
}

impl Demux {
    /// At the start of a stream.
    pub fn new(framing: Framing) -> Demux {
        let place = match framing {
            Framing::Raw => Place::Raw,
            Framing::Multiplexed => AT_HEADER,
        };
        Demux { place }
    }

    /// Where the first part of a frame lies in `bytes`, which follow those up to the end of the part before. `None`
    /// if there is none: then all of `bytes` is used up. Empty frames are left out.
    ///
    /// # Errors
    /// [`BadFrame`] if a header is none. The stream cannot be read any further then.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<Part>, BadFrame> {
        let mut used = 0;
        while used < bytes.len() {
            match self.place {
                Place::Raw => {
                    return Ok(Some(Part {
                        stream: Stream::Stdout,
                        at: used..bytes.len(),
                        starts: false,
                        ends: false,
                    }));
                }
                Place::Header { bytes: header, have } => used += self.read_header(header, have, &bytes[used..])?,
                Place::Frame { stream, left, starts } => {
                    let taken = left.min(bytes.len() - used);
                    let ends = taken == left;
                    self.place =
                        if ends { AT_HEADER } else { Place::Frame { stream, left: left - taken, starts: false } };
                    return Ok(Some(Part { stream, at: used..used + taken, starts, ends }));
                }
            }
        }
        Ok(None)
    }

    /// Whether the stream may end here: not in a header and not in a frame.
    pub fn may_end(&self) -> bool {
        matches!(self.place, Place::Raw | Place::Header { have: 0, .. })
    }

    /// Adds to a header what there is of it; gives how many bytes that was.
    fn read_header(&mut self, mut header: [u8; HEADER_BYTES], have: usize, bytes: &[u8]) -> Result<usize, BadFrame> {
        let taken = bytes.len().min(HEADER_BYTES - have);
        header[have..have + taken].copy_from_slice(&bytes[..taken]);
        self.place = match have + taken {
            HEADER_BYTES => frame_of(header)?,
            have => Place::Header { bytes: header, have },
        };
        Ok(taken)
    }
}

/// What follows a header.
fn frame_of(header: [u8; HEADER_BYTES]) -> Result<Place, BadFrame> {
    let [kind, 0, 0, 0, a, b, c, d] = header else { return Err(BadFrame { header }) };
    let stream = match kind {
        0 | 1 => Stream::Stdout, // 0 is what went to stdin, which engines echo to whoever reads stdout
        2 => Stream::Stderr,
        3 => Stream::System,
        _ => return Err(BadFrame { header }),
    };
    Ok(match u32::from_be_bytes([a, b, c, d]) as usize {
        0 => AT_HEADER,
        left => Place::Frame { stream, left, starts: true },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 0, 0, 0];
        out.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        out.extend_from_slice(bytes);
        out
    }

    /// Everything that a demultiplexer finds in chunks, frames put together again.
    fn demux(demux: &mut Demux, chunks: &[&[u8]]) -> Result<Vec<(Stream, Vec<u8>)>, BadFrame> {
        let (mut out, mut open): (Vec<(Stream, Vec<u8>)>, bool) = (Vec::new(), false);
        for chunk in chunks {
            let mut rest = *chunk;
            while let Some(part) = demux.next(rest)? {
                assert!(!part.at.is_empty());
                assert_eq!(part.starts, !open, "a frame starts where the one before has ended");
                if part.starts {
                    out.push((part.stream, Vec::new()));
                }
                let (stream, bytes) = out.last_mut().unwrap();
                assert_eq!(*stream, part.stream);
                bytes.extend_from_slice(&rest[part.at.clone()]);
                (open, rest) = (!part.ends, &rest[part.at.end..]);
            }
        }
        Ok(out)
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_wherever_the_chunks_end(
            frames in prop::collection::vec((0u8..4, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, bytes)| frame(*kind, bytes)).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
            let streams = [Stream::Stdout, Stream::Stdout, Stream::Stderr, Stream::System];
            let want: Vec<(Stream, Vec<u8>)> = frames.iter().filter(|(_, bytes)| !bytes.is_empty())
                .map(|(kind, bytes)| (streams[usize::from(*kind)], bytes.clone())).collect();
            let mut stream = Demux::new(Framing::Multiplexed);
            prop_assert_eq!(demux(&mut stream, &chunks), Ok(want));
            prop_assert!(stream.may_end());
        }

        #[test]
        fn a_stream_may_end_between_frames_only(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..10), 1..5),
            end in any::<prop::sample::Index>(),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|bytes| frame(1, bytes)).collect();
            let ends = frames.iter().scan(0, |end, bytes| { *end += HEADER_BYTES + bytes.len(); Some(*end) });
            let end = end.index(bytes.len() + 1);
            let mut stream = Demux::new(Framing::Multiplexed);
            demux(&mut stream, &[&bytes[..end]]).unwrap();
            prop_assert_eq!(stream.may_end(), end == 0 || ends.into_iter().any(|at| at == end));
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
        ) {
            let mut stream = Demux::new(Framing::Multiplexed);
            for chunk in &chunks {
                let mut rest = &chunk[..];
                while let Ok(Some(part)) = stream.next(rest) {
                    prop_assert!(!part.at.is_empty());
                    rest = &rest[part.at.end..];
                }
            }
        }

        #[test]
        fn raw_bytes_are_stdout_whatever_they_look_like(
            chunks in prop::collection::vec(prop::collection::vec(0u8..4, 0..20), 0..10),
        ) {
            let mut stream = Demux::new(Framing::Raw);
            for chunk in &chunks {
                let want = (!chunk.is_empty())
                    .then_some(Part { stream: Stream::Stdout, at: 0..chunk.len(), starts: false, ends: false });
                prop_assert_eq!(stream.next(chunk), Ok(want));
                prop_assert!(stream.may_end());
            }
        }
    }

    #[test]
    fn the_longest_frame_is_handed_out_in_parts() {
        let mut stream = Demux::new(Framing::Multiplexed);
        assert_eq!(stream.next(&[2, 0, 0, 0, 255, 255, 255, 255]), Ok(None));
        let chunk = vec![b'x'; 1 << 20];
        for number in 0..4_095 {
            let part = stream.next(&chunk).unwrap().unwrap();
            assert_eq!(part, Part { stream: Stream::Stderr, at: 0..1 << 20, starts: number == 0, ends: false });
        }
        let last = stream.next(&chunk).unwrap().unwrap();
        assert_eq!((last.at, last.ends), (0..(1 << 20) - 1, true));
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        for header in [[4, 0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 1, 0, 0, 0, 1], *b"2026-01-"] {
            assert_eq!(Demux::new(Framing::Multiplexed).next(&header), Err(BadFrame { header }));
        }
    }
}
