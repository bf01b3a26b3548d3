//! One log call as bytes, from the thread that logs to the thread that writes.
//!
//! A frame is what stands in a ring and in the queue alike: a head of [`HEAD_BYTES`], then the payload, then zeros up
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
    /// Empty once something did not fit, so that nothing after it does.
    place: &'a mut [u8],
    len: usize,
    /// How many bytes of payload did not fit.
    missing: usize,
    cuts: bool,
}

impl<'a> Slot<'a> {
    /// A frame at the start of these bytes, which need not be zero.
    #[inline]
    pub fn new(place: &'a mut [u8]) -> Slot<'a> {
        let place = if place.len() < HEAD_BYTES { &mut [] } else { place };
        Slot { place, len: HEAD_BYTES, missing: 0, cuts: false }
    }

    /// The same for what is known to be too long: as much of it as fits is kept.
    pub fn cutting(place: &'a mut [u8]) -> Slot<'a> {
        Slot { cuts: true, ..Slot::new(place) }
    }

    /// Appends bytes to the payload.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.put_behind([], bytes);
    }

    /// Appends these few bytes and then the others: all of them, or none.
    #[inline]
    pub fn put_behind<const N: usize>(&mut self, head: [u8; N], bytes: &[u8]) {
        let end = self.len + N + bytes.len();
        match self.place.get_mut(self.len..end).and_then(|place| place.split_first_chunk_mut::<N>()) {
            Some((start, rest)) => {
                *start = head;
                copy(rest, bytes);
                self.len = end;
            }
            // No call that takes self, or the compiler would keep all of it in memory between one piece and the next.
            None => {
                let place = std::mem::take(&mut self.place);
                self.len += if self.cuts { keep_start(place, self.len, bytes) } else { 0 };
                self.missing += N + bytes.len();
            }
        }
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
        self.place.get_mut(HEAD_BYTES..self.len).unwrap_or_default()
    }

    /// Whether something did not fit.
    #[inline]
    pub fn overflowed(&self) -> bool {
        self.place.is_empty()
    }

    /// Writes the head, which makes it a frame. Gives the bytes of the whole, or `None` if it did not fit.
    #[inline]
    pub fn finish(&mut self, head: &Head) -> Option<usize> {
        let (len, whole) = (self.len, self.len.next_multiple_of(8));
        let place = self.place.get_mut(..whole)?;
        place[len..].fill(0);
        let start = place.first_chunk_mut::<HEAD_BYTES>()?;
        start[..4].copy_from_slice(&(len as u32).to_le_bytes());
        start[4..8].copy_from_slice(&[head.kind as u8, head.level as u8, 0, 0]);
        start[8..16].copy_from_slice(&head.ticks.to_le_bytes());
        start[16..20].copy_from_slice(&head.generation.to_le_bytes());
        start[20..].copy_from_slice(&head.number.to_le_bytes());
        Some(whole)
    }
}

/// Copies as much of a piece as there is room for after `len` bytes; gives how much that is.
#[cold]
fn keep_start(place: &mut [u8], len: usize, bytes: &[u8]) -> usize {
    let room = place.len().saturating_sub(len).min(bytes.len());
    if room > 0 {
        place[len..len + room].copy_from_slice(&bytes[..room]);
    }
    room
}

/// Copies a piece into a place of its size. Most have a few bytes, for which a call of memcpy(3) costs more than the copying.
#[inline(always)]
fn copy(place: &mut [u8], bytes: &[u8]) {
    match bytes.len() {
        0 => {}
        1..4 => place.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte),
        4..8 => copy_ends::<4>(place, bytes),
        8..=16 => copy_ends::<8>(place, bytes),
        17..=32 => copy_ends::<16>(place, bytes),
        _ => place.copy_from_slice(bytes),
    }
}

/// Copies the first and the last so many bytes, which are all if there are no more than twice as many; there must be as many.
#[inline(always)]
fn copy_ends<const N: usize>(place: &mut [u8], bytes: &[u8]) {
    if let (Some(to), Some(from)) = (place.first_chunk_mut::<N>(), bytes.first_chunk::<N>()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (place.last_chunk_mut::<N>(), bytes.last_chunk::<N>()) {
        *to = *from;
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
    fn pieces_of_all_lengths_are_put_behind_one_another() {
        let text: Vec<u8> = (0..=255).collect();
        for (first, second) in (0..80).flat_map(|first| (0..80).map(move |second| (first, second))) {
            let mut place = [0xFF; 256];
            let mut slot = Slot::new(&mut place);
            slot.put(&text[..first]);
            slot.put(&text[first..first + second]);
            assert_eq!(slot.finish(&HEAD), Some((HEAD_BYTES + first + second).next_multiple_of(8)));
            assert_eq!(Frame::parse(&place).unwrap().payload, &text[..first + second]);
        }
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut place = [0; HEAD_BYTES + 5];
        let mut slot = Slot::cutting(&mut place);
        ["abc", "def", "ghi"].iter().for_each(|piece| slot.put(piece.as_bytes()));
        assert_eq!((slot.payload_bytes(), slot.overflowed()), (5, true));
        assert_eq!(&place[HEAD_BYTES..], b"abcde");
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
        for (at, byte) in [(3, 0xFF), (4, 3), (4, 9), (5, 9), (0, 23)] {
            let mut bad = place;
            bad[at] = byte;
            assert_eq!(Frame::parse(&bad), None);
        }
    }
}
