//! Random streams in random chunks through the splitter, and random logs of containers through their reader, for as long as `LOGBOOM_FUZZ_SECONDS` says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's support fails as a test does")]

mod jsonlog;

use std::time::{Duration, Instant};

use jsonlog::{Engine, Keeper, entry};
use logboom_capture::{
    docker::logfile::{LogFile, Scratch},
    lines::Splitter,
};
use logboom_record::{Flags, RECORD_BYTES_MAX, Stream, Time};
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

/// A log of entries and junk, some of it long, some of it nearly an entry.
fn log() -> impl Strategy<Value = Vec<u8>> {
    let whole = ("[a-z\"\\\\<é\n]{0,30}", any::<u64>()).prop_map(|(text, number)| entry(Stream::Stdout, &text, number));
    let torn = (whole.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut line, at, byte)| {
        let at = at.index(line.len());
        if byte == 0 {
            line.truncate(at)
        } else {
            line[at] = byte
        }
        line
    });
    let junk =
        (any::<u8>(), prop_oneof![20 => 1usize..90, 1 => 1usize..3_000_000]).prop_map(|(byte, len)| vec![byte; len]);
    let junk = prop_oneof![junk, prop::collection::vec(any::<u8>(), 0..40)];
    prop::collection::vec(prop_oneof![12 => whole, 4 => torn, 3 => junk], 0..30).prop_map(|parts| parts.concat())
}

fn read_in_chunks(bytes: &[u8], cuts: &[usize], scratch: &mut Scratch) -> Keeper {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Engine::new(&dir.path().join("c-json.log"), u64::MAX, 2);
    let (mut log, mut keeper, mut start) = (LogFile::new(&engine.path, None), Keeper::default(), 0);
    for end in cuts {
        engine.append(&bytes[start..*end]);
        assert!(!keeper.read_all(&mut log, scratch));
        start = *end;
    }
    log.finish();
    assert!(keeper.read_all(&mut log, scratch) && keeper.lost.is_empty());
    keeper
}

#[test]
fn any_log_is_read_the_same_in_any_chunks() {
    let (mut runner, until, mut scratch) =
        (TestRunner::deterministic(), Instant::now() + seconds(), Scratch::default());
    let mut pieces = 0;
    while Instant::now() < until {
        let cuts = proptest::collection::vec(any::<prop::sample::Index>(), 0..12);
        let (bytes, cuts) = (log(), cuts).new_tree(&mut runner).unwrap().current();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let whole = read_in_chunks(&bytes, &[bytes.len()], &mut scratch);
        let chunked = read_in_chunks(&bytes, &cuts, &mut scratch);
        assert!(whole.streams == chunked.streams && whole.reached == chunked.reached);
        assert_eq!(
            whole.damage.iter().map(|d| (d.at, d.bytes)).collect::<Vec<_>>(),
            chunked.damage.iter().map(|d| (d.at, d.bytes)).collect::<Vec<_>>()
        );
        pieces += whole.streams[0].len();
    }
    assert!(pieces > 0);
}
