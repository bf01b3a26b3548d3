//! Services as their writer leaves them, and as others see them while they are written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "functions that several tests share")]

mod driver;
#[path = "../../files/tests/small_disk/mod.rs"]
mod small_disk;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, Mutex},
    time::Duration,
};

use driver::wait_until;
use logboom_boom::{self as boom, reader::Reader};
use logboom_capture::services::{
    NewService, ServiceId, ServiceWriter, ServicesError, Source, Written,
    feed::{ContainerId, Delivery, FileMark, Lost, Piece, Place, SourceKind},
    resume,
};
use logboom_files::{
    DataDir, FilesError, Session,
    list::Sessions,
    repair::{Repair, repair},
    session::{Counts, Durable, Meta, NewSession, RunMeta, ended, started},
    textlog::TextWriter,
};
use logboom_record::{Entry, Flags, Gap, Kind, Level, Outcome, Record, Run, RunEnd, RunId, Stream, Time, text};
use small_disk::SmallDisk;

fn end() -> RunEnd {
    ended(Outcome::Passed, Time::from_micros(9))
}

fn at(offset: u64) -> Place {
    Place { part: 0, offset }
}

/// A session with services, and how far each was printed.
struct Services {
    session: Session,
    writer: ServiceWriter,
    ids: Vec<ServiceId>,
    runs: Vec<RunId>,
    printed: Vec<u64>,
    warnings: Arc<Mutex<Vec<String>>>,
    _dir: Option<tempfile::TempDir>,
}

impl Services {
    fn start(count: usize) -> Services {
        let dir = tempfile::tempdir().unwrap();
        let services = Services::start_in(dir.path(), count);
        Services { _dir: Some(dir), ..services }
    }

    fn start_in(dir: &Path, count: usize) -> Services {
        let now = Time::from_micros(0);
        let new = NewSession { name: "s".into(), labels: BTreeMap::new(), open: true, user: None, now };
        let session = Session::create(&DataDir::at(dir), new).unwrap();
        let boom = boom::Writer::create_in(session.dir(), "records", boom::Options::default()).unwrap();
        let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
        let warned = Arc::clone(&warnings);
        let writer = ServiceWriter::start(boom, Box::new(move |why| warned.lock().unwrap().push(why.into()))).unwrap();
        let mut services =
            Services { session, writer, ids: vec![], runs: vec![], printed: vec![], warnings, _dir: None };
        let entries: Vec<RunMeta> = (0..count).map(|number| services.add(number)).collect();
        let enter = |meta: &mut Meta| {
            meta.runs = entries;
            Ok(())
        };
        services.session.update(Durable::Soon, enter).unwrap();
        services
    }

    fn add(&mut self, number: usize) -> RunMeta {
        let run = RunId::new(Time::from_micros(number as i64));
        let (file, name) = self.session.claim_named(&format!("web{number}")).unwrap();
        let text = TextWriter::new(file, &self.session.dir().join(&name));
        let id = self.writer.add(NewService::new(run, text)).unwrap();
        self.writer.begin(id, source(number as u8));
        self.ids.push(id);
        self.runs.push(run);
        self.printed.push(0);
        let entry = RunMeta::new(Run {
            external_id: Some("c0ffee".into()),
            ..started(run, Kind::Service, "web".into(), Time::from_micros(0))
        });
        RunMeta { text: Some(name), boom: Some("records.boom".to_owned()), ..entry }
    }

    /// Delivers what a service prints, as one piece.
    fn print(&mut self, service: usize, stream: Stream, bytes: &[u8]) {
        let place = self.printed[service];
        self.printed[service] += bytes.len() as u64;
        let delivery = delivery(stream, bytes, at(place), at(self.printed[service]));
        self.writer.feed(self.ids[service]).push(delivery).unwrap();
    }

    fn text(&self, service: usize) -> String {
        fs::read_to_string(self.session.dir().join(format!("web{service}.log"))).unwrap()
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.session.dir().join("records.boom")).unwrap()
    }

    fn finish(self) -> (Written, Session, Option<tempfile::TempDir>) {
        for id in &self.ids {
            self.writer.end(*id, end()).wait().unwrap();
        }
        (self.writer.finish(), self.session, self._dir)
    }
}

fn source(number: u8) -> Source {
    Source::new(ContainerId([number; 16]), SourceKind::LogFile)
}

