//! A test session: services are started and waited for, tests run, and all is taken down again, in one session.
//!
//! logboom itself is a run of it, the first: what it did and why stands in the lines of that run, among those of the others, and the
//! session ends with it, or is lost with it. The hard part is to take down whatever was started, however the rest went: what is
//! started is entered among the services before it is, and signals are only looked at between steps.

mod chore;
mod dind;
mod interrupts;
mod program;
mod services;
mod waiting;

use std::{ffi::OsString, io, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use logboom_capture::{
    command::{self, Group, Spec},
    masks::SharedMasks,
};
use logboom_files::{
    DataDir, Session,
    config::Config,
    session::{Counts, ended},
};
use logboom_record::{Level, Outcome, RunEnd, RunId, Time};

pub use interrupts::Interrupts;
use services::Started;

use crate::{
    args::Global,
    exit::{Exit, WRAPPER_FAILED},
    human,
    junit_files::JunitFiles,
    options::{EngineAt, Keeping, Masking, Naming, Running},
    place,
    recording::{NewRun, Recording, Role, Target},
    say::{say, tell},
    supervise::{Over, Supervise},
};

/// So many of the last lines of what failed are shown.
const LAST_LINES: usize = 10;

/// What a test session is told.
pub struct Setting<'a> {
    /// Options of every command.
    pub global: &'a Global,
    /// How its tests run, where that is not said of each.
    pub running: &'a Running,
    /// What it is called.
    pub naming: Naming,
    /// What is kept, and said.
    pub keeping: &'a Keeping,
    /// What is not kept.
    pub masking: Masking,
    /// Which engine.
    pub engine: EngineAt,
    /// How long services may take to become ready.
    pub wait_max: Duration,
    /// The command line, as it is noted.
    pub words: &'a [OsString],
}

/// A command of a session, and how it runs.
pub struct Step<'a> {
    /// What it is called; its program if left out.
    pub name: Option<String>,
    /// What its text log is called after; its program if left out.
    pub called: Option<&'a str>,
    /// The command.
    pub words: &'a [OsString],
    /// Where it runs; where we do if left out.
    pub cwd: Option<PathBuf>,
    /// What its environment gains.
    pub env: Vec<(OsString, OsString)>,
    /// Which files tell of its tests.
    pub junit: &'a JunitFiles,
    /// How else.
    pub running: &'a Running,
    /// Facts about it.
    pub labels: Vec<(String, String)>,
    /// It is run when the tests are over, and nothing ends it but its time.
    pub is_tear_down: bool,
}

/// A test session that goes on.
pub struct TestSession<'a> {
    setting: Setting<'a>,
    config: Config,
    masks: SharedMasks,
    recording: Recording,
    run: RunId,
    interrupts: Interrupts,
    began: Time,
    started: Vec<Started>,
    /// The engine within a container, where all runs in one.
    inner_host: Option<String>,
}

/// Why the tests were not run.
pub enum Stopped {
    /// A signal came.
    Interrupted(i32),
    /// Something failed; what was printed last where it did.
    Failed(anyhow::Error, Vec<String>),
}

impl<E: Into<anyhow::Error>> From<E> for Stopped {
    fn from(error: E) -> Stopped {
        Stopped::Failed(error.into(), Vec::new())
    }
}

