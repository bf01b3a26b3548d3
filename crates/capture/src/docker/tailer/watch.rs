//! Which directories inotify watches, and for which logs.
//!
//! A log's directory is watched, not its file: that tells of a file that is created later, and of rotation.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{fs::inotify, io::Errno};

use super::Token;

/// Room for some hundred events.
const EVENTS_BYTES: usize = 32 << 10;

/// File systems of which some writers are on other machines, or that tell of nothing: `f_type` of statfs(2).
const SILENT: [u32; 6] = [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400];

/// What is of interest in any case: the names in a directory, and the directory's own.
const NAMES: inotify::WatchFlags = inotify::WatchFlags::CREATE
    .union(inotify::WatchFlags::MOVED_TO)
    .union(inotify::WatchFlags::DELETE)
    .union(inotify::WatchFlags::DELETE_SELF)
    .union(inotify::WatchFlags::MOVE_SELF)
    .union(inotify::WatchFlags::ONLYDIR);

/// The directories of logs.
#[derive(Default)]
pub(super) struct Watch {
    inotify: Option<OwnedFd>,
    buffer: Vec<MaybeUninit<u8>>,
    dirs: HashMap<i32, Vec<Watched>>,
    unwatched: HashMap<Token, PathBuf>,
}

struct Watched {
    token: Token,
    path: PathBuf,
    name: OsString,
    /// Whether it is of interest when its files are written.
    wants_writes: bool,
}

impl Watch {
    pub fn new() -> Watch {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let buffer = vec![MaybeUninit::uninit(); EVENTS_BYTES];
        Watch { inotify: inotify::init(flags).ok(), buffer, ..Watch::default() }
    }

    /// What has something when there is something to hear.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(OwnedFd::as_fd)
    }

    /// Watches for what happens to a log from now on.
    pub fn add(&mut self, token: Token, path: &Path) {
        match self.watch_dir_of(path) {
            Some(dir) => {
                let name = path.file_name().unwrap_or_default().to_owned();
                let log = Watched { token, path: path.to_owned(), name, wants_writes: true };
                self.dirs.entry(dir).or_default().push(log);
            }
            None => drop(self.unwatched.insert(token, path.to_owned())),
        }
    }

    fn watch_dir_of(&self, path: &Path) -> Option<i32> {
        let (inotify, dir) = (self.inotify.as_ref()?, path.parent()?);
        let kind = rustix::fs::statfs(dir).ok()?.f_type;
        if SILENT.iter().any(|silent| i128::from(*silent) == kind.into()) {
            return None;
        }
        inotify::add_watch(inotify, dir, NAMES | inotify::WatchFlags::MODIFY).ok()
    }

    /// Whether to tell when a log is written, or only of new names of its files.
    pub fn listen_to_writes(&mut self, token: Token, listen: bool) {
        let Some((dir, logs)) = self.dirs.iter_mut().find(|(_, logs)| logs.iter().any(|log| log.token == token)) else {
            return; // it is looked at without a watch
        };
        logs.iter_mut().filter(|log| log.token == token).for_each(|log| log.wants_writes = listen);
        let writes = if logs.iter().any(|log| log.wants_writes) { inotify::WatchFlags::MODIFY } else { NAMES };
        let (dir, path) = (*dir, logs[0].path.clone());
        let (Some(inotify), Some(path)) = (&self.inotify, path.parent()) else { return };
        match inotify::add_watch(inotify, path, NAMES | writes) {
            Ok(same) if same == dir => {}
            Ok(other) => {
                if !self.dirs.contains_key(&other) {
                    let _ = inotify::remove_watch(inotify, other); // it is there
                }
                self.watch_no_more(dir); // another is in its place
            }
            Err(_) => self.watch_no_more(dir),
        }
    }

    /// Watches for a log no more.
    pub fn remove(&mut self, token: Token) {
        self.unwatched.remove(&token);
        self.dirs.values_mut().for_each(|logs| logs.retain(|log| log.token != token));
        let empty: Vec<_> = self.dirs.iter().filter(|(_, logs)| logs.is_empty()).map(|(dir, _)| *dir).collect();
        empty.into_iter().for_each(|dir| drop(self.stop_watching(dir)));
    }

    fn stop_watching(&mut self, dir: i32) -> Vec<Watched> {
        if let Some(inotify) = &self.inotify {
            let _ = inotify::remove_watch(inotify, dir); // where the directory is gone there is none
        }
        self.dirs.remove(&dir).unwrap_or_default()
    }

    /// Whether there are logs that have to be looked at, for want of a watch.
    pub fn has_unwatched(&self) -> bool {
        !self.unwatched.is_empty()
    }

    /// Tries again to watch those logs; gives them.
    pub fn retry(&mut self) -> Vec<Token> {
        let unwatched: Vec<_> = self.unwatched.drain().collect();
        unwatched.iter().for_each(|(token, path)| self.add(*token, path));
        unwatched.into_iter().map(|(token, _)| token).collect()
    }

    /// Calls for each log that something may have happened to. False if that is not known of some.
    pub fn hear(&mut self, mut heard: impl FnMut(Token)) -> bool {
        let Some(inotify) = &self.inotify else { return true };
        let mut events = inotify::Reader::new(inotify, &mut self.buffer);
        let (mut complete, mut gone) = (true, HashSet::new());
        loop {
            use inotify::ReadFlags as On;
            match events.next() {
                Ok(event) => {
                    let about = event.events();
                    complete &= !about.contains(On::QUEUE_OVERFLOW);
                    if about.intersects(On::IGNORED | On::DELETE_SELF | On::MOVE_SELF) {
                        gone.insert(event.wd());
                    }
                    let name = event.file_name().map(std::ffi::CStr::to_bytes);
                    let logs = self.dirs.get(&event.wd()).into_iter().flatten();
                    logs.filter(|log| log.is_named(name)).for_each(|log| heard(log.token));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return self.go_deaf(),
            }
        }
        gone.into_iter().for_each(|dir| self.watch_no_more(dir));
        complete
    }

    fn watch_no_more(&mut self, dir: i32) {
        let logs = self.stop_watching(dir);
        self.unwatched.extend(logs.into_iter().map(|log| (log.token, log.path)));
    }

    /// inotify is of no more use.
    fn go_deaf(&mut self) -> bool {
        self.inotify = None;
        let dirs: Vec<_> = self.dirs.keys().copied().collect();
        dirs.into_iter().for_each(|dir| self.watch_no_more(dir));
        false
    }
}

