//! Every word that may tell something at the head of a line, and one look-up for all of them.
//!
//! Most words of most lines are in none of the lists, so the look-up is built for a quick no: a hash of the first eight
//! letters into a sparse table that is computed at compile time.

use super::Level;
use super::Level::{Debug, Error, Info, Trace, Warn};

/// How far a word that names a level can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Hardly ever anything but a level.
    Plain,
    /// A level where one is expected.
    Usual,
    /// A level only in capitals.
    Capitals,
}

/// A tool, or a kind of line, whose shape `tools.rs` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    None,
    Cmake,
    Exception,
    Found,
    Not,
    Npm,
    Php,
    Test,
    Tests,
    Thread,
}

/// What one word can mean at the head of a line.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    word: Word8,
    /// The level that it names.
    pub(super) level: Option<(Level, Trust)>,
    /// The tool that starts lines with it.
    pub(super) shape: Shape,
    /// What follows it where it starts the report of a failure.
    pub(super) failures: &'static [&'static [u8]],
    /// What follows it where it does so behind `program: ` only.
    pub(super) complaints: &'static [&'static [u8]],
}

/// A word by its first eight letters in lower case and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word8 {
    pub(super) key: u64,
    pub(super) len: u8,
}

impl Word8 {
    /// The word `lower`, which is in lower case.
    pub(super) const fn new(lower: &[u8]) -> Self {
        let (mut key, mut at) = (0, 0);
        while at < lower.len() && at < 8 {
            key |= (lower[at] as u64) << (8 * at);
            at += 1;
        }
        Word8 { key, len: lower.len() as u8 }
    }

    #[inline]
    const fn slot(self) -> usize {
        (self.key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOT_BITS)) as usize
    }
}

/// What `word` means, if it means anything.
#[inline]
pub(super) fn look_up(word: Word8) -> Option<&'static Entry> {
    let mut slot = word.slot();
    loop {
        match SLOTS[slot] {
            0 => return None,
            at => {
                let entry = &ENTRIES[usize::from(at) - 1];
                if entry.word == word {
                    return Some(entry);
                }
            }
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
}

const SLOT_BITS: u32 = 10;
const SLOT_COUNT: usize = 1 << SLOT_BITS;

/// For each hash the place of an entry plus one; 0 is empty.
static SLOTS: [u8; SLOT_COUNT] = {
    let mut slots = [0; SLOT_COUNT];
    let mut at = 0;
    while at < ENTRIES.len() {
        let mut slot = ENTRIES[at].word.slot();
        while slots[slot] != 0 {
            slot = (slot + 1) % SLOT_COUNT;
        }
        slots[slot] = at as u8 + 1;
        at += 1;
    }
    slots
};

const fn entry(lower: &str) -> Entry {
    Entry { word: Word8::new(lower.as_bytes()), level: None, shape: Shape::None, failures: &[], complaints: &[] }
}

const fn plain(lower: &str, level: Level) -> Entry {
    Entry { level: Some((level, Trust::Plain)), ..entry(lower) }
}

const fn usual(lower: &str, level: Level) -> Entry {
    Entry { level: Some((level, Trust::Usual)), ..entry(lower) }
}

const fn capitals(lower: &str, level: Level) -> Entry {
    Entry { level: Some((level, Trust::Capitals)), ..entry(lower) }
}

const fn tool(lower: &str, shape: Shape) -> Entry {
    Entry { shape, ..entry(lower) }
}

const fn fails(lower: &str, failures: &'static [&'static [u8]]) -> Entry {
    Entry { failures, ..entry(lower) }
}

const fn complains(lower: &str, complaints: &'static [&'static [u8]]) -> Entry {
    Entry { complaints, ..entry(lower) }
}

