//! What the tests share.

use std::{fs, path::Path};

use logboom::LogCollector;
use logboom_files::{Session, session::RunMeta};
use logboom_record::{Entry, Time};
use logboom_store::{Query, Scope, Store};
use logboom_store_embedded::Embedded;

/// A collector in a directory of its own.
pub fn collector() -> (tempfile::TempDir, LogCollector) {
    let dir = tempfile::tempdir().unwrap();
    let collector = LogCollector::builder(dir.path()).build().unwrap();
    (dir, collector)
}

/// The messages of a text log.
pub fn messages(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "torn: {path:?}");
    text.lines().map(|line| line[32..].to_owned()).collect()
}

/// The messages of every session file as the store gives them, in the order of the files. What is lost fails the test.
pub fn stored(dir: &Path, session: &Session) -> Vec<Vec<String>> {
    let store = Embedded::open(dir).unwrap();
    let runs = session.status(Time::now()).meta.runs;
    let messages = |run: RunMeta| stored_of(&store, Query::new(Scope::Run(run.run.id)), run.run.end.is_none());
    runs.into_iter().map(messages).collect()
}

fn stored_of(store: &Embedded, mut query: Query, may_lack: bool) -> Vec<String> {
    query.lines_max = 1_000;
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.page(&query, cursor.as_ref()).unwrap();
        let records = page.entries.iter().filter_map(|entry| match entry {
            Entry::Record(record) => Some(String::from_utf8(record.message.clone()).unwrap()),
            Entry::Gap(gap) => {
                assert!(may_lack && gap.to.is_none(), "{gap:?}");
                None
            }
        });
        all.extend(records);
        if !page.more {
            return all;
        }
        cursor = Some(page.cursor);
    }
}

/// So many collectors that a thread which logs to each has no ring left for one more.
pub fn crowd(dir: &Path) -> Vec<LogCollector> {
    let collector = || LogCollector::builder(dir.join("crowd")).text_only().bound_only().build().unwrap();
    (0..16).map(|_| collector()).collect()
}

/// The levels of a text log, by letter.
pub fn levels(path: &Path) -> String {
    fs::read_to_string(path).unwrap().lines().map(|line| char::from(line.as_bytes()[30])).collect()
}

/// Runs this test again in a process of its own, with `ROLE` set, and gives that process.
pub fn again(test: &str, role: &str, dir: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("ROLE", role).env("ROLE_DIR", dir);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    command
}

/// What this process was started for by [`again`].
pub fn role() -> Option<(String, std::path::PathBuf)> {
    Some((std::env::var("ROLE").ok()?, std::env::var_os("ROLE_DIR")?.into()))
}
