//! Sessions that others left behind: text logs without a boom file, killed writers, damaged blocks.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use logboom_boom::Options;
use logboom_files::{
    DataDir, Session,
    session::{Counts, NewSession, RunMeta, started},
};
use logboom_record::{
    Entry, EntryRef, Flags, Gap, Kind, Level, Outcome, Record, Run, RunEnd, RunId, Stream, Time,
    text::{push_gap, push_record},
};
use logboom_store::{Case, Order, Query, RunQuery, Scope, Store, Syntax, TextQuery, View, Wake, mem::Mem};
use logboom_store_embedded::Embedded;

fn at(ms: i64) -> Time {
    Time::from_micros(1_767_323_045_000_000 + ms * 1_000)
}

fn record(run: RunId, seq: u64, message: &str) -> Record {
    Record {
        run,
        seq,
        time: at(seq.cast_signed()),
        origin_time_ns: None,
        stream: Stream::Stdout,
        level: Level::Info,
        flags: Flags::NONE,
        message: message.as_bytes().to_vec(),
        fields: None,
    }
}

/// A run's life with all that a text log can tell: levels, streams, parts, inner newlines, colours, a gap, a clock that
/// steps back.
fn life(run: RunId, lines: u64) -> Vec<Entry> {
    let mut entries = Vec::new();
    for seq in 1..=lines {
        let mut line = record(run, seq, &format!("line {seq} of \x1b[31mmany\x1b[0m"));
        match seq % 7 {
            1 => line.flags = Flags::CONTINUED,
            2 => (line.stream, line.level) = (Stream::Stderr, Level::Error),
            3 => line.message = b"two\nlines".to_vec(),
            4 => line.time = at(seq.cast_signed() - 100),
            _ => {}
        }
        entries.push(Entry::Record(line));
    }
    let gap = Gap { run, from: lines + 1, to: Some(lines + 5), time: at(lines.cast_signed()), why: "disk full".into() };
    entries.extend([Entry::Gap(gap), Entry::Record(record(run, lines + 6, "after"))]);
    entries
}

fn end() -> RunEnd {
    RunEnd { ended_at: at(90_000), outcome: Outcome::Passed, exit_code: Some(0), signal: None }
}

#[test]
fn a_reader_of_a_text_log_notices_that_it_was_cut_back() {
    let dir = tempfile::tempdir().unwrap();
    let (root, run, entries) = text_session(dir.path(), |run| life(run, 4));
    let session = fs::read_dir(dir.path().join("sessions")).unwrap().next().unwrap().unwrap().path();
    let mut names = fs::read_dir(session).unwrap().map(|name| name.unwrap().path());
    let path = names.find(|path| path.extension().is_some_and(|end| end == "log")).unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let query = Query::new(Scope::Session(root.id));
    assert_eq!(store.page(&query, None).unwrap().entries.len(), entries.len());
    let (mut bytes, mut now) = (Vec::new(), entries[..2].to_vec());
    let gap = Gap { run: run.id, from: 3, to: Some(10), time: at(11), why: "disk full".into() };
    now.push(Entry::Gap(gap));
    now.extend((11..40).map(|seq| Entry::Record(record(run.id, seq, "and on"))));
    for entry in &now {
        match entry {
            Entry::Record(record) => push_record(&mut bytes, &record.as_ref()),
            Entry::Gap(gap) => push_gap(&mut bytes, gap),
        }
    }
    fs::write(&path, bytes).unwrap();
    let page = store.page(&query, None).unwrap();
    assert_eq!(page.entries, now);
}

/// A session of one run that has a text log and no boom file.
fn text_session(dir: &Path, entries: impl Fn(RunId) -> Vec<Entry>) -> (Run, Run, Vec<Entry>) {
    let new = NewSession { name: "s".into(), labels: BTreeMap::new(), open: false, user: None, now: at(0) };
    let session = Session::create(&DataDir::at(dir), new).unwrap();
    let root = session.meta().unwrap().run;
    let (_, text) = session.claim_text("make".as_ref()).unwrap();
    let run = Run { parent: Some(root.id), ..started(RunId::new(at(1)), Kind::Command, "make".into(), at(1)) };
    let mut bytes = Vec::new();
    let entries = entries(run.id);
    for entry in &entries {
        match entry {
            Entry::Record(record) => push_record(&mut bytes, &record.as_ref()),
            Entry::Gap(gap) => push_gap(&mut bytes, gap),
        }
    }
    fs::write(session.dir().join(&text), bytes).unwrap();
    session.add_run(RunMeta { text: Some(text), ..RunMeta::new(run.clone()) }).unwrap();
    session.end_run(run.id, &end(), Counts::default()).unwrap();
    (root, run, entries)
}