fn delivery(stream: Stream, bytes: &[u8], at: Place, reached: Place) -> Delivery {
    let piece = Piece { stream, len: bytes.len() as u32, origin_time_ns: Some(at.offset as i64), at };
    Delivery { time: Time::from_micros(5), bytes: bytes.to_vec(), pieces: vec![piece], reached, file: None }
}

fn boom_files(session: &Session) -> Vec<PathBuf> {
    let names = fs::read_dir(session.dir()).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|end| end == "boom")).collect()
}

/// What all boom files of a session have, by run, in order.
fn entries(session: &Session) -> BTreeMap<RunId, Vec<Entry>> {
    let mut all: BTreeMap<RunId, Vec<Entry>> = BTreeMap::new();
    for path in boom_files(session) {
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.damage(), []);
        for block in 0..reader.blocks().len() {
            let mut block = reader.read(block).unwrap();
            for entry in block.records().unwrap().entries() {
                all.entry(entry.run()).or_default().push(entry.to_owned());
            }
        }
    }
    all.values_mut().for_each(|entries| entries.sort_by_key(Entry::seq));
    all
}

fn records<'a>(entries: &'a [Entry]) -> Vec<&'a Record> {
    let record = |entry: &'a Entry| if let Entry::Record(record) = entry { Some(record) } else { None };
    entries.iter().filter_map(record).collect()
}

fn messages(entries: &[Entry]) -> Vec<String> {
    let message = |entry: &Entry| match entry {
        Entry::Record(record) => String::from_utf8_lossy(&record.message).into_owned(),
        Entry::Gap(gap) => format!("lost {}-{}: {}", gap.from, gap.to.unwrap(), gap.why),
    };
    entries.iter().map(message).collect()
}

/// The lines that the text log of these entries should have.
fn lines(entries: &[Entry]) -> String {
    let mut lines = Vec::new();
    for entry in entries {
        match entry {
            Entry::Record(record) => text::push_record(&mut lines, &record.as_ref()),
            Entry::Gap(gap) => text::push_gap(&mut lines, gap),
        }
    }
    String::from_utf8(lines).unwrap()
}

#[test]
fn services_that_are_written_at_once_have_all_they_printed_each_in_its_log() {
    let mut services = Services::start(3);
    for number in 0..500 {
        for service in 0..3 {
            let stream = if (number + service) % 3 == 0 { Stream::Stderr } else { Stream::Stdout };
            services.print(service, stream, format!("line {number} of {service}\n").as_bytes());
        }
    }
    services.print(1, Stream::Stdout, b"ERROR: no end");
    let runs = services.runs.clone();
    let (written, session, _dir) = services.finish();
    assert_eq!((written.trouble, written.gaps), (None, vec![]));
    let entries = entries(&session);
    for (service, run) in runs.iter().enumerate() {
        let of_run = &entries[run];
        let mut want: Vec<String> = (0..500).map(|number| format!("line {number} of {service}")).collect();
        want.extend((service == 1).then(|| "ERROR: no end".to_owned()));
        assert_eq!(messages(of_run), want);
        assert_eq!(fs::read_to_string(session.dir().join(format!("web{service}.log"))).unwrap(), lines(of_run));
        let (records, errors) = (want.len() as u64, u64::from(service == 1));
        let counts = Counts { records, lines: records, errors, ..Counts::default() };
        assert_eq!(written.services[service], (*run, counts));
    }
    let first = records(&entries[&runs[0]])[1];
    assert_eq!((first.time, first.origin_time_ns), (Time::from_micros(5), Some("line 0 of 0\n".len() as i64)));
}

#[test]
fn a_lone_line_is_seen_by_others_at_once_and_an_unfinished_one_as_a_part() {
    let mut services = Services::start(2);
    services.print(1, Stream::Stderr, b"lone\n");
    wait_until("the text line", || services.text(1).ends_with(" E I lone\n"));
    wait_until("the record", || services.reader().totals().records == 1);
    services.print(0, Stream::Stdout, b"Name? ");
    wait_until("the prompt", || services.text(0).ends_with(" o I Name? \n"));
    services.print(0, Stream::Stdout, b"Ada\n");
    let run = services.runs[0];
    let (written, session, _dir) = services.finish();
    assert_eq!(messages(&entries(&session)[&run]), ["Name? ", "Ada"]);
    assert_eq!((written.services[0].1.records, written.services[0].1.lines), (2, 1));
}