impl Watched {
    /// Whether a name is that of one of the log's files; no name is that of the directory.
    fn is_named(&self, name: Option<&[u8]>) -> bool {
        name.is_none_or(|name| name.starts_with(self.name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    const ONE: Token = Token(1);
    const TWO: Token = Token(2);

    fn heard(watch: &mut Watch) -> Vec<Token> {
        let mut heard = Vec::new();
        assert!(watch.hear(|token| heard.push(token)));
        heard.sort_unstable();
        heard.dedup();
        heard
    }

    fn append(path: &Path) {
        fs::File::options().append(true).open(path).unwrap().write_all(b"x").unwrap();
    }

    #[test]
    fn what_happens_to_a_logs_files_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let (log, other) = (dir.path().join("c-json.log"), dir.path().join("config.json"));
        let mut watch = Watch::new();
        watch.add(ONE, &log);
        fs::write(&other, "x").unwrap();
        assert_eq!(heard(&mut watch), []);
        fs::write(&log, "x").unwrap();
        assert_eq!(heard(&mut watch), [ONE]);
        append(&log);
        assert_eq!(heard(&mut watch), [ONE]);
        fs::rename(&log, dir.path().join("c-json.log.1")).unwrap();
        assert_eq!(heard(&mut watch), [ONE]);
        watch.remove(ONE);
        fs::write(&log, "x").unwrap();
        assert_eq!(heard(&mut watch), []);
    }

    #[test]
    fn writes_are_not_heard_where_nobody_wants_them() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("c-json.log");
        fs::write(&log, "x").unwrap();
        let mut watch = Watch::new();
        watch.add(ONE, &log);
        watch.add(TWO, &log);
        watch.listen_to_writes(ONE, false);
        append(&log);
        assert_eq!(heard(&mut watch), [ONE, TWO], "one of both still does");
        watch.listen_to_writes(TWO, false);
        append(&log);
        assert_eq!(heard(&mut watch), []);
        fs::write(dir.path().join("c-json.log.1"), "").unwrap();
        assert_eq!(heard(&mut watch), [ONE, TWO]);
        watch.listen_to_writes(ONE, true);
        append(&log);
        assert_eq!(heard(&mut watch), [ONE, TWO]);
    }

    #[test]
    fn a_directory_that_is_not_there_any_more_is_watched_again_when_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("c");
        let log = inner.join("c-json.log");
        let mut watch = Watch::new();
        watch.add(ONE, &log);
        assert!(watch.has_unwatched());
        for replaced in [false, true] {
            fs::create_dir(&inner).unwrap();
            assert_eq!(watch.retry(), [ONE]);
            assert!(!watch.has_unwatched());
            fs::remove_dir(&inner).unwrap();
            if replaced {
                fs::create_dir(&inner).unwrap();
                watch.listen_to_writes(ONE, false); // finds another directory in its place
            } else {
                assert_eq!(heard(&mut watch), [ONE]);
            }
            assert!(watch.has_unwatched());
        }
        assert_eq!(watch.retry(), [ONE]);
        heard(&mut watch);
        fs::write(&log, "x").unwrap();
        assert_eq!(heard(&mut watch), [ONE]);
    }

    #[test]
    fn events_that_the_kernel_dropped_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let logs = [dir.path().join("c-json.log"), dir.path().join("c-json.log.1")];
        let mut files = logs.each_ref().map(|log| fs::File::create(log).unwrap());
        let mut watch = Watch::new();
        watch.add(ONE, &logs[0]);
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        for _event in 0..=limit.trim().parse::<u32>().unwrap() / 2 {
            files.iter_mut().for_each(|file| file.write_all(b"x").unwrap()); // in turn, or they would be one event
        }
        assert!(!watch.hear(|token| assert_eq!(token, ONE)));
        append(&logs[0]);
        assert_eq!(heard(&mut watch), [ONE]);
    }
}