fn text(pattern: &str) -> Option<TextQuery> {
    Some(TextQuery::new(pattern, Syntax::Regex, Case::Sensitive, View::Plain).unwrap())
}

/// Questions of every kind about a session.
fn questions(root: RunId) -> Vec<Query> {
    let all = Query { lines_max: 999, ..Query::new(Scope::Session(root)) };
    let newest = Query { order: Order::Newest, lines_max: 7, ..all.clone() };
    vec![
        all.clone(),
        newest.clone(),
        Query { level_min: Level::Error, ..newest.clone() },
        Query { streams: [Stream::Stdout].into_iter().collect(), seq_min: 8_000, lines_max: 50, ..all.clone() },
        Query { since: Some(at(100)), until: Some(at(300)), lines_max: 30, ..newest.clone() },
        Query { text: text("^two"), ..newest.clone() },
        Query { text: text("of many$"), lines_max: 2_000, ..all.clone() },
        Query { text: text("line 1?99+ of many"), ..newest },
    ]
}

fn pages(store: &dyn Store, query: &Query) -> Vec<Vec<Entry>> {
    let mut page = store.page(query, None).unwrap();
    let mut pages = vec![page.entries];
    while page.more && pages.len() < 20 {
        page = store.page(query, Some(&page.cursor)).unwrap();
        pages.push(page.entries);
    }
    pages
}

#[test]
fn a_text_log_alone_answers_like_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let (root, run, entries) = text_session(dir.path(), |run| life(run, 20_000));
    let (model, store) = (Mem::new(), Embedded::open(dir.path()).unwrap());
    model.start_run(&root).unwrap();
    model.start_run(&run).unwrap();
    model.append(&entries).unwrap();
    for query in questions(root.id) {
        assert_eq!(pages(&store, &query), pages(&model, &query), "{query:?}");
    }
}

/// The session of one run that an open store has written in small blocks, and its directory.
fn written(dir: &Path, lines: u64) -> (Embedded, Run, Vec<Entry>, PathBuf) {
    let store = Embedded::open_with(dir, Options { block_text_bytes_max: 4_000, ..Options::default() }).unwrap();
    let run = Run { started_at: at(0), ..started(RunId::new(at(0)), Kind::Session, "s".into(), at(0)) };
    store.start_run(&run).unwrap();
    let entries = life(run.id, lines);
    store.append(&entries).unwrap();
    let session = fs::read_dir(dir.join("sessions")).unwrap().next().unwrap().unwrap().path();
    (store, run, entries, session)
}

/// Copies a session into a data dir of its own. Nobody holds the copy's locks: it is as a killed writer leaves one.
fn copied(session: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("sessions").join(session.file_name().unwrap());
    fs::create_dir_all(&to).unwrap();
    for file in fs::read_dir(session).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    dir
}

#[test]
fn what_a_killed_writer_kept_is_read_and_then_its_open_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (_live, run, entries, session) = written(dir.path(), 3_000);
    let killed = copied(&session);
    let store = Embedded::open(killed.path()).unwrap();
    let query = Query { lines_max: usize::MAX, ..Query::new(Scope::Run(run.id)) };
    let page = store.page(&query, None).unwrap();
    let (last, before) = page.entries.split_last().unwrap();
    assert_eq!(before, entries);
    let Entry::Gap(gap) = last else { unreachable!("{last:?}") };
    assert_eq!((gap.from, gap.to), (3_007, None));
    let state = store.runs(&RunQuery::new(Scope::Run(run.id))).unwrap().remove(0);
    assert_eq!((state.records, state.lost, state.lost_more), (3_001, 5, true));
    assert!(store.page(&query, Some(&page.end)).unwrap().entries.is_empty());
}

