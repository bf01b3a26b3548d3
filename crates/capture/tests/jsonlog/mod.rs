//! An engine that keeps a json-file log as Docker does, and somebody who keeps what a reader delivers.

#![allow(dead_code, reason = "each test file uses some of it")]

pub mod setup;

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use logboom_capture::{
    docker::logfile::{Damage, LogFile, Lost, Outcome, Resume, Scratch},
    services::feed::{Delivery, FileMark, Place, Reached, StreamPlace},
};
use logboom_record::Stream;

/// The engine's side of a log. It rotates before the first entry that it writes to a full file.
pub struct Engine {
    pub path: PathBuf,
    pub bytes_max: u64,
    pub files_max: u32,
    pub compresses: bool,
    file: Option<File>,
    size: u64,
}

impl Engine {
    pub fn new(path: &Path, bytes_max: u64, files_max: u32) -> Engine {
        Engine { path: path.to_owned(), bytes_max, files_max, compresses: false, file: None, size: 0 }
    }

    /// Writes an entry, after a rotation if the file is full.
    pub fn write(&mut self, line: &[u8]) {
        if self.is_full() {
            self.rotate();
        }
        self.append(line);
    }

    /// Whether the file has nothing yet.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub fn is_full(&self) -> bool {
        self.size >= self.bytes_max
    }

    /// Writes any bytes.
    pub fn append(&mut self, bytes: &[u8]) {
        let file = self.file.get_or_insert_with(|| open(&self.path, OpenOptions::new().append(true)));
        file.write_all(bytes).unwrap();
        self.size += bytes.len() as u64;
    }

    pub fn rotate(&mut self) {
        self.file = None;
        if self.files_max > 1 {
            self.rename_all();
        }
        self.file = Some(open(&self.path, OpenOptions::new().write(true).truncate(true)));
        self.size = 0;
    }

    fn rename_all(&self) {
        self.compress();
        let ending = if self.compresses { ".gz" } else { "" };
        let numbered = |number| self.numbered(number, ending);
        let _ = fs::remove_file(numbered(self.files_max - 1));
        for number in (1..self.files_max - 1).rev() {
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        fs::rename(&self.path, self.numbered(1, "")).unwrap();
    }

    /// Compresses the file that was rotated last, as the engine does beside its other work.
    pub fn compress(&self) {
        let plain = self.numbered(1, "");
        if !self.compresses || !plain.exists() {
            return;
        }
        let packed = File::create(self.numbered(1, ".gz")).unwrap();
        let mut packer = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        packer.write_all(&fs::read(&plain).unwrap()).unwrap();
        packer.finish().unwrap();
        fs::remove_file(plain).unwrap();
    }

    pub fn numbered(&self, number: u32, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}{ending}"));
        path.into()
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> File {
    options.create(true).open(path).unwrap()
}

/// An entry as the engine writes it; its time stamp is the number.
pub fn entry(stream: Stream, text: &str, number: u64) -> Vec<u8> {
    let text = serde_json::to_string(text).unwrap();
    let time = format!(
        "2026-01-02T{:02}:{:02}:{:02}.{:09}Z",
        number / 3_600_000 % 24,
        number / 60_000 % 60,
        number / 1_000 % 60,
        number % 1_000
    );
    format!("{{\"log\":{text},\"stream\":\"{}\",\"time\":\"{time}\"}}\n", stream.as_str()).into_bytes()
}

/// A piece that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub at: Place,
    pub text: Vec<u8>,
}

/// Keeps what is delivered, as a writer of records does.
#[derive(Clone, Default)]
pub struct Keeper {
    pub streams: [Vec<Kept>; 2],
    pub marks: Vec<(u64, FileMark)>,
    pub reached: Place,
    places: [StreamPlace; 2],
    pub lost: Vec<Lost>,
    pub damage: Vec<Damage>,
}

impl Keeper {
    pub fn keep(&mut self, delivery: &Delivery) {
        assert_eq!(delivery.pieces.iter().map(|piece| piece.len as usize).sum::<usize>(), delivery.bytes.len());
        let mut rest = delivery.bytes.as_slice();
        for piece in &delivery.pieces {
            let (text, after) = rest.split_at(piece.len as usize);
            rest = after;
            assert!(piece.at < delivery.reached);
            let place = self.places[piece.stream as usize];
            let text = if place.at == piece.at { &text[place.skip as usize..] } else { text };
            let kept = &mut self.streams[piece.stream as usize];
            match kept.last_mut().filter(|last| last.at >= piece.at) {
                Some(last) if last.at == piece.at => last.text.extend_from_slice(text), // the beginning of it was kept before
                Some(last) => panic!("a piece at {:?} after one at {:?}", piece.at, last.at),
                None => kept.push(Kept { at: piece.at, text: text.to_vec() }),
            }
        }
        assert!(delivery.reached >= self.reached, "{:?} after {:?}", delivery.reached, self.reached);
        self.reached = delivery.reached;
        for place in self.places.iter_mut().filter(|place| place.at < delivery.reached) {
            *place = StreamPlace { at: delivery.reached, ..StreamPlace::default() };
        }
        if let Some(mark) = delivery.file {
            self.marks.retain(|(part, _)| *part != delivery.reached.part);
            self.marks.push((delivery.reached.part, mark));
        }
    }

    /// What it keeps of a stream, in order.
    pub fn texts(&self, stream: Stream) -> Vec<String> {
        self.bytes(stream).into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    /// The same, where a text may end within a character.
    pub fn bytes(&self, stream: Stream) -> Vec<Vec<u8>> {
        self.streams[stream as usize].iter().map(|kept| kept.text.clone()).collect()
    }

    /// Forgets the last pieces of a stream, and some bytes of the last that is left.
    fn forget(&mut self, stream: Stream, pieces: usize, bytes: usize) {
        let (kept, place) = (&mut self.streams[stream as usize], &mut self.places[stream as usize]);
        if let Some(first) = kept.split_off(kept.len() - pieces.min(kept.len())).first() {
            *place = StreamPlace { at: first.at, ..StreamPlace::default() };
        }
        if let Some(last) = kept.last_mut().filter(|last| bytes > 0 && !last.text.is_empty()) {
            last.text.truncate(last.text.len() - bytes.min(last.text.len()));
            *place = StreamPlace { at: last.at, skip: last.text.len() as u32, ..StreamPlace::default() };
            if last.text.is_empty() {
                kept.pop();
            }
        }
    }

    /// As after a crash: keeps less of each stream. Gives how far it goes then.
    pub fn crash(&mut self, stdout: (usize, usize), stderr: (usize, usize)) -> Reached {
        self.forget(Stream::Stdout, stdout.0, stdout.1);
        self.forget(Stream::Stderr, stderr.0, stderr.1);
        let reached = Reached { stdout: self.places[0], stderr: self.places[1] };
        self.reached = reached.from();
        reached
    }

    /// Goes on reading from there.
    pub fn resume(&self, path: &Path, reached: Reached) -> LogFile {
        LogFile::new(path, Some(Resume { reached, files: &self.marks }))
    }

    /// Keeps what the log has, until it has nothing new. Tells whether it is drained.
    pub fn read_all(&mut self, log: &mut LogFile, scratch: &mut Scratch) -> bool {
        let mut delivery = Delivery::default();
        loop {
            match log.read(scratch, &mut delivery).unwrap() {
                Outcome::Read { .. } => self.keep(&delivery),
                Outcome::Nothing => return false,
                Outcome::Lost(lost) => self.lost.push(lost),
                Outcome::Damage(damage) => self.damage.push(damage),
                Outcome::Drained => return true,
            }
        }
    }
}
