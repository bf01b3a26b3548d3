use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn stamp(second: u64) -> String {
    format!("2026-01-02T03:04:{second:02}.000000001Z")
}

fn ns(second: u64) -> u64 {
    1_767_323_040_000_000_001 + second * 1_000_000_000
}

fn texts(delivery: &Delivery) -> Vec<(Stream, Place, String)> {
    let mut rest = &delivery.bytes[..];
    let mut take = |piece: &Piece| {
        let (text, later) = rest.split_at(piece.len as usize);
        rest = later;
        (piece.stream, piece.at, String::from_utf8_lossy(text).into_owned())
    };
    delivery.pieces.iter().map(&mut take).collect()
}

fn frame(stream: Stream, bytes: &[u8]) -> Frame<'_> {
    Frame { stream, bytes, starts: true, ends: true }
}

#[test]
fn entries_of_one_stamp_are_counted_and_those_in_records_left_out() {
    let stdout = StreamPlace { at: Place { part: ns(1), offset: 1 }, skip: 2, in_line: true, ..StreamPlace::default() };
    let mut entries = Entries::new(Framing::Multiplexed, Reached { stdout, stderr: StreamPlace::default() });
    let mut delivery = Delivery::default();
    for (stream, second, text) in [
        (Stream::Stdout, 0, "old\n"),
        (Stream::Stdout, 1, "first"),
        (Stream::Stderr, 1, "other\n"),
        (Stream::Stdout, 1, "second\n"),
        (Stream::Stdout, 2, "\n"),
    ] {
        entries.push(&frame(stream, format!("{} {text}", stamp(second)).as_bytes()), &mut delivery).unwrap();
    }
    let at = |second, offset| Place { part: ns(second), offset };
    assert_eq!(
        texts(&delivery),
        [
            (Stream::Stderr, at(1, 0), "other\n".to_owned()),
            (Stream::Stdout, at(1, 1), "second\n".to_owned()),
            (Stream::Stdout, at(2, 0), "\n".to_owned()),
        ]
    );
}

#[test]
fn what_has_no_stamp_is_refused() {
    let mut entries = Entries::new(Framing::Multiplexed, Reached::default());
    for bad in [&b""[..], b"hello there", b"2026-13-02T03:04:05Z x", &[b'2'; 100]] {
        let pushed = entries.push(&frame(Stream::Stdout, bad), &mut Delivery::default());
        assert_eq!(pushed, Err(BadEntry::NoStamp), "{bad:?}");
    }
}

/// What comes of the bytes that a terminal's log has, and ends with.
fn of_terminal(wire: &str) -> Vec<String> {
    let (mut entries, mut delivery) = (Entries::new(Framing::Raw, Reached::default()), Delivery::default());
    for byte in wire.as_bytes() {
        let frame = Frame { stream: Stream::Stdout, bytes: &[*byte], starts: false, ends: false };
        entries.push(&frame, &mut delivery).unwrap();
    }
    entries.settle(true, &mut delivery).unwrap();
    texts(&delivery).into_iter().map(|(_, _, text)| text).collect()
}

#[test]
fn the_last_line_of_a_terminal_needs_no_newline() {
    let last = |text: &str| of_terminal(&format!("{} first\r\n{} {text}", stamp(1), stamp(2)));
    assert_eq!(last("$ exit"), ["first\r\n", "$ exit"]);
    let full = "x".repeat(TEXT_BYTES_MAX);
    assert_eq!(last(&full), ["first\r\n", &full]);
    let again = format!("$ exit{} it is {}\r\n", stamp(3), stamp(1));
    assert_eq!(last(&again), ["first\r\n", "$ exit", &format!("it is {}\r\n", stamp(1))], "it was started again");
}

#[test]
fn a_full_entry_may_end_with_a_cut_character() {
    let over = format!("{}\u{fffd}\u{fffd}", "x".repeat(TEXT_BYTES_MAX - 1));
    let wire = format!("{0} {over}{0} rest\n", stamp(1));
    assert_eq!(of_terminal(&wire), [&over[..], "rest\n"]);
}

