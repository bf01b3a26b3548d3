//! The names of a log's files: which are its own, and in what order they were written.
//!
//! `a-20260102-030405.log` must be a closed file of `a` and nothing else, so no id may end like that ([`check_id`]).

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::DirEntryExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use logboom_record::Time;

use super::ComponentError;

/// The longest id of a plugin.
pub const ID_BYTES_MAX: usize = 128;

/// How many files can be closed in one second; the next gets the second after.
const NUMBER_MAX: u16 = 9_999;

/// Where a log is: its directory, and what all its files' names begin with.
#[derive(Clone, Debug)]
pub(super) struct Place {
    dir: PathBuf,
    name: String,
}

impl Place {
    pub(super) fn of_plugin(log_dir: &Path, id: &str) -> Result<Place, ComponentError> {
        match check_id(id) {
            Ok(()) => Ok(Place { dir: log_dir.join("plugins"), name: id.to_owned() }),
            Err(why) => Err(ComponentError::BadId { id: id.to_owned(), why }),
        }
    }

    pub(super) fn of_supervisor(log_dir: &Path) -> Place {
        Place { dir: log_dir.to_owned(), name: "plugin-supervisor".to_owned() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn live(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join(format!(".{}.lock", self.name))
    }

    pub(super) fn plain(&self, stem: Stem) -> PathBuf {
        self.dir.join(format!("{}-{stem}.log", self.name))
    }

    pub(super) fn packed(&self, stem: Stem) -> PathBuf {
        self.dir.join(format!("{}-{stem}.log.zst", self.name))
    }

    pub(super) fn unfinished(&self, stem: Stem) -> PathBuf {
        self.dir.join(format!(".{}-{stem}.log.zst.tmp", self.name))
    }

    /// The closed files, by age. A directory that is not there has none.
    pub(super) fn closed(&self) -> Result<BTreeMap<Stem, Closed>, ComponentError> {
        self.list().map_err(ComponentError::at("list", &self.dir))
    }

    fn list(&self) -> io::Result<BTreeMap<Stem, Closed>> {
        let mut found: BTreeMap<Stem, Closed> = BTreeMap::new();
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Some((stem, form)) = entry.file_name().to_str().and_then(|name| self.parse(name)) else { continue };
            let closed = found.entry(stem).or_default();
            match form {
                Form::Plain => closed.plain = Some(entry.ino()),
                Form::Packed => closed.packed = true,
                Form::Unfinished => closed.unfinished = true,
            }
        }
        Ok(found)
    }

    fn parse(&self, name: &str) -> Option<(Stem, Form)> {
        let (name, hidden) = name.strip_prefix('.').map_or((name, false), |rest| (rest, true));
        let rest = name.strip_prefix(&self.name)?.strip_prefix('-')?;
        let (stem, ending) = rest.split_once('.')?;
        let form = match (hidden, ending) {
            (false, "log") => Form::Plain,
            (false, "log.zst") => Form::Packed,
            (true, "log.zst.tmp") => Form::Unfinished,
            _ => return None,
        };
        Some((stem.parse().ok()?, form))
    }
}

/// The ids of the plugins that have a live file in this log dir, sorted.
pub(super) fn plugins(log_dir: &Path) -> Result<Vec<String>, ComponentError> {
    let dir = log_dir.join("plugins");
    let list = || -> io::Result<Vec<String>> {
        let names = fs::read_dir(&dir)?.map(|entry| Ok(entry?.file_name()));
        names.filter_map(|name| name.map(|name| id_of(name.to_str()?)).transpose()).collect()
    };
    let mut ids = match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        ids => ids.map_err(ComponentError::at("list", &dir))?,
    };
    ids.sort_unstable();
    Ok(ids)
}

fn id_of(file_name: &str) -> Option<String> {
    let id = file_name.strip_suffix(".log")?;
    check_id(id).is_ok().then(|| id.to_owned())
}

enum Form {
    Plain,
    Packed,
    Unfinished,
}

/// In which forms a closed file is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Closed {
    /// The inode of the plain one.
    pub(super) plain: Option<u64>,
    pub(super) packed: bool,
    pub(super) unfinished: bool,
}

impl Closed {
    pub(super) fn is_readable(self) -> bool {
        self.plain.is_some() || self.packed
    }
}

/// What a closed file's name says: the second of the rotation, and which one of that second it was. Sorts by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stem {
    unix_seconds: i64,
    number: u16,
}

impl Stem {
    /// The name of the next closed file, after all there are.
    pub(super) fn next(now: Time, newest: Option<Stem>) -> Stem {
        let now = Stem { unix_seconds: now.as_micros().div_euclid(1_000_000), number: 1 };
        match newest {
            Some(newest) if newest >= now && newest.number < NUMBER_MAX => Stem { number: newest.number + 1, ..newest },
            Some(newest) if newest >= now => Stem { unix_seconds: newest.unix_seconds + 1, number: 1 },
            _ => now,
        }
    }
}

