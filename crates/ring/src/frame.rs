//! One log call as bytes, from the thread that logs to the thread that writes.
//!
//! A frame is what stands in a ring and in the channel alike: a head of [`HEAD_BYTES`], then the payload, then zeros up
//! to a multiple of eight bytes. It is written straight into its place through a [`Slot`], which never grows: what does
//! not fit is noted, and the caller goes another way. `docs/formats.md` has the bytes.

use std::fmt;

use logboom_record::Level;

/// The bytes before the payload.
pub const HEAD_BYTES: usize = 24;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// The message as text, then its fields as JSON text; [`Head::number`] is the length of the message.
    Text = 0,
    /// The same, of a line whose level the writer is to tell from its head.
    Unleveled = 1,
    /// The arguments of a call site; [`Head::number`] is the site's number.
    Deferred = 2,
    /// Records that were not taken because there was no room; [`Head::number`] is how many.
    Dropped = 3,
}

/// What stands before the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the payload is.
    pub kind: FrameKind,
    /// How serious the record is.
    pub level: Level,
    /// When the call was made, in ticks of the collector's clock.
    pub ticks: u64,
    /// Which session file was the current one when the call began, counted from 1.
    pub generation: u32,
    /// See [`FrameKind`].
    pub number: u32,
}

/// A frame that was taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What stands before the payload.
    pub head: Head,
    /// The payload, without what fills it up.
    pub payload: &'a [u8],
    /// How many bytes the frame takes in all.
    pub bytes: usize,
    /// All of them.
    pub raw: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the first frame of these bytes apart; `None` if they begin with none, or with a part of one.
    pub fn parse(bytes: &'a [u8]) -> Option<Frame<'a>> {
        let head = bytes.first_chunk::<HEAD_BYTES>()?;
        let len = u32_at(head, 0) as usize;
        let payload = bytes.get(HEAD_BYTES..len)?;
        let whole = len.next_multiple_of(8);
        (whole <= bytes.len()).then_some(())?;
        let kind = match head[4] {
            0 => FrameKind::Text,
            1 => FrameKind::Unleveled,
            2 => FrameKind::Deferred,
            3 => FrameKind::Dropped,
            _ => return None,
        };
        let level = *Level::ALL.get(usize::from(head[5]))?;
        let ticks = u64::from_le_bytes(*head[8..].first_chunk()?);
        let head = Head { kind, level, ticks, generation: u32_at(head, 16), number: u32_at(head, 20) };
        Some(Frame { head, payload, bytes: whole, raw: &bytes[..whole] })
    }
}

fn u32_at(head: &[u8; HEAD_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

/// The place of one frame while it is written. What does not fit is not written, and [`Slot::overflowed`] says so.
#[derive(Debug)]
pub struct Slot<'a> {
    place: &'a mut [u8],
    len: usize,
    overflowed: bool,
    /// How many bytes of payload did not fit.
    missing: usize,
    cuts: bool,
}

impl<'a> Slot<'a> {
    /// A frame at the start of these bytes, which need not be zero.
    pub fn new(place: &'a mut [u8]) -> Slot<'a> {
        let overflowed = place.len() < HEAD_BYTES;
        Slot { place, len: HEAD_BYTES, overflowed, missing: 0, cuts: false }
    }

    /// The same for what is known to be too long: as much of it as fits is kept.
    pub fn cutting(place: &'a mut [u8]) -> Slot<'a> {
        Slot { cuts: true, ..Slot::new(place) }
    }

    /// Appends bytes to the payload.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        match self.place.get_mut(self.len..self.len + bytes.len()) {
            Some(place) if !self.overflowed => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.overflow(bytes),
        }
    }

    #[cold]
    fn overflow(&mut self, bytes: &[u8]) {
        if self.cuts && !self.overflowed {
            let room = self.place.len().saturating_sub(self.len).min(bytes.len());
            self.place[self.len..self.len + room].copy_from_slice(&bytes[..room]);
            self.len += room;
        }
        self.overflowed = true;
        self.missing += bytes.len();
    }

    /// How many bytes the frame would have had, had it fitted.
    pub fn wanted(&self) -> usize {
        (self.len + self.missing).next_multiple_of(8)
    }

    /// How many bytes of payload there are.
    #[inline]
    pub fn payload_bytes(&self) -> usize {
        self.len - HEAD_BYTES
    }

    /// The payload written so far, to set a length in it that was not known before.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let len = self.len.min(self.place.len());
        self.place.get_mut(HEAD_BYTES..len).unwrap_or_default()
    }

    /// Whether something did not fit.
    #[inline]
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Writes the head. Gives the bytes of the whole frame, or `None` if it did not fit.
    #[inline]
    pub fn finish(self, head: &Head) -> Option<usize> {
        let whole = self.len.next_multiple_of(8);
        if self.overflowed || whole > self.place.len() {
            return None;
        }
        self.place[..4].copy_from_slice(&(self.len as u32).to_le_bytes());
        self.place[4] = head.kind as u8;
        self.place[5] = head.level as u8;
        self.place[6..8].fill(0);
        self.place[8..16].copy_from_slice(&head.ticks.to_le_bytes());
        self.place[16..20].copy_from_slice(&head.generation.to_le_bytes());
        self.place[20..24].copy_from_slice(&head.number.to_le_bytes());
        self.place[self.len..whole].fill(0);
        Some(whole)
    }
}

impl fmt::Write for Slot<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // What does not fit is noted, and what is formatted goes on to its end: it may do more than give text.
        self.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmt::Write;

    const HEAD: Head = Head { kind: FrameKind::Text, level: Level::Warn, ticks: 77, generation: 3, number: 5 };

    #[test]
    fn a_frame_comes_back_with_what_follows_it_untouched() {
        let mut place = [0xFF; 64];
        let mut slot = Slot::new(&mut place);
        slot.write_fmt(format_args!("{}llo", "he")).unwrap();
        assert_eq!(slot.finish(&HEAD), Some(32));
        let frame = Frame::parse(&place).unwrap();
        assert_eq!((frame.head, frame.payload, frame.bytes), (HEAD, &b"hello"[..], 32));
        assert!(place[32..].iter().all(|byte| *byte == 0xFF));
    }

    #[test]
    fn what_does_not_fit_is_no_frame() {
        for room in 0..40 {
            let mut place = vec![0; room];
            let mut slot = Slot::new(&mut place);
            slot.put(b"0123456789");
            assert_eq!(slot.finish(&HEAD).is_some(), room >= 40, "{room}");
        }
    }

    #[test]
    fn no_bytes_are_taken_for_a_frame_that_they_do_not_hold() {
        let mut place = [0; 40];
        let mut slot = Slot::new(&mut place);
        slot.put(b"0123456789");
        assert_eq!(slot.finish(&HEAD), Some(40));
        (0..40).for_each(|len| assert_eq!(Frame::parse(&place[..len]), None));
        for (at, byte) in [(3, 0xFF), (4, 9), (5, 9), (0, 23)] {
            let mut bad = place;
            bad[at] = byte;
            assert_eq!(Frame::parse(&bad), None);
        }
    }
}