#[derive(Clone, Debug)]
enum Step {
    /// A container prints so many entries, so many of them with one stamp, in so many ns.
    Print { stderr: bool, entries: usize, pieces: usize, ns: u64 },
    /// The engine's clock is put back.
    ClockBack(u64),
    /// So many hundredths of the log are gone.
    Rotate(usize),
    /// It is read; if it is followed, so many entries of each stream come meanwhile.
    Read { follow: Option<usize> },
    /// It is read from where this follower was, or from records that lack what one stream printed last.
    Again { lacks: Option<Stream> },
}

/// Where the clock is put back and the log loses its beginning as well, some may be taken for old that is new.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        steps_and((0_usize..=100).prop_map(Step::Rotate).boxed()),
        steps_and((1_u64..1_000_000_000_000).prop_map(Step::ClockBack).boxed())
    ]
}

fn steps_and(rare: BoxedStrategy<Step>) -> impl Strategy<Value = Vec<Step>> {
    let print = (any::<bool>(), 1_usize..90, prop_oneof![Just(1), 1_usize..9], 0_u64..20_000_000_000)
        .prop_map(|(stderr, entries, pieces, ns)| Step::Print { stderr, entries, pieces, ns });
    let lacks = prop_oneof![Just(None), Just(Some(Stream::Stdout)), Just(Some(Stream::Stderr))];
    let step = prop_oneof![
        8 => print,
        2 => rare,
        8 => prop_oneof![Just(None), (0_usize..9).prop_map(Some)].prop_map(|follow| Step::Read { follow }),
        1 => lacks.prop_map(|lacks| Step::Again { lacks }),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A log that is written and read.
struct Play {
    /// Its entries in the order in which they were written, of which the first are gone.
    log: Vec<(Stream, u64)>,
    gone: usize,
    now: u64,
    was_put_back: bool,
    entries: Entries,
    before: Reached,
    /// The entries that came, and where.
    came: BTreeMap<usize, Place>,
}

impl Play {
    fn print(&mut self, stream: Stream, entries: usize, pieces: usize, ns: u64) {
        let mut stamp = 0;
        for number in 0..entries {
            if number % pieces == 0 {
                self.now += ns / entries as u64 + 1;
                // Those of stderr are late, and differ from those of stdout.
                stamp = if stream == Stream::Stderr { 2 * (self.now - 1_000_000_000) + 1 } else { 2 * self.now };
            }
            self.log.push((stream, stamp));
        }
    }

    fn rotate(&mut self, hundredths: usize, may_cut_lines: bool) {
        // A file of a log has more than one line.
        let first = self.log.get(self.gone).copied();
        self.gone += (self.log.len() - self.gone) * hundredths / 100;
        while let Some(next) = self.log.get(self.gone)
            && self.gone > 0
            && (Some(*next) == first || (!may_cut_lines && *next == self.log[self.gone - 1]))
        {
            self.gone += 1;
        }
    }

    fn push(&mut self, number: usize, into: &mut Delivery) -> Joined {
        let (stream, ns) = self.log[number];
        let (second, ns) = (ns / 1_000_000_000, ns % 1_000_000_000);
        let (minute, second) = (second / 60, second % 60);
        let (hour, minute) = (minute / 60, minute % 60);
        let entry = format!("2026-01-02T{hour:02}:{minute:02}:{second:02}.{ns:09}Z {number}\n");
        self.entries.push(&frame(stream, entry.as_bytes()), into).unwrap()
    }

    fn read(&mut self, follow: Option<usize>) {
        // Nobody knows of what was gone before it was read for the first time.
        let (mut delivery, mut was_told) = (Delivery::default(), self.entries.is_at_beginning());
        loop {
            let last = self.entries.begin().map_or(usize::MAX, |last| last as usize);
            let there = self.gone.max(self.log.len().saturating_sub(last))..self.log.len();
            let mut joined = Joined::Open;
            for number in there {
                joined = self.push(number, &mut delivery);
                was_told |= joined == Joined::Torn;
                if joined == Joined::Short {
                    break;
                }
            }
            if joined != Joined::Short {
                joined = self.entries.settle(follow.is_none(), &mut delivery).unwrap();
                was_told |= joined == Joined::Torn;
            }
            let live = follow.map_or(self.log.len()..self.log.len(), |more| {
                let first = self.log.len();
                self.print(Stream::Stdout, more, 1, 1_000);
                self.print(Stream::Stderr, more, 1, 1_000);
                first..self.log.len()
            });
            for number in live {
                if joined != Joined::Short {
                    joined = self.push(number, &mut delivery);
                }
            }
            if joined != Joined::Short {
                break;
            }
        }
        self.take(&delivery);
        for number in 0..self.log.len() {
            let may_lack = was_told && number < self.gone;
            assert!(self.came.contains_key(&number) || may_lack, "{number} of {}..{}", self.gone, self.log.len());
            // What is known to be missing is not looked for any more.
            self.came.entry(number).or_default();
        }
    }

    fn take(&mut self, delivery: &Delivery) {
        let mut last = [None; 2];
        for (stream, at, text) in texts(delivery) {
            let number: usize = text.trim().parse().unwrap();
            let last = &mut last[usize::from(stream == Stream::Stderr)];
            assert!(*last < Some((number, at)), "the order of one stream");
            *last = Some((number, at));
            assert_eq!(self.came.insert(number, at), None, "{number} came twice");
        }
    }

    fn again(&mut self, lacks: Option<Stream>) {
        let mut from = self.entries.reached();
        if let Some(stream) = lacks.filter(|_| !self.was_put_back) {
            let place = self.before.of(stream).at;
            let last = from.stdout.at.part.max(from.stderr.at.part);
            if place.part + joining::DISORDER_NS >= last {
                *(if stream == Stream::Stderr { &mut from.stderr } else { &mut from.stdout }) = *self.before.of(stream);
                let log = &self.log;
                self.came.retain(|number, at| log[*number].0 != stream || *at < place || *number < self.gone);
            }
        }
        self.entries = Entries::new(Framing::Multiplexed, from);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn every_entry_comes_once_or_a_rotation_is_told(steps in steps()) {
        let entries = Entries::new(Framing::Multiplexed, Reached::default());
        let (log, came, before) = (Vec::new(), BTreeMap::new(), Reached::default());
        let mut play = Play { log, gone: 0, now: 9_000_000_000_000, was_put_back: false, entries, before, came };
        // Another follower does not see that the log has lost its beginning in the midst of the line that came last.
        let is_known = !steps.iter().any(|step| matches!(step, Step::Again { .. }));
        for step in steps {
            match step {
                Step::Print { stderr, entries, pieces, ns } => {
                    play.print(if stderr { Stream::Stderr } else { Stream::Stdout }, entries, pieces, ns);
                }
                Step::ClockBack(ns) => (play.now, play.was_put_back) = (play.now - ns.min(play.now / 4), true),
                Step::Rotate(hundredths) => play.rotate(hundredths, is_known),
                Step::Read { follow } => {
                    play.before = play.entries.reached();
                    play.read(follow);
                }
                Step::Again { lacks } => play.again(lacks),
            }
        }
    }
}

proptest! {
    #[test]
    fn raw_entries_come_whole_however_they_are_cut(
        lens in proptest::collection::vec(prop_oneof![0_usize..50, Just(16_384), Just(20_000), Just(40_000)], 1..6),
        cuts in proptest::collection::vec(0_usize..130_000, 0..8),
    ) {
        let (mut wire, mut want) = (Vec::new(), Vec::new());
        for (second, len) in (0..).zip(&lens) {
            let line = format!("{}\n", "x".repeat(*len));
            for piece in line.as_bytes().chunks(16_384) {
                wire.extend_from_slice(format!("{} ", stamp(second)).as_bytes());
                wire.extend_from_slice(piece);
                want.push(piece.to_vec());
            }
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).chain([0, wire.len()]).collect();
        cuts.sort_unstable();
        let (mut entries, mut delivery) = (Entries::new(Framing::Raw, Reached::default()), Delivery::default());
        for pair in cuts.windows(2) {
            let bytes = &wire[pair[0]..pair[1]];
            let frame = Frame { stream: Stream::Stdout, bytes, starts: false, ends: false };
            entries.push(&frame, &mut delivery).unwrap();
        }
        entries.settle(true, &mut delivery).unwrap();
        let got: Vec<Vec<u8>> = texts(&delivery).into_iter().map(|(_, _, text)| text.into_bytes()).collect();
        prop_assert_eq!(got, want);
    }
}