#[test]
fn of_a_run_killed_before_its_first_record_everything_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let new = NewSession { name: "s".into(), labels: BTreeMap::new(), open: false, user: None, now: at(0) };
    let session = Session::create(&DataDir::at(dir.path()), new).unwrap();
    drop(logboom_boom::Writer::create_in(session.dir(), "records", Options::default()).unwrap());
    let run = started(RunId::new(at(1)), Kind::Command, "make".into(), at(1));
    session.add_run(RunMeta { boom: Some("records.boom".into()), ..RunMeta::new(run.clone()) }).unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let page = store.page(&Query::new(Scope::Run(run.id)), None).unwrap();
    let why = "writer was killed".to_owned();
    assert_eq!(page.entries, [Entry::Gap(Gap { run: run.id, from: 1, to: None, time: at(1), why })]);
}

#[test]
fn a_run_goes_on_after_its_killed_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (_live, run, mut entries, session) = written(dir.path(), 300);
    let killed = copied(&session);
    let store = Embedded::open(killed.path()).unwrap();
    let more = Entry::Record(record(run.id, 307, "resumed"));
    store.append(std::slice::from_ref(&more)).unwrap();
    entries.push(more);
    let query = Query { lines_max: usize::MAX, ..Query::new(Scope::Session(run.id)) };
    assert_eq!(store.page(&query, None).unwrap().entries, entries);
}

#[test]
fn a_damaged_block_is_a_gap_between_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let (live, run, entries, session) = written(dir.path(), 3_000);
    drop(live);
    let damaged = copied(&session);
    let boom = damaged.path().join("sessions").join(session.file_name().unwrap()).join("records.boom");
    let mut bytes = fs::read(&boom).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&boom, bytes).unwrap();
    let store = Embedded::open(damaged.path()).unwrap();
    let query = Query { lines_max: usize::MAX, ..Query::new(Scope::Session(run.id)) };
    let found = store.page(&query, None).unwrap().entries;
    let lost: Vec<&Gap> =
        found.iter().filter_map(|entry| if let Entry::Gap(gap) = entry { Some(gap) } else { None }).collect();
    let [damage, full] = lost[..] else { unreachable!("{lost:?}") };
    assert_eq!((damage.why.as_str(), full.why.as_str()), ("damaged", "disk full"));
    let is_lost = |entry: &&Entry| (damage.from..=damage.to.unwrap()).contains(&entry.seq());
    let left: Vec<&Entry> = entries.iter().filter(|entry| !is_lost(entry)).collect();
    assert_eq!(found.iter().filter(|entry| *entry != &Entry::Gap(damage.clone())).collect::<Vec<_>>(), left);
    assert!(left.len() > 2_000);
    let mut seqs: Vec<u64> = pages(&store, &Query { order: Order::Newest, lines_max: 500, ..query })
        .concat()
        .iter()
        .map(Entry::seq)
        .collect();
    seqs.sort_unstable();
    let mut right: Vec<u64> = found.iter().map(Entry::seq).collect();
    right.sort_unstable();
    assert_eq!(seqs, right);
}

#[test]
fn a_scan_is_in_order_of_entries_and_counts_are_those_of_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run, entries, _) = written(dir.path(), 3_000);
    let all = Query::new(Scope::Session(run.id));
    let seqs = |query: &Query| {
        let mut seqs = Vec::new();
        let each = &mut |entry: EntryRef<'_>| (seqs.push(entry.seq()), ControlFlow::Continue(())).1;
        store.scan(query, each).unwrap();
        seqs
    };
    let mut right: Vec<u64> = entries.iter().map(Entry::seq).collect();
    assert_eq!(seqs(&all), right);
    right.reverse();
    assert_eq!(seqs(&Query { order: Order::Newest, ..all.clone() }), right);
    let mut enough = 0;
    store
        .scan(&all, &mut |_| {
            (enough += 1, if enough == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }).1
        })
        .unwrap();
    assert_eq!(enough, 10);
    for query in questions(run.id) {
        let query = Query { lines_max: 1, ..query };
        let mut page = store.page(&query, None).unwrap();
        let mut lines = 0;
        while !page.entries.is_empty() {
            lines += u64::from(matches!(page.entries[0], Entry::Record(_)));
            if !page.more {
                break;
            }
            page = store.page(&query, Some(&page.cursor)).unwrap();
        }
        assert_eq!(store.count(&query).unwrap(), lines, "{query:?}");
    }
}