impl<'a> TestSession<'a> {
    /// Begins one.
    ///
    /// # Errors
    /// Where it cannot be written; nothing was started then.
    pub fn begin(
        setting: Setting<'a>,
        target: impl FnOnce(&Config) -> Result<Target>,
        now: Time,
    ) -> Result<TestSession<'a>> {
        let config = place::config(&setting.running.flags(setting.global))?;
        let masks = setting.masking.masks()?;
        let interrupts = Interrupts::watch().context("cannot wait for signals")?;
        let new = NewRun {
            role: Role::Conductor,
            program: "logboom".as_ref(),
            words: setting.words,
            name: setting.naming.name.clone(),
            labels: setting.naming.labels.iter().cloned().collect(),
            boom: true,
            cwd: None,
            masks: masks.clone(),
            now,
        };
        let recording =
            Recording::start(&config.data_dir(), target(&config)?, &new).context("the session cannot be kept")?;
        setting.naming.id_file.try_write(&recording);
        let run = recording.run();
        Ok(TestSession {
            setting,
            config,
            masks,
            recording,
            run,
            interrupts,
            began: now,
            started: Vec::new(),
            inner_host: None,
        })
    }

    fn session(&self) -> &Session {
        self.recording.session()
    }

    /// What the session is called, where it begins with this run.
    pub fn name(&self) -> String {
        self.masks.mask_str(self.setting.naming.name.as_deref().unwrap_or_default())
    }

    /// The data dir that it is in.
    pub fn data(&self) -> DataDir {
        self.config.data_dir()
    }

    /// Notes what happens, and says it where logboom may speak.
    pub fn tell(&self, level: Level, text: &str) {
        self.note(level, text);
        if self.setting.keeping.may_speak() {
            tell(text);
        }
    }

    fn note(&self, level: Level, text: &str) {
        self.recording.intake().note(Time::now(), level, text.to_owned());
    }

    /// The signal that asked for the end.
    pub fn interrupted(&self) -> Option<i32> {
        self.interrupts.signal()
    }

    /// Runs a command of the session to its end.
    ///
    /// # Errors
    /// Where there is none.
    pub fn run(&self, step: &Step<'_>) -> Result<Over> {
        self.run_part(step, self.setting.keeping, |spec| {
            spec.env.extend(self.engine_env().into_iter().chain(step.env.clone()));
            match step.is_tear_down {
                true => spec.group = Group::Own,
                false => spec.told = Some(self.interrupts.told()),
            }
        })
    }

    /// Runs a command as a part of the session, as it is set up.
    fn run_part(&self, step: &Step<'_>, keeping: &Keeping, set_up: impl FnOnce(&mut Spec)) -> Result<Over> {
        let naming = Naming { name: step.name.clone(), labels: step.labels.clone(), ..Naming::default() };
        let supervise = Supervise {
            config: &self.config,
            naming: &naming,
            keeping,
            masking: &self.setting.masking,
            masks: self.masks.clone(),
            junit: step.junit,
            running: step.running,
            called: step.called,
            words: step.words,
            cwd: step.cwd.as_deref(),
            is_part: true,
        };
        let runner = |spec: &Spec, sink: _, _: Option<&Recording>| {
            let mut spec = spec.clone();
            set_up(&mut spec);
            (command::run(&spec, sink), Counts::default())
        };
        supervise.run_by(Box::new(runner), self.target(), Time::now())
    }

    /// Where its commands go.
    fn target(&self) -> Target {
        Target::Given(self.session().clone(), Some(self.run))
    }

    /// What leads programs to the engine that is meant, where it is not their own choice.
    fn engine_env(&self) -> Vec<(OsString, OsString)> {
        let host = self.inner_host.as_ref().or(self.setting.engine.host.as_ref());
        let host = host.map(|host| ("DOCKER_HOST".into(), host.into()));
        // The inner engine speaks no TLS, and no context leads to it.
        let others =
            ["DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT"].map(|name| (name.into(), OsString::new()));
        host.into_iter().chain(others.into_iter().filter(|_| self.inner_host.is_some())).collect()
    }

    /// Whether there is an engine within a container.
    pub fn has_inner_engine(&self) -> bool {
        self.inner_host.is_some()
    }

    /// Takes down all that was started, and ends as the tests did; says why where they were not run.
    pub fn end(mut self, tests: Result<Over, Stopped>) -> Exit {
        let over = tests.unwrap_or_else(|why| self.not_run(why));
        self.take_down();
        let end = RunEnd { ended_at: Time::now(), ..over.end };
        let TestSession { setting, recording, began, .. } = self;
        let session = recording.session().clone();
        recording.finish(&end);
        if setting.keeping.may_speak() {
            let counts = session.meta().map(|meta| meta.counts()).unwrap_or_default();
            let took = human::between(began, end.ended_at);
            say(format_args!("{}; logboom show {}", human::summary(&end, took, &counts), session.id().short()));
        }
        over.exit
    }

    /// Says why; that is logboom's failure, and nobody's output that it could be mixed with.
    fn not_run(&self, why: Stopped) -> Over {
        match why {
            Stopped::Interrupted(signal) => {
                let mut end = ended(Outcome::Interrupted, Time::now());
                end.signal = Some(signal);
                Over { exit: Exit::Signal(signal), end }
            }
            Stopped::Failed(error, lines) => {
                let text = logboom_files::with_causes(error.as_ref());
                self.note(Level::Error, &text);
                tell(&text);
                lines.iter().for_each(|line| tell(&format!("  {line}")));
                let mut end = ended(Outcome::Failed, Time::now());
                end.exit_code = Some(i32::from(WRAPPER_FAILED));
                Over { exit: Exit::Code(WRAPPER_FAILED), end }
            }
        }
    }

    /// The last lines of a text log of the session.
    fn last_lines(&self, text_log: &str) -> Vec<String> {
        last_lines(&self.session().dir().join(text_log)).unwrap_or_default()
    }
}

/// The messages of the last lines of a text log.
fn last_lines(path: &std::path::Path) -> io::Result<Vec<String>> {
    use std::io::{Read, Seek, SeekFrom};
    const BYTES: u64 = 16 << 10;
    let mut file = std::fs::File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(logboom_record::text::TextLine::parse);
    let lines = lines.map(|line| String::from_utf8_lossy(line.message).trim_end().to_owned());
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LAST_LINES)..].to_vec())
}
