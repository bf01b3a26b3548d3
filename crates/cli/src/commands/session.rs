//! `logboom session start` and `end`: a session to which several commands add.

use std::path::PathBuf;

use anyhow::Result;
use logboom_files::{
    list::SessionRef,
    session::{Counts, NewSession, Session as Dir, ended},
    timeline::{self, Event, What},
};
use logboom_record::{Outcome, Time};

use crate::{
    args::{Global, label},
    exit::Exit,
    options::Masking,
    output::Out,
    place,
    recording::write_id_file,
};

/// Start or end a session to which several commands add
#[derive(clap::Subcommand)]
pub enum Session {
    /// Start a session and print its id
    ///
    /// Commands add to it with `logboom exec --session ID`, or where LOGBOOM_SESSION is set to it. Without any sign of life
    /// for 24 hours it counts as lost.
    Start(Start),
    /// End a session
    End(End),
}

/// `logboom session start`.
#[derive(clap::Args)]
pub struct Start {
    /// What to call it
    #[arg(long, value_name = "NAME", default_value = "session", hide_default_value = true)]
    name: String,
    /// Note a fact about it (may be given more than once)
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Write its id to this file, too
    #[arg(long, value_name = "FILE")]
    id_file: Option<PathBuf>,
}

/// `logboom session end`.
#[derive(clap::Args)]
pub struct End {
    /// Session: id, its 8 hex digits or the first of them, or name
    session: SessionRef,
    /// How it ended [failed if one of its commands did, else passed]
    #[arg(long)]
    outcome: Option<EndOutcome>,
}

/// What a person says of a session's end.
#[derive(Clone, Copy, clap::ValueEnum)]
enum EndOutcome {
    /// It went well.
    Passed,
    /// It did not.
    Failed,
}

impl Session {
    /// Exits 0, or fails: also where the session has ended before.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        match self {
            Session::Start(start) => start.run(global, now),
            Session::End(end) => end.run(global, now),
        }
    }
}

impl Start {
    fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let data = place::data_dir(global)?;
        let masks = Masking::default().masks()?;
        let masked = |(key, value): (String, String)| (masks.mask_str(&key), masks.mask_str(&value));
        let mut labels = self.labels.into_iter().map(masked).collect();
        place::label_commit(&mut labels);
        let new = NewSession { name: masks.mask_str(&self.name), labels, open: true, user: place::user(), now };
        let session = Dir::create(&data, new)?;
        session.sync_names()?;
        let run = session.meta()?.run;
        timeline::append(session.dir(), &[Event { time: now, run: run.id, what: What::Start { name: run.name } }])?;
        if let Some(file) = &self.id_file {
            write_id_file(file, session.id())?;
        }
        Out::stdout().put(format!("{}\n", session.id()).as_bytes())?;
        Ok(Exit::Done)
    }
}

impl End {
    fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let data = place::data_dir(global)?;
        let session = place::find_session(&data, &self.session, now)?;
        let outcome = match self.outcome {
            Some(EndOutcome::Passed) => Outcome::Passed,
            Some(EndOutcome::Failed) => Outcome::Failed,
            None => session.status(now).meta.worst_outcome(),
        };
        let end = ended(outcome, now);
        session.end(&end)?;
        let meta = session.meta()?;
        let Counts { lines, errors, lost, .. } = meta.counts();
        let what = What::End { outcome, exit_code: None, signal: None, lines, errors, lost };
        timeline::append(session.dir(), &[Event { time: now, run: meta.run.id, what }])?;
        Ok(Exit::Done)
    }
}