#[test]
fn another_process_would_be_woken_within_milliseconds() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, run, ..) = written(dir.path(), 10);
    let (reader, query) = (Embedded::open(dir.path()).unwrap(), Query::new(Scope::Session(run.id)));
    let mut cursor = reader.page(&query, None).unwrap().end;
    let mut times: Vec<Duration> = Vec::new();
    for seq in 17..117 {
        cursor = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let wake = reader.wait(&query, &cursor, Instant::now() + Duration::from_secs(20)).unwrap();
                let page = reader.page(&query, Some(&cursor)).unwrap();
                (wake, page, Instant::now())
            });
            writer.append(&[Entry::Record(record(run.id, seq, "lone"))]).unwrap();
            let stored = Instant::now();
            let (wake, page, seen) = waiting.join().unwrap();
            assert_eq!((wake, page.entries[0].seq()), (Wake::Entries, seq));
            times.push(seen.saturating_duration_since(stored));
            page.cursor
        });
    }
    times.sort_unstable();
    assert!(times[50] < Duration::from_millis(10), "the median took {:?}", times[50]);
}

#[test]
fn hundreds_of_sessions_are_read_as_one_in_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let mut right: Vec<(Time, RunId)> = Vec::new();
    for number in 0..200 {
        let started_at = at(number * 7 % 200 * 1_000);
        let run = started(RunId::new(started_at), Kind::Session, format!("session {number}"), started_at);
        store.start_run(&run).unwrap();
        store.append(&[Entry::Record(Record { time: started_at, ..record(run.id, 1, "hello") })]).unwrap();
        store.end_run(run.id, &end()).unwrap();
        right.push((started_at, run.id));
    }
    right.sort_unstable();
    let query = Query { lines_max: 70, text: text("^hello$"), ..Query::new(Scope::All) };
    let found = pages(&store, &query).concat();
    assert_eq!(found.iter().map(|entry| (entry.time(), entry.run())).collect::<Vec<_>>(), right);
    assert_eq!(store.count(&query).unwrap(), 200);
}

/// Some sessions of one line each, which have ended.
fn sessions(store: &Embedded, count: i64) {
    for number in 0..count {
        let started_at = at(number * 1_000);
        let run = started(RunId::new(started_at), Kind::Session, format!("session {number}"), started_at);
        store.start_run(&run).unwrap();
        store.append(&[Entry::Record(Record { time: started_at, ..record(run.id, 1, "hello") })]).unwrap();
        store.end_run(run.id, &end()).unwrap();
    }
}

/// The boom file of each session, the oldest first.
fn boom_files(dir: &Path) -> Vec<PathBuf> {
    let sessions = fs::read_dir(dir.join("sessions")).unwrap();
    let mut files: Vec<PathBuf> = sessions.map(|session| session.unwrap().path().join("records.boom")).collect();
    files.sort();
    files
}

fn put_crc(bytes: &mut [u8], at: usize, crc: u32) {
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_session_that_cannot_be_read_does_not_keep_the_others_from_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    sessions(&Embedded::open(dir.path()).unwrap(), 3);
    let odd = &boom_files(dir.path())[1];
    let mut bytes = fs::read(odd).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..60]);
    put_crc(&mut bytes, 60, crc);
    fs::write(odd, bytes).unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    assert_eq!(store.page(&Query::new(Scope::All), None).unwrap().entries.len(), 2);
    let left_out = store.take_left_out();
    assert_eq!(left_out.keys().map(|id| id.as_str()).collect::<Vec<_>>(), [odd.parent().unwrap().file_name().unwrap()]);
    assert!(store.take_left_out().is_empty());
}

