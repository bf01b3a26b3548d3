//! Any history of a log: written in any chunks, torn, rotated any number of times between two reads, its reader killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that several tests share")]

mod jsonlog;

use std::collections::BTreeMap;

use jsonlog::{Engine, Keeper, entry};
use logboom_capture::docker::logfile::{LogFile, Scratch};
use logboom_record::Stream;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Action {
    /// Begins an entry, after the end of the one before.
    Print(Stream, String),
    /// Writes so many bytes of it.
    Append(usize),
    /// The engine is killed: what is not written yet of the entry is gone.
    Tear,
    /// Junk, as after a power cut.
    Junk(usize),
    Rotate,
    Compress,
    Read,
    /// The reader is killed with so many pieces, and bytes of a piece, unwritten; for both streams.
    Crash((usize, usize), (usize, usize)),
}

fn action() -> impl Strategy<Value = Action> {
    let text = prop_oneof![4 => "[a-z\"\\\\<é]{0,12}\n?", 1 => "x{300,900}\n", 1 => Just("same\n".to_owned())];
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    let unwritten = || prop_oneof![2 => Just((0, 0)), 1 => (0usize..9, 0usize..7)];
    prop_oneof![
        12 => (stream, text).prop_map(|(stream, text)| Action::Print(stream, text)),
        4 => (1usize..160).prop_map(Action::Append),
        1 => Just(Action::Tear),
        1 => (1usize..100).prop_map(Action::Junk),
        3 => Just(Action::Rotate),
        1 => Just(Action::Compress),
        5 => Just(Action::Read),
        2 => (unwritten(), unwritten()).prop_map(|(stdout, stderr)| Action::Crash(stdout, stderr)),
    ]
}

/// A log and its reader.
struct History {
    _dir: tempfile::TempDir,
    engine: Engine,
    log: LogFile,
    scratch: Scratch,
    keeper: Keeper,
    /// The entry under way, and how much of it is written.
    line: Vec<u8>,
    line_written: usize,
    line_is: Option<(Stream, String)>,
    number: u64,
    printed: [Vec<Vec<u8>>; 2],
    junk_bytes: u64,
    /// How often there was some, each maybe with a newline behind it.
    junks: u64,
    /// Rotations since the last read, and the most there were.
    rotations: u32,
    rotations_max: u32,
}

impl History {
    fn new(files_max: u32, compresses: bool) -> History {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c-json.log");
        let mut engine = Engine::new(&path, u64::MAX, files_max);
        engine.compresses = compresses;
        History {
            log: LogFile::new(&path, None),
            _dir: dir,
            engine,
            scratch: Scratch::default(),
            keeper: Keeper::default(),
            line: Vec::new(),
            line_written: 0,
            line_is: None,
            number: 0,
            printed: [Vec::new(), Vec::new()],
            junk_bytes: 0,
            junks: 0,
            rotations: 0,
            rotations_max: 0,
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Print(stream, text) => {
                self.append(usize::MAX);
                let text = format!("{} {text}", self.number);
                self.line = entry(*stream, &text, self.number);
                (self.line_written, self.line_is) = (0, Some((*stream, text)));
                self.number += 1;
            }
            Action::Append(bytes) => self.append(*bytes),
            Action::Tear => self.tear(),
            Action::Junk(bytes) => self.junk(*bytes),
            Action::Rotate => self.rotate(),
            Action::Compress => self.engine.compress(),
            Action::Read => self.read(),
            Action::Crash(stdout, stderr) => {
                let reached = self.keeper.crash(*stdout, *stderr);
                self.log = self.keeper.resume(&self.engine.path, reached);
            }
        }
    }

    fn append(&mut self, bytes: usize) {
        let end = self.line.len().min(self.line_written.saturating_add(bytes));
        self.engine.append(&self.line[self.line_written..end]);
        self.line_written = end;
        if end == self.line.len() {
            self.printed.extend_line(self.line_is.take());
            (self.line_written, self.line) = (0, Vec::new());
        }
    }

    fn tear(&mut self) {
        if self.line_written + 1 == self.line.len() {
            self.printed.extend_line(self.line_is.take()); // whole but for its newline
        } else {
            self.count_junk(self.line_written);
        }
        (self.line, self.line_written, self.line_is) = (Vec::new(), 0, None);
    }

