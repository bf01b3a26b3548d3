//! `logboom verify`: whether all is there, and as it was written.

use anyhow::Result;
use logboom_files::{
    Session,
    list::Sessions,
    repair::{Repair, repair_runs},
};
use logboom_record::{Outcome, RunId, Time};
use serde::Serialize;

use crate::{
    args::{Global, Which},
    check::{Damaged, Findings, check},
    exit::Exit,
    human,
    output::{Look, Out},
    place, visible,
};

/// Check every checksum and number of a session
///
/// Exits 1 if anything is lost or damaged. A killed writer leaves one gap without an end: nobody knows how much the
/// command printed after it; that is a loss, not damage. What a program's own collector left in its rings is not lost:
/// its run has such a gap until `--repair` has put the rest into its files.
#[derive(clap::Args)]
pub struct Verify {
    #[command(flatten)]
    which: Which,
    /// Check every session
    #[arg(short, long, conflicts_with_all = ["session", "failed"])]
    all: bool,
    /// Complete text logs that differ from the boom files, and put what killed programs left in their rings into files
    #[arg(long)]
    repair: bool,
    /// Print one JSON object: {"records", "lost", "gaps": [..], "damaged": [..]}
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    findings: Findings,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<Vec<Mended>>,
}

/// A text log that was written anew.
#[derive(Clone, Copy, Serialize)]
struct Mended {
    run: RunId,
    bytes_before: u64,
    bytes_after: u64,
}

impl Verify {
    /// Exits 1 if anything is lost or damaged.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let data = place::data_dir(global)?;
        let sessions: Vec<Session> = match self.all {
            true => {
                let list = Sessions::of(&data)?;
                list.ids().iter().map(|id| list.session(id)).collect()
            }
            false => {
                let id = place::find(&data, &self.which, now)?.id;
                vec![Sessions::of(&data)?.session(&id)]
            }
        };
        let (mut out, look) = (Out::stdout(), Look::of_stdout(global.color));
        let mut report = Report { findings: Findings::none(), repaired: self.repair.then(Vec::new) };
        for session in &sessions {
            let (mended, refused) = if self.repair { mend(session, now) } else { Default::default() };
            let mut found = check(session, now);
            found.damaged.extend(refused);
            if !self.json {
                out.put(as_text(session, now, &found, &mended, look).as_bytes())?;
            }
            report.findings.add(found);
            report.repaired.iter_mut().for_each(|all| all.extend(&mended));
        }
        if self.json {
            let mut text = Vec::new();
            logboom_record::json::push_line(&mut text, &report);
            out.put(&text)?;
        }
        Ok(if report.findings.is_whole() { Exit::Done } else { Exit::No })
    }
}

/// Puts what is in rings of killed programs into files, and completes the text logs of a session; what cannot be completed is as good as damaged.
fn mend(session: &Session, now: Time) -> (Vec<Mended>, Vec<Damaged>) {
    let (mut mended, mut refused) = (Vec::new(), Vec::new());
    // First what a killed program left in its rings, for the text logs follow from it. Those of its runs are completed with it.
    let recovered = logboom::recover(session).unwrap_or_else(|error| {
        refused.push(Damaged::whole_file(session.dir(), &error));
        logboom::Recovered::default()
    });
    let done: Vec<RunId> = recovered.text_logs.iter().map(|(run, _)| *run).collect();
    let others = repair_runs(session, now, |run| !done.contains(&run));
    for (run, repaired) in recovered.text_logs.into_iter().map(|(run, became)| (run, Ok(became))).chain(others) {
        match repaired {
            Ok(Repair::Rewritten { bytes_before, bytes_after }) => {
                mended.push(Mended { run, bytes_before, bytes_after });
            }
            Ok(_) => {}
            Err(error) => refused.push(Damaged::whole_file(session.dir(), &error)),
        }
    }
    (mended, refused)
}

fn as_text(session: &Session, now: Time, found: &Findings, mended: &[Mended], look: Look) -> String {
    let outcome = session.status(now).outcome;
    let lost = match found.lost {
        Some(lost) => format!("{} lost", human::count(lost)),
        None => "an unknown number lost".to_owned(),
    };
    let damaged = human::counted(found.damaged.len() as u64, "damaged place");
    let sgr = if found.is_whole() { "32" } else { "1;31" };
    let verdict = look.paint(sgr, if found.is_whole() { "whole" } else { "not whole" });
    let id = session.id().short();
    let mut text = format!("{id}  {verdict}: {}, {lost}, {damaged}\n", human::counted(found.records, "record"));
    for gap in &found.gaps {
        let to = gap.to.map(|to| to.to_string()).unwrap_or_default();
        text += &format!("  lost: run {} seq {}-{to}: {}\n", gap.run.short(), gap.from, visible::plain(&gap.why));
    }
    for damage in &found.damaged {
        let place = format!("{} at byte {}, {} bytes", damage.file, damage.offset, damage.bytes);
        text += &format!("  damaged: {}: {}\n", visible::plain(&place), visible::plain(&damage.what));
    }
    for text_log in mended {
        let (before, after) = (human::count(text_log.bytes_before), human::count(text_log.bytes_after));
        text += &format!("  text log of run {} completed: {before} -> {after} bytes\n", text_log.run.short());
    }
    if outcome == Outcome::Running {
        text += "  it is still running: this is what was there a moment ago\n";
    }
    text
}