#[test]
fn sessions_that_are_deleted_while_they_are_read_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    sessions(&Embedded::open(dir.path()).unwrap(), 150);
    let store = Embedded::open(dir.path()).unwrap();
    let mut count = 0;
    let each = &mut |_: EntryRef<'_>| {
        if count == 0 {
            fs::remove_dir_all(dir.path().join("sessions")).unwrap();
        }
        count += 1;
        ControlFlow::Continue(())
    };
    store.scan(&Query::new(Scope::All), each).unwrap();
    assert!((1..150).contains(&count), "{count}");
}

#[test]
fn columns_that_contradict_each_other_are_a_gap_whatever_their_checksums_say() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    sessions(&store, 1);
    let file = &boom_files(dir.path())[0];
    let mut bytes = fs::read(file).unwrap();
    let magic = [0xF5, 0x0F, 0x62, 0x6F, 0x6F, 0x6D, 0xF0, 0x5F, 1];
    let head = bytes.windows(9).position(|window| window == magic).unwrap();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (start, end) = (head + 48 + number(head + 32), head + 48 + number(head + 12));
    bytes[end - 1] |= 0x80; // the time of the last record has no end
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[16..32]), &bytes[start..end]);
    put_crc(&mut bytes, head + 40, crc);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[16..32]), &bytes[head..head + 44]);
    put_crc(&mut bytes, head + 44, crc);
    fs::write(file, bytes).unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let found = store.page(&Query::new(Scope::All), None).unwrap().entries;
    let [Entry::Gap(gap)] = &found[..] else { unreachable!("{found:?}") };
    assert_eq!((gap.from, gap.to, gap.why.as_str()), (1, Some(1), "damaged"));
    let search = Query { text: text("hello"), ..Query::new(Scope::All) };
    assert!(store.page(&search, None).unwrap().entries.is_empty());
}

#[test]
fn a_line_that_is_open_over_many_blocks_is_judged_by_its_first_part() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open_with(dir.path(), Options { block_text_bytes_max: 2_000, ..Options::default() }).unwrap();
    let run = Run { started_at: at(0), ..started(RunId::new(at(0)), Kind::Session, "s".into(), at(0)) };
    store.start_run(&run).unwrap();
    let part = |seq: u64| {
        let (stream, flags) =
            if seq.is_multiple_of(3) { (Stream::Stdout, Flags::NONE) } else { (Stream::Stderr, Flags::CONTINUED) };
        let level = if seq == 301 { Level::Error } else { Level::Info };
        let flags = if seq == 299 { Flags::NONE } else { flags };
        Entry::Record(Record { stream, flags, level, ..record(run.id, seq, "10 %, and some more words\r") })
    };
    let entries: Vec<Entry> = (1..=3_000).map(part).collect();
    store.append(&entries).unwrap();
    let query = Query { level_min: Level::Error, ..Query::new(Scope::Session(run.id)) };
    let mut found = Vec::new();
    store.scan(&query, &mut |entry| (found.push(entry.seq()), ControlFlow::Continue(())).1).unwrap();
    assert_eq!(found, (301u64..=3_000).filter(|seq| !seq.is_multiple_of(3)).collect::<Vec<u64>>());
    let before = Query { seq_max: 300, ..Query::new(Scope::Session(run.id)) };
    let mut count = 0;
    store.scan(&before, &mut |_| (count += 1, ControlFlow::Continue(())).1).unwrap();
    assert_eq!(count, 300);
}

#[test]
fn counts_that_nothing_can_have_are_believed_without_harm() {
    let dir = tempfile::tempdir().unwrap();
    let (root, ..) = text_session(dir.path(), |run| life(run, 10));
    let file = boom_files(dir.path())[0].with_file_name("session.json");
    let mut meta: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    meta["runs"][0]["records"] = u64::MAX.into();
    meta["runs"][0]["lost"] = u64::MAX.into();
    fs::write(&file, meta.to_string()).unwrap();
    let page = Embedded::open(dir.path()).unwrap().page(&Query::new(Scope::Session(root.id)), None).unwrap();
    let Some(Entry::Gap(gap)) = page.entries.last() else { unreachable!("{page:?}") };
    assert_eq!((page.entries.len(), gap.from, gap.to), (13, 17, Some(u64::MAX - 1)));
}