    fn junk(&mut self, bytes: usize) {
        if self.engine.compresses && self.engine.is_empty() {
            // A compressed file is known by its first entry alone.
            self.act(&Action::Print(Stream::Stdout, "first\n".to_owned()));
        }
        self.append(usize::MAX);
        self.engine.append(b"\n"); // what was torn before is another matter
        self.engine.append(&vec![0; bytes]);
        self.count_junk(bytes);
    }

    fn count_junk(&mut self, bytes: usize) {
        self.junk_bytes += bytes as u64;
        self.junks += 1;
    }

    fn rotate(&mut self) {
        self.append(usize::MAX);
        self.act(&Action::Print(Stream::Stdout, "rotates\n".to_owned())); // no engine rotates an empty file
        self.append(usize::MAX);
        self.engine.rotate();
        self.rotations += 1;
        self.rotations_max = self.rotations_max.max(self.rotations);
    }

    fn read(&mut self) {
        self.keeper.read_all(&mut self.log, &mut self.scratch);
        self.rotations = 0;
    }

    fn end(&mut self) {
        self.append(usize::MAX);
        self.log.finish();
        assert!(self.keeper.read_all(&mut self.log, &mut self.scratch));
    }

    fn kept(&self) -> [Vec<Vec<u8>>; 2] {
        [self.keeper.bytes(Stream::Stdout), self.keeper.bytes(Stream::Stderr)]
    }

    /// Damage that was told, once each.
    fn damage_bytes(&self) -> u64 {
        let told: BTreeMap<_, _> = self.keeper.damage.iter().map(|damage| (damage.at, damage.bytes)).collect();
        told.values().sum()
    }
}

trait ExtendLine {
    fn extend_line(&mut self, line: Option<(Stream, String)>);
}

impl ExtendLine for [Vec<Vec<u8>>; 2] {
    fn extend_line(&mut self, line: Option<(Stream, String)>) {
        if let Some((stream, text)) = line {
            self[stream as usize].push(text.into_bytes());
        }
    }
}

/// Of a piece that was partly written when the reader was killed, the rest may be lost.
fn is_subsequence(part: &[Vec<u8>], whole: &[Vec<u8>]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|text| whole.any(|other| other.starts_with(text)))
}

fn history() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 0..60)
}

proptest! {
    #[test]
    fn every_piece_comes_once_while_the_engine_has_the_files(actions in history(), compresses in any::<bool>()) {
        let mut history = History::new(100, compresses);
        actions.iter().for_each(|action| history.act(action));
        history.end();
        prop_assert_eq!(history.kept(), history.printed.clone());
        prop_assert!(history.keeper.lost.is_empty());
        let newlines = history.damage_bytes().checked_sub(history.junk_bytes);
        prop_assert!(newlines.is_some_and(|newlines| newlines <= history.junks));
    }

    /// What was rotated away before there was a reader is nobody's loss.
    #[test]
    fn no_piece_is_missing_without_a_word_or_comes_twice(
        actions in history(),
        files_max in 1u32..5,
        compresses in any::<bool>(),
    ) {
        let mut history = History::new(files_max, compresses);
        let first = [Action::Print(Stream::Stdout, "first\n".to_owned()), Action::Append(usize::MAX), Action::Read];
        first.iter().chain(&actions).for_each(|action| history.act(action));
        history.end();
        let (kept, printed) = (history.kept(), &history.printed);
        prop_assert!(kept.iter().zip(printed).all(|(kept, printed)| is_subsequence(kept, printed)));
        prop_assert!(&kept == printed || !history.keeper.lost.is_empty());
    }

    #[test]
    fn nothing_is_told_to_be_lost_where_nothing_can_be(actions in history(), files_max in 2u32..6, compresses in any::<bool>()) {
        let mut history = History::new(files_max, compresses);
        let no_crash = actions.iter().filter(|action| !matches!(action, Action::Crash(..)));
        for action in no_crash {
            if history.rotations + 1 == files_max {
                history.read();
            }
            history.act(action);
        }
        history.end();
        prop_assert_eq!(history.kept(), history.printed.clone());
        prop_assert!(history.keeper.lost.is_empty());
    }
}
