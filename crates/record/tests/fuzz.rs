//! Anything at all read as a text log, for as long as `LOGBOOM_FUZZ_SECONDS` says.

#![allow(clippy::unwrap_used, reason = "a test's support fails as a test does")]

use std::time::{Duration, Instant};

use logboom_record::{Flags, Level, Stream, Time, text};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

fn seconds() -> Duration {
    Duration::from_secs(std::env::var("LOGBOOM_FUZZ_SECONDS").map_or(2, |text| text.parse().unwrap()))
}

/// A text line of ours with some bytes replaced, cut or doubled.
fn nearly_a_line() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 0..6);
    (any::<i64>(), 0u8..3, 0usize..5, proptest::collection::vec(any::<u8>(), 0..60), edits).prop_map(
        |(micros, stream, level, message, edits)| {
            let mut line = Vec::new();
            let stream = Stream::from_u8(stream).unwrap();
            text::Prefix::new(Time::from_micros(micros)).push(
                &mut line,
                stream,
                Level::ALL[level],
                Flags::NONE,
                &message,
            );
            for (at, byte, what) in edits {
                let at = at.index(line.len());
                match what {
                    0 => line[at] = byte,
                    1 => line.insert(at, byte),
                    _ if line.len() > 1 => drop(line.remove(at)),
                    _ => {}
                }
            }
            line
        },
    )
}

#[test]
fn whatever_parses_as_a_line_is_written_back_the_same() {
    let (mut runner, until) = (TestRunner::deterministic(), Instant::now() + seconds());
    let (mut cases, mut parsed) = (0u64, 0u64);
    while Instant::now() < until {
        let bytes = nearly_a_line().new_tree(&mut runner).unwrap().current();
        for line in bytes.split(|byte| *byte == b'\n') {
            cases += 1;
            if let Some(gap) = text::GapText::parse(line) {
                assert!(text::TextLine::parse(line).is_none() && gap.to.is_none_or(|to| to >= gap.from));
            }
            let Some(found) = text::TextLine::parse(line) else { continue };
            let Some(stream) = found.stream else { continue };
            let flags = if found.open { Flags::CONTINUED } else { Flags::NONE };
            let mut back = Vec::new();
            text::Prefix::new(found.time).push(&mut back, stream, found.level, flags, found.message);
            // A day such as 02-30 is read as the day it would be: only the stamp may differ.
            assert_eq!(&back[27..back.len() - 1], &line[27..]);
            parsed += 1;
        }
    }
    assert!(parsed > 0 && parsed < cases, "{parsed} of {cases} parsed: the mutations are too tame or too wild");
}
