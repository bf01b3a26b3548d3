//! `services DIR SERVICES GROUPS`: writes what so many services print, as a source that keeps it would deliver it.
//!
//! Each prints the same groups of lines, numbered by stream, whenever it is read. The first call makes a session in DIR; where
//! there is one it goes on with it. So whoever kills this program and starts it again, until it ends with 0, finds each line once.

use std::{collections::BTreeMap, error::Error, path::Path, thread, time::Duration};

use logboom_boom as boom;
use logboom_capture::services::{
    Feed, NewService, ServiceId, ServiceWriter, Source,
    feed::{ContainerId, Delivery, FileMark, Piece, Place, SourceKind},
    resume,
};
use logboom_files::{
    DataDir, Session,
    list::Sessions,
    session::{NewSession, RunMeta, ended, started},
    textlog::TextWriter,
};
use logboom_record::{Kind, Outcome, Run, RunId, Stream, Time};

/// How many pieces a group has.
const GROUP: u64 = 5;
/// How many pieces a log file has.
const FILE: u64 = 9_999;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, services, groups] = &args[..] else { return Err("usage: services DIR SERVICES GROUPS".into()) };
    let (services, groups): (u32, u64) = (services.parse()?, groups.parse()?);
    let data = DataDir::at(Path::new(dir));
    let sessions = Sessions::of(&data)?;
    let (session, writer, sources) = match sessions.ids().first() {
        Some(id) => go_on(sessions.session(id))?,
        None => begin(&data, services)?,
    };
    thread::scope(|scope| {
        for (service, source) in &sources {
            let feed = writer.feed(*service);
            scope.spawn(move || print(&feed, number_of(source), groups, source.reached.from()));
        }
    });
    finish(&session, writer, sources.into_iter().map(|(service, _)| service))
}

type Begun = (Session, ServiceWriter, Vec<(ServiceId, Source)>);

fn begin(data: &DataDir, services: u32) -> Result<Begun> {
    let new = NewSession { name: "s".into(), labels: BTreeMap::new(), open: true, user: None, now: Time::now() };
    let (session, (boom, new)) = Session::create_with(data, new, |session, meta| {
        let boom = boom::Writer::create_in(session.dir(), "records", boom::Options::default())?;
        let mut new = Vec::new();
        for number in 0..services {
            let run = RunId::new(Time::now());
            let (file, name) = session.claim_named(&format!("web{number}"))?;
            new.push(NewService::new(run, TextWriter::new(file, &session.dir().join(&name))));
            let boom = Some("records.boom".to_owned());
            let entry = RunMeta::new(Run {
                external_id: Some("c0ffee".into()),
                ..started(run, Kind::Service, format!("web{number}"), Time::now())
            });
            meta.runs.push(RunMeta { text: Some(name), boom, ..entry });
        }
        Ok::<_, Box<dyn Error>>((boom, new))
    })?;
    let source = |number: u32| Source::new(ContainerId(u128::from(number).to_be_bytes()), SourceKind::LogFile);
    let new = new.into_iter().zip(0..).map(|(service, number)| (service, source(number)));
    let (writer, sources) = start(boom, new)?;
    Ok((session, writer, sources))
}

fn go_on(session: Session) -> Result<Begun> {
    let resumed = resume(&session)?;
    let boom = boom::Writer::create_in(session.dir(), "records", boom::Options::default())?;
    resumed.name_boom(&boom)?;
    for ended in &resumed.ended {
        session.end_run(ended.run, &ended.end, ended.counts)?;
    }
    let names: BTreeMap<RunId, String> =
        session.meta()?.runs.into_iter().map(|run| (run.run.id, run.run.name)).collect();
    let mut new = Vec::new();
    for service in resumed.services {
        let number = names[&service.service.run].trim_start_matches("web").parse::<u128>()?;
        let none = Source::new(ContainerId(number.to_be_bytes()), SourceKind::LogFile);
        new.push((service.service, service.source.unwrap_or(none)));
    }
    let (writer, sources) = start(boom, new.into_iter())?;
    Ok((session, writer, sources))
}

fn start(
    boom: boom::Writer,
    new: impl Iterator<Item = (NewService, Source)>,
) -> Result<(ServiceWriter, Vec<(ServiceId, Source)>)> {
    let writer = ServiceWriter::start(boom, Box::new(|why| eprintln!("{why}")))?;
    let mut sources = Vec::new();
    for (service, source) in new {
        let id = writer.add(service)?;
        writer.begin(id, source.clone());
        sources.push((id, source));
    }
    Ok((writer, sources))
}

fn number_of(source: &Source) -> u64 {
    u128::from_be_bytes(source.container.0) as u64
}

/// Delivers everything from a place on.
fn print(feed: &Feed, number: u64, groups: u64, from: Place) {
    let (mut next, mut random) = (from.part * FILE + from.offset, Time::now().as_micros() as u64 | 1);
    let mut file = None;
    while next < groups * GROUP {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let end = (next + 1 + random % 300).min(groups * GROUP).min((next / FILE + 1) * FILE);
        let mut delivery = Delivery { time: Time::now(), reached: place(end), ..Delivery::default() };
        if file.replace(next / FILE) != Some(next / FILE) {
            delivery.file = Some(FileMark { inode: next / FILE, head_bytes: 9, head_crc: 9 });
        }
        (next..end).for_each(|piece| push_piece(&mut delivery, number, piece));
        next = end;
        if feed.push(delivery).is_err() {
            return;
        }
        if random % 97 == 0 {
            thread::sleep(Duration::from_millis(random % 60));
        }
    }
}

fn place(piece: u64) -> Place {
    Place { part: piece / FILE, offset: piece % FILE }
}

fn push_piece(delivery: &mut Delivery, service: u64, piece: u64) {
    let group = piece / GROUP;
    let (stream, text) = match piece % GROUP {
        0 => (Stream::Stdout, format!("service {service} out {}\n", 2 * group)),
        1 => (Stream::Stdout, format!("service {service} o")),
        2 => (Stream::Stderr, format!("service {service} err {group}\n")),
        3 => (Stream::Stdout, format!("ut {}", 2 * group + 1)),
        _ => (Stream::Stdout, "\n".to_owned()),
    };
    let (len, origin_time_ns) = (text.len() as u32, Some(piece as i64));
    delivery.bytes.extend(text.into_bytes());
    delivery.pieces.push(Piece { stream, len, origin_time_ns, at: place(piece) });
}

fn finish(session: &Session, writer: ServiceWriter, services: impl Iterator<Item = ServiceId>) -> Result<()> {
    let end = ended(Outcome::Passed, Time::now());
    let endings: Vec<_> = services.map(|service| writer.end(service, end.clone())).collect();
    for ending in endings {
        ending.wait()?;
    }
    let written = writer.finish();
    for (run, counts) in &written.services {
        session.end_run(*run, &end, *counts)?;
    }
    session.end(&end)?;
    written.trouble.map_or(Ok(()), |why| Err(why.into()))
}