#[test]
fn a_container_that_takes_the_place_of_another_begins_a_line_of_its_own() {
    let mut services = Services::start(1);
    services.print(0, Stream::Stdout, b"half a li");
    services.print(0, Stream::Stderr, b"whole\n");
    services.writer.begin(services.ids[0], source(9));
    services.printed[0] = 0;
    services.writer.note(services.ids[0], Time::from_micros(7), Level::Info, "recreated".to_owned());
    services.print(0, Stream::Stdout, b"ne\n");
    let run = services.runs[0];
    let (_, session, _dir) = services.finish();
    let entries = entries(&session);
    assert_eq!(messages(&entries[&run]), ["whole", "half a li", "recreated", "ne"]);
    let flags: Vec<Flags> = records(&entries[&run]).iter().map(|record| record.flags).collect();
    assert!(flags[1].has(Flags::NO_NEWLINE) && !flags[3].has(Flags::NO_NEWLINE));
}

#[test]
fn what_a_source_has_lost_is_a_gap_in_its_place() {
    let mut services = Services::start(1);
    services.print(0, Stream::Stdout, b"one\nhalf");
    let lost = |count, why: &str, reached| Lost { time: Time::from_micros(6), count, why: why.into(), reached };
    services.writer.gap(services.ids[0], lost(Some(3), "rotated away", at(100)));
    services.writer.gap(services.ids[0], lost(None, "removed", at(200)));
    services.print(0, Stream::Stdout, b"came before\n");
    services.printed[0] = 200;
    services.print(0, Stream::Stdout, b"after\n");
    let run = services.runs[0];
    let (written, session, _dir) = services.finish();
    let entries = &entries(&session)[&run];
    let want = ["one", "half", "lost 3-5: rotated away", "lost 6-6: removed; how many is not known", "after"];
    assert_eq!(messages(entries), want);
    assert_eq!(fs::read_to_string(session.dir().join("web0.log")).unwrap(), lines(entries));
    assert_eq!((written.services[0].1.records, written.services[0].1.lost, written.gaps.len()), (3, 4, 2));
}

/// Many text logs are open at once.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[test]
fn a_thousand_services_are_followed_at_once_and_no_more() {
    allow_many_files();
    let disk = SmallDisk::new("256m"); // where a thousand syncs take no time
    let mut services = Services::start_in(disk.path(), 1_000);
    let more =
        || NewService::new(RunId::from_bytes([9; 16]), TextWriter::new(tempfile::tempfile().unwrap(), Path::new("x")));
    assert!(matches!(services.writer.add(more()), Err(ServicesError::TooMany { max: 1_000 })));
    for service in 0..1_000 {
        services.print(service, Stream::Stdout, b"line\n");
    }
    services.writer.flush().unwrap();
    assert_eq!(services.reader().totals().records, 1_000);
    assert!((0..1_000).all(|service| services.text(service).ends_with(" O I line\n")));
    services.writer.end(services.ids[0], end()).wait().unwrap();
    services.writer.add(more()).unwrap();
    let Services { session, writer, warnings, .. } = services;
    drop(writer.finish());
    assert_eq!(*warnings.lock().unwrap(), Vec::<String>::new());
    let resumed = resume(&session).unwrap();
    assert_eq!(resumed.services.len(), 999);
    assert!(resumed.services.iter().all(|service| service.service.next_seq == 2 && service.source.is_some()));
}