static ENTRIES: [Entry; 113] = [
    Entry { complaints: &[b" is not "], ..plain("error", Error) },
    plain("err", Error),
    Entry { failures: &[b" error"], ..plain("fatal", Error) },
    plain("critical", Error),
    plain("crit", Error),
    usual("erro", Error),
    usual("eror", Error),
    usual("severe", Error),
    usual("fata", Error),
    usual("ftl", Error),
    usual("panic", Error),
    usual("emerg", Error),
    usual("emergency", Error),
    usual("alert", Error),
    usual("fail", Error),
    Entry { failures: &[b" to ", b" Tests", b" listening"], ..usual("failed", Error) },
    usual("failure", Error),
    capitals("failures", Error),
    capitals("errors", Error),
    plain("warn", Warn),
    plain("warning", Warn),
    usual("wrn", Warn),
    capitals("warnings", Warn),
    usual("deprecated", Warn),
    usual("deprecation", Warn),
    plain("info", Info),
    plain("notice", Info),
    usual("information", Info),
    usual("informational", Info),
    usual("note", Info),
    capitals("inf", Info),
    capitals("log", Info),
    plain("debug", Debug),
    usual("dbg", Debug),
    usual("debu", Debug),
    usual("dbug", Debug),
    usual("verbose", Debug),
    usual("verb", Debug),
    capitals("fine", Debug),
    capitals("config", Debug),
    plain("trace", Trace),
    usual("trc", Trace),
    usual("trce", Trace),
    usual("trac", Trace),
    usual("silly", Trace),
    usual("sill", Trace),
    capitals("finer", Trace),
    capitals("finest", Trace),
    tool("cmake", Shape::Cmake),
    tool("exception", Shape::Exception),
    tool("found", Shape::Found),
    Entry { complaints: &[b" a "], ..tool("not", Shape::Not) },
    tool("npm", Shape::Npm),
    tool("php", Shape::Php),
    tool("test", Shape::Test),
    tool("tests", Shape::Tests),
    tool("thread", Shape::Thread),
    fails("aborted", &[b" ("]),
    fails("aborting", &[b""]),
    fails("assertion", &[b" failed", b" `"]),
    fails("begin", &[b" failed"]),
    Entry { complaints: &[b" stopped"], ..fails("build", &[b" FAILED", b" failed"]) },
    fails("bus", &[b" error"]),
    fails("called", &[b" `Result::unwrap()`", b" `Option::unwrap()`", b" `Result::expect"]),
    fails("can", &[b"'t "]),
    fails("cannot", &[b" "]),
    fails("caused", &[b" by: ", b": "]),
    fails("command", &[b" failed", b" not found"]),
    fails("compilation", &[b" failed"]),
    fails("configuring", &[b" incomplete"]),
    fails("conflict", &[b" ("]),
    fails("connection", &[b" refused"]),
    fails("could", &[b" not "]),
    fails("couldn", &[b"'t "]),
    fails("dependency", &[b" failed"]),
    fails("double", &[b" free or corruption"]),
    fails("executable", &[b" file not found"]),
    fails("exit", &[b" status 1", b" status 2"]),
    fails("free", &[b"(): "]),
    fails("keyboardinterrupt", &[b""]),
    fails("module", &[b" parse failed", b" not found"]),
    Entry {
        complaints: &[b" such ", b" input files"],
        ..fails(
            "no",
            &[b" such file or directory", b" module named", b" tests found", b" test files found", b" files matching"],
        )
    },
    fails("oops", &[b"! "]),
    fails("out", &[b" of memory"]),
    fails("permission", &[b" denied"]),
    fails("segfault", &[b" at "]),
    fails("segmentation", &[b" fault"]),
    fails("summary", &[b": AddressSanitizer", b": ThreadSanitizer"]),
    fails("syntax", &[b" error"]),
    fails("task", &[b" exception was never"]),
    fails("terminate", &[b" called "]),
    fails("timeout", &[b" of "]),
    fails("traceback", &[b" (", b" \x1b"]),
    fails("unable", &[b" to "]),
    fails("uncaught", &[b" "]),
    fails("undefined", &[b" reference to", b": "]),
    fails("unhandled", &[b" "]),
    Entry { complaints: &[b" "], ..fails("unknown", &[b" command", b" option"]) },
    fails("unrecognised", &[b" option"]),
    fails("unrecognized", &[b" option"]),
    Entry { complaints: &[b" "], ..fails("illegal", &[b" instruction"]) },
    complains("all", &[b" warnings being treated"]),
    complains("bad", &[b" "]),
    complains("bind", &[b"() "]),
    complains("division", &[b" by "]),
    complains("invalid", &[b" "]),
    complains("missing", &[b" "]),
    complains("option", &[b" "]),
    complains("target", &[b" '"]),
    complains("too", &[b" many ", b" few "]),
    complains("unexpected", &[b" "]),
    complains("unsupported", &[b" "]),
    complains("broken", &[b" pipe"]),
];
