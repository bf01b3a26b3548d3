//! Random histories and questions about them, the same for the same seed.

use logboom_record::{Entry, Flags, Gap, Level, Record, RunId, Stream};

use super::sample::{at, id, line};
use crate::{Case, Order, Query, RunPick, Scope, Syntax, TextQuery, View};

/// Numbers that look random (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub fn of<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len() as u64) as usize]
    }
}

/// Words whose pieces and cases meet each other in the questions.
const WORDS: [&str; 9] =
    ["error", "Error: ", "connection ", "refused", "\x1b[31m", "\x1b[0m", "re", "7f3a9c21", "a\nb"];

/// The session of each of the runs that histories are made of: two sessions, three commands.
pub const RUNS: [(u8, Option<u8>); 5] = [(1, None), (2, Some(1)), (3, Some(1)), (5, None), (6, Some(5))];

/// A batch for one run that goes on with `next`, at about this time, and the seq after it.
pub fn batch(random: &mut Random, run: RunId, mut next: u64, now: i64) -> (Vec<Entry>, u64) {
    let mut entries = Vec::new();
    for _ in 0..=random.below(6) {
        let time = at(now + random.below(7).cast_signed() - if random.once_in(9) { 40 } else { 0 });
        if random.once_in(12) {
            let to = next + random.below(4);
            entries.push(Entry::Gap(Gap { run, from: next, to: Some(to), time, why: "disk full".to_owned() }));
            next = to + 1;
            continue;
        }
        entries.push(Entry::Record(Record { time, ..record(random, run, next) }));
        next += 1;
    }
    (entries, next)
}

fn record(random: &mut Random, run: RunId, seq: u64) -> Record {
    let words = random.below(4);
    let message: String = (0..words).map(|_| *random.of(&WORDS)).collect();
    Record {
        stream: *random.of(&Stream::ALL),
        level: *random.of(&Level::ALL),
        flags: if random.once_in(3) { Flags::CONTINUED } else { Flags::NONE },
        fields: random.once_in(5).then(|| "{\"n\":1}".to_owned()),
        ..line(run, seq, &message)
    }
}

/// A question, most of which have an answer.
pub fn query(random: &mut Random, now: i64) -> Query {
    let scope = match random.below(4) {
        0 => Scope::All,
        1 => Scope::Session(id(5)),
        2 => Scope::Run(id(2)),
        _ => Scope::Session(id(1)),
    };
    Query {
        scope,
        runs: if random.once_in(4) { vec![RunPick::Id(id(2)), RunPick::Name("command 6".to_owned())] } else { vec![] },
        streams: if random.once_in(4) { [*random.of(&Stream::ALL)].into_iter().collect() } else { crate::Streams::ALL },
        level_min: if random.once_in(3) { *random.of(&Level::ALL) } else { Level::Trace },
        since: random.once_in(4).then(|| at(random.below(now.unsigned_abs() + 1).cast_signed())),
        until: random.once_in(4).then(|| at(random.below(now.unsigned_abs() + 1).cast_signed())),
        seq_min: if random.once_in(6) { random.below(20) } else { 0 },
        seq_max: if random.once_in(6) { random.below(60) } else { u64::MAX },
        text: if random.once_in(2) { Some(text(random)) } else { None },
        order: *random.of(&[Order::Oldest, Order::Newest]),
        lines_max: random.below(12) as usize,
    }
}

fn text(random: &mut Random) -> TextQuery {
    let view = *random.of(&[View::Plain, View::Raw]);
    let case = *random.of(&[Case::Sensitive, Case::Insensitive]);
    let literals = ["error", "refused", "connection re", "7f3a9c", "rere", "ERROR: ", "", "[31m", "absent"];
    let expressions = ["err.r", "^re", "fused$", r"re\s*re", "(?s)a.b", "[^x]error", "^$", r"\d[a-f]+\d", "a|7f"];
    match random.once_in(2) {
        true => TextQuery::new(random.of::<&str>(&literals), Syntax::Literal, case, view).unwrap(),
        false => TextQuery::new(random.of::<&str>(&expressions), Syntax::Regex, case, view).unwrap(),
    }
}
