//! Random streams in random chunks through the splitter, for as long as `LOGBOOM_FUZZ_SECONDS` says.

#![allow(clippy::unwrap_used, reason = "a test's support fails as a test does")]

use std::time::{Duration, Instant};

use logboom_capture::lines::Splitter;
use logboom_record::{Flags, RECORD_BYTES_MAX, Time};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

fn seconds() -> Duration {
    Duration::from_secs(std::env::var("LOGBOOM_FUZZ_SECONDS").map_or(2, |text| text.parse().unwrap()))
}

/// Runs of one byte, so that lines around the longest record are common.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop_oneof![0usize..40, RECORD_BYTES_MAX - 2..RECORD_BYTES_MAX + 3];
    let run = (prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], lengths, any::<bool>());
    proptest::collection::vec(run, 0..8).prop_map(|runs| {
        let mut bytes = Vec::new();
        for (byte, len, newline) in runs {
            bytes.resize(bytes.len() + if byte == b'\n' { len.min(40) } else { len }, byte);
            bytes.extend(newline.then_some(b'\n'));
        }
        bytes
    })
}

#[test]
fn any_stream_in_any_chunks_comes_back() {
    let (mut runner, until) = (TestRunner::deterministic(), Instant::now() + seconds());
    let mut parts = 0u64;
    while Instant::now() < until {
        let (bytes, cuts) = (stream(), proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..12))
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let mut cuts: Vec<_> = cuts.into_iter().map(|(cut, early)| (cut.index(bytes.len() + 1), early)).collect();
        cuts.push((bytes.len(), false));
        cuts.sort_unstable();
        let (mut splitter, mut back, mut start) = (Splitter::default(), Vec::new(), 0);
        let mut take = |part: logboom_capture::lines::Part<'_>| {
            assert!(part.message.len() <= RECORD_BYTES_MAX);
            back.extend_from_slice(part.message);
            back.extend(part.flags.ends_line_with_newline().then_some(b'\n'));
            assert!(!part.flags.has(Flags::CONTINUED.with(Flags::NO_NEWLINE)));
            parts += 1;
        };
        for (end, early) in cuts {
            splitter.push(&bytes[start..end], Time::from_micros(1), &mut take);
            if early {
                splitter.hand_out_unfinished(&mut take);
            }
            start = end;
        }
        splitter.finish(&mut take);
        assert!(back == bytes, "{} bytes came back as {}", bytes.len(), back.len());
    }
    assert!(parts > 0);
}