#[test]
fn a_full_disk_is_a_gap_that_is_counted_and_the_services_go_on() {
    let disk = SmallDisk::new("12m");
    let mut services = Services::start_in(disk.path(), 3);
    let line = |number: u64| format!("{number} {:x}\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(50);
    let mut number = 0;
    let mut print = |services: &mut Services, rounds: u64| {
        for _ in 0..rounds {
            (0..3).for_each(|service| services.print(service, Stream::Stdout, line(number).as_bytes()));
            number += 1;
        }
    };
    print(&mut services, 10);
    services.writer.flush().unwrap();
    disk.fill();
    while services.warnings.lock().unwrap().is_empty() {
        print(&mut services, 100);
    }
    print(&mut services, 3_000);
    let refused = services.writer.flush();
    assert!(matches!(refused, Err(ServicesError::NotDurable { .. })), "{refused:?}");
    disk.make_room();
    while services.writer.flush().is_err() {}
    print(&mut services, 10);
    let runs = services.runs.clone();
    let (written, session, _) = services.finish();
    assert!(written.trouble.is_some());
    let entries = entries(&session);
    for (run, counts) in &written.services {
        let lost = |gap: &Gap| gap.to.unwrap() - gap.from + 1;
        let gaps = entries[run].iter().filter_map(|entry| if let Entry::Gap(gap) = entry { Some(gap) } else { None });
        assert!(counts.lost > 0);
        assert_eq!(counts.lost, gaps.map(lost).sum::<u64>());
        assert_eq!(counts.records, records(&entries[run]).len() as u64);
        assert_eq!(counts.records + counts.lost, number * 50);
        let last = entries[run].last().unwrap();
        assert!(matches!(last, Entry::Record(record) if line(number - 1).as_bytes().starts_with(&record.message)));
    }
    assert_eq!(written.services.len(), runs.len());
}

#[test]
fn a_text_log_that_is_deleted_is_said_once() {
    let mut services = Services::start(1);
    services.print(0, Stream::Stdout, b"line\n");
    wait_until("the line", || services.text(0).ends_with("line\n"));
    fs::remove_file(services.session.dir().join("web0.log")).unwrap();
    services.print(0, Stream::Stdout, b"line\n");
    wait_until("the warning", || {
        services.warnings.lock().unwrap().iter().any(|why| why.ends_with("web0.log was deleted while it was written"))
    });
    let (_, session, _dir) = services.finish();
    assert_eq!(entries(&session).into_values().next().unwrap().len(), 2);
}

#[test]
fn what_is_resumed_is_what_nobody_writes_and_has_not_ended() {
    let mut services = Services::start(4);
    let file = FileMark { inode: 3, head_bytes: 1, head_crc: 2 };
    let marked = Delivery { file: Some(file), ..delivery(Stream::Stdout, b"line\nhalf", at(10), at(20)) };
    services.writer.feed(services.ids[0]).push(marked).unwrap();
    services.print(1, Stream::Stdout, b"line\n");
    services.writer.end(services.ids[1], end()).wait().unwrap();
    services.writer.end(services.ids[2], end()).wait().unwrap();
    services.session.end_run(services.runs[2], &end(), Counts::default()).unwrap();
    services.writer.flush().unwrap();
    let live = resume(&services.session).unwrap();
    assert_eq!((live.services.len(), live.ended.len()), (0, 0));
    assert_eq!(live.live, [services.runs[0], services.runs[1], services.runs[3]]);
    assert!(matches!(resume(&services.session), Err(FilesError::Busy { .. })), "one at a time");
    drop(live);
    let Services { session, writer, runs, _dir, .. } = services;
    writer.finish();
    let resumed = resume(&session).unwrap();
    assert_eq!((resumed.ended[0].run, &resumed.ended[0].end, resumed.ended[0].counts.lines), (runs[1], &end(), 1));
    let [first, other] = &resumed.services[..] else { panic!("{resumed:?}") };
    assert_eq!((first.service.run, other.service.run), (runs[0], runs[3]));
    let source = first.source.as_ref().unwrap();
    assert_eq!(
        (source.reached.stdout.at, source.reached.stdout.skip),
        (at(10), 5),
        "the unfinished line is left to it"
    );
    assert_eq!((source.reached.stderr.at, &source.files[..]), (at(20), &[(0, file)][..]));
    assert_eq!((first.service.next_seq, first.service.counts.lines), (2, 1));
    assert_eq!(other.source, Some(self::source(3)));
}

#[test]
fn a_service_that_was_not_come_to_before_a_kill_keeps_its_place() {
    let mut services = Services::start(2);
    services.print(0, Stream::Stdout, b"a\n");
    services.print(1, Stream::Stdout, b"b\n");
    let Services { session, writer, runs, _dir, .. } = services;
    writer.finish();
    for round in 1..=2 {
        let resumed = resume(&session).unwrap();
        let boom = boom::Writer::create_in(session.dir(), "records", boom::Options::default()).unwrap();
        resumed.name_boom(&boom).unwrap();
        let places: Vec<_> =
            resumed.services.iter().map(|left| left.source.as_ref().map(|it| it.reached.stdout.at)).collect();
        assert_eq!(places, [Some(at(2 * round)), Some(at(2))], "{round}");
        let writer = ServiceWriter::start(boom, Box::new(|_| {})).unwrap();
        let mut sources = Vec::new();
        let ids: Vec<_> = resumed
            .services
            .into_iter()
            .map(|left| {
                sources.push(left.source.unwrap());
                writer.add(left.service).unwrap()
            })
            .collect();
        // The second has a line of logboom's own, but is not come to.
        writer.note(ids[1], Time::from_micros(1), Level::Warn, "the engine is gone".into());
        writer.begin(ids[0], sources.swap_remove(0));
        writer.feed(ids[0]).push(delivery(Stream::Stdout, b"c\n", at(2 * round), at(2 * round + 2))).unwrap();
        writer.flush().unwrap();
        writer.finish();
    }
    assert_eq!(runs.len(), 2);
}

/// Starts the writer of many services, or goes on with it.
fn writer(dir: &Path, services: u32, groups: u64) -> Child {
    let mut program = driver::program();
    program.set_file_name("services");
    let args = [services.to_string(), groups.to_string()];
    Command::new(program).arg(dir).args(args).spawn().unwrap()
}

#[test]
fn every_line_is_there_once_however_often_the_writer_is_killed() {
    const SERVICES: u32 = 12; // enough for their text logs to lag behind
    const GROUPS: u64 = 16_000;
    let dir = tempfile::tempdir().unwrap();
    let (mut kills, mut random) = (0, Time::now().as_micros() as u64);
    loop {
        let written = text_bytes(dir.path());
        let mut child = writer(dir.path(), SERVICES, GROUPS);
        // Every other one is killed while it begins, perhaps.
        let is_over = |child: &mut Child| child.try_wait().unwrap().is_some();
        let gets_far = kills % 2 == 0;
        wait_until("progress", || !gets_far || is_over(&mut child) || text_bytes(dir.path()) > written);
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        std::thread::sleep(Duration::from_millis((random >> 40) % 60));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            break;
        }
        kills += 1;
    }
    let sessions = Sessions::of(&DataDir::at(dir.path())).unwrap();
    assert_eq!(sessions.ids().len(), 1);
    let session = sessions.session(&sessions.ids()[0]);
    let status = session.status(Time::now());
    assert_eq!((status.outcome, &status.outcomes[..]), (Outcome::Passed, &[Outcome::Passed; SERVICES as usize][..]));
    assert!(repair(&session, Time::now()).into_iter().all(|(_, repaired)| repaired.unwrap() == Repair::Whole));
    let entries = entries(&session);
    for run in &status.meta.runs {
        check_service(&entries[&run.run.id], run.run.name.trim_start_matches("web"), GROUPS);
        let counts = run.counts.unwrap();
        assert_eq!((counts.lines, counts.lost), (3 * GROUPS, 0));
        assert_eq!(counts.records, entries[&run.run.id].len() as u64);
    }
    eprintln!("{kills} kills, {} boom files", boom_files(&session).len());
    assert!(kills > 3);
}

/// How many bytes the text logs of the session have, if there is one.
fn text_bytes(dir: &Path) -> u64 {
    let sessions = fs::read_dir(dir.join("sessions")).into_iter().flatten().flatten();
    let files = sessions.flat_map(|session| fs::read_dir(session.path()).into_iter().flatten().flatten());
    let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    logs.filter_map(|log| log.metadata().ok()).map(|log| log.len()).sum()
}

/// Each line of each stream is there, once and in order, and nothing else.
fn check_service(entries: &[Entry], service: &str, groups: u64) {
    assert!(entries.iter().map(Entry::seq).eq(1..=entries.len() as u64));
    for (stream, name, count) in [(Stream::Stdout, "out", 2 * groups), (Stream::Stderr, "err", groups)] {
        let mut all: Vec<u8> = Vec::new();
        for record in records(entries).into_iter().filter(|record| record.stream == stream) {
            all.extend(&record.message);
            all.extend(record.flags.ends_line_with_newline().then_some(b'\n'));
        }
        let want = (0..count).map(|number| format!("service {service} {name} {number}"));
        assert!(String::from_utf8(all).unwrap().lines().eq(want), "{name} of {service}");
    }
}