impl fmt::Display for Stem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Time::from_micros(self.unix_seconds.saturating_mul(1_000_000)).to_string();
        let part = |range: std::ops::Range<usize>| time.get(range).unwrap_or_default();
        write!(f, "{}{}{}-{}{}{}", part(0..4), part(5..7), part(8..10), part(11..13), part(14..16), part(17..19))?;
        if self.number == 1 { Ok(()) } else { write!(f, "_{:04}", self.number) }
    }
}

impl FromStr for Stem {
    type Err = ();
    fn from_str(text: &str) -> Result<Stem, ()> {
        if !is_stem(text.as_bytes()) {
            return Err(());
        }
        let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
        let date = format!("{}-{}-{}", part(0..4), part(4..6), part(6..8));
        let time = format!("{date}T{}:{}:{}Z", part(9..11), part(11..13), part(13..15));
        let unix_seconds = time.parse::<Time>().map_err(drop)?.as_micros().div_euclid(1_000_000);
        let number = if text.len() > STEM_BYTES { part(16..20).parse().map_err(drop)? } else { 1 };
        let stem = Stem { unix_seconds, number };
        // A leap second, or a number 0 or 1, would be a second name for the same.
        if stem.to_string() == text { Ok(stem) } else { Err(()) }
    }
}

const STEM_BYTES: usize = "YYYYMMDD-HHMMSS".len();

/// Whether it looks like the time and number of a closed file, be it a date or not.
fn is_stem(text: &[u8]) -> bool {
    let fits = |shape: &[u8]| {
        let byte_fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
        text.len() == shape.len() && text.iter().zip(shape).all(byte_fits)
    };
    fits(b"00000000-000000") || fits(b"00000000-000000_0000")
}

fn check_id(id: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let ends_as_closed = |from: usize| {
        let end = id.len().checked_sub(from).and_then(|at| id.as_bytes().get(at..));
        end.is_some_and(|end| end[0] == b'-' && is_stem(&end[1..]))
    };
    match id {
        "" => Err("is empty"),
        _ if id.len() > ID_BYTES_MAX => Err("is too long"),
        _ if !id.bytes().all(allowed) => Err("has other characters"),
        _ if id.starts_with('.') => Err("begins with a dot"),
        _ if ends_as_closed(STEM_BYTES + 1) || ends_as_closed(STEM_BYTES + 6) => {
            Err("ends like the name of a rotated file (-YYYYMMDD-HHMMSS)")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn ids_that_could_leave_the_directory_or_be_another_file_are_refused() {
        for id in [
            "a",
            "a-b",
            "A.b_c-9",
            "a-20260102",
            "a-2026010-030405",
            "20260102-030405",
            "-",
            "a.log",
            "a-20260102-030405_2",
        ] {
            assert_eq!(check_id(id), Ok(()), "{id}");
        }
        let long = "x".repeat(129);
        for id in [
            "",
            ".",
            "..",
            ".a",
            "a/b",
            "a\0",
            "ä",
            "a b",
            &long,
            "a-20260102-030405",
            "-99999999-999999",
            "a-20260102-030405_0002",
        ] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn no_name_is_a_file_of_two_logs() {
        let place = |id: &str| Place { dir: PathBuf::new(), name: id.to_owned() };
        assert!(place("a").parse("a-20260102-030405.log").is_some());
        assert!(place("a").parse("a-b-20260102-030405.log").is_none());
        assert!(place("a-b").parse("a-b-20260102-030405.log.zst").is_some());
        assert!(place("a").parse("a-20260102-030405-20260102-030405.log").is_none());
        assert!(place("a").parse("a-20261302-030405.log").is_none(), "no such month");
        assert!(place("a.b").parse("a.b-20260102-030405_0002.log").is_some());
    }

    #[test]
    fn rotations_of_one_second_and_of_a_clock_that_steps_back_stay_in_order() {
        let first = Stem::next(time("2026-01-02T03:04:05.9Z"), None);
        assert_eq!(first.to_string(), "20260102-030405");
        let second = Stem::next(time("2026-01-02T03:04:05.9Z"), Some(first));
        assert_eq!(second.to_string(), "20260102-030405_0002");
        let third = Stem::next(time("2025-01-02T03:04:05Z"), Some(second));
        assert_eq!(third.to_string(), "20260102-030405_0003");
        let full = Stem { number: NUMBER_MAX, ..third };
        assert_eq!(Stem::next(time("2026-01-02T03:04:05Z"), Some(full)).to_string(), "20260102-030406");
    }

    proptest! {
        #[test]
        fn names_sort_as_files_were_closed(steps in prop::collection::vec(-2_000_000i64..2_000_000, 1..60)) {
            let (mut now, mut newest, mut names) = (1_767_323_045_000_000, None, Vec::new());
            for step in steps {
                now += step;
                let stem = Stem::next(Time::from_micros(now), newest);
                prop_assert_eq!(stem.to_string().parse(), Ok(stem));
                names.push(format!("a-{stem}.log"));
                newest = Some(stem);
            }
            prop_assert!(names.is_sorted_by(|a, b| a < b), "{:?}", names);
        }
    }
}
