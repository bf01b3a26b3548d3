//! `logboom test`: the tests of a file, with the services that they need, in one session.

mod init;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use logboom_capture::test_spec::{CommandSpec, Retention, ServiceSpec, Start, StepSpec, TestSpec};
use logboom_files::{
    DataDir, FilesError,
    attempts::{ATTEMPT, STEP, TEAR_DOWN},
    list::Sessions,
    retention::{self, Limits},
    session::ended,
};
use logboom_record::{Level, Outcome, Time};

use crate::{
    args::Global,
    exit::Exit,
    human,
    junit_files::JunitFiles,
    options::{Apart, EngineAt, Keeping, Masking, Naming, Running},
    recording::warn,
    supervise::{Over, TIMED_OUT},
    test_session::{Setting, Step, Stopped, TestSession},
};

/// The file that is read, and written, where none is named.
const FILE: &str = "logboom-test.toml";
/// How long a command of the tear-down may take that does not say so itself.
const TEAR_DOWN_MAX: Duration = Duration::from_secs(60);

/// Run the tests of a file, with the services that they need
///
/// The file says which services there are (compose files, containers, programs), when they are ready, and which commands are the
/// tests. Services are started and followed from their first line; tests run one after the other, all of them, and are repeated
/// where the file says so; everything is taken down at the end, however it came. All of it is one session.
///
/// logboom ends as the first test that failed did: with its exit code, or of the same signal, 124 if its time was up; 125 if services
/// were not ready, or logboom failed.
#[derive(clap::Args)]
#[command(mut_arg("name", |name| name.help("What to call it [the file's `name`; the directory's name]")))]
pub struct Test {
    /// The file [logboom-test.toml]
    spec: Option<PathBuf>,
    /// Write a file for the project that is here, with comments, and end
    #[arg(long, conflicts_with_all = ["only", "name"])]
    init: bool,
    /// Run only this test (may be given more than once)
    #[arg(long, value_name = "TEST")]
    only: Vec<String>,
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    apart: Apart,
    #[command(flatten)]
    engine: EngineAt,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    masking: Masking,
}

impl Test {
    /// Ends as the first test that failed.
    pub fn run(self, global: &Global, now: Time) -> Result<Exit> {
        let file = self.spec.clone().unwrap_or_else(|| PathBuf::from(FILE));
        if self.init {
            init::write(&file)?;
            writeln!(io::stdout(), "wrote {}; mend it, and run `logboom test`", file.display())?;
            return Ok(Exit::Done);
        }
        let spec = TestSpec::read(&file).with_context(|| match file.exists() {
            true => "this is no test session",
            false => "there is no test session here; `logboom test --init` writes one",
        })?;
        let tests = self.picked(&spec)?;
        for test in tests.iter().copied().chain(&spec.tear_down) {
            JunitFiles::of(&test.junit).with_context(|| format!("junit of test {}", test.name))?;
        }
        let words: Vec<OsString> = env::args_os().collect();
        let setting = Setting {
            global,
            running: &Running::default(),
            naming: self.naming(&spec),
            keeping: &self.keeping,
            masking: self.masking(&spec),
            engine: self.engine.clone(),
            wait_max: spec.wait_timeout,
            words: &words,
        };
        let mut session = TestSession::begin(setting, |config| Ok(self.apart.target(config)), now)?;
        let (name, data) = (session.name(), session.data());
        let over = run_all(&mut session, &spec, &tests);
        let exit = session.end(over);
        if let Err(error) = retain(&data, &name, &spec) {
            warn(&anyhow::Error::from(error).context("not all sessions that are too many could be deleted"));
        }
        Ok(exit)
    }

    /// The tests that are meant.
    fn picked<'a>(&self, spec: &'a TestSpec) -> Result<Vec<&'a StepSpec>> {
        let all = || spec.tests.iter().map(|test| test.name.as_str());
        if let Some(unknown) = self.only.iter().find(|name| !all().any(|test| test == name.as_str())) {
            anyhow::bail!("there is no test {unknown}; there are {}", all().collect::<Vec<_>>().join(", "));
        }
        let is_meant = |test: &&StepSpec| self.only.is_empty() || self.only.contains(&test.name);
        Ok(spec.tests.iter().filter(is_meant).collect())
    }

    /// The command line's word goes before that of the file.
    fn naming(&self, spec: &TestSpec) -> Naming {
        let dir = std::path::absolute(&spec.dir).ok();
        let dir = dir.as_ref().and_then(|dir| dir.components().next_back());
        let dir = dir.map(|dir| dir.as_os_str().to_string_lossy().into_owned());
        let name = self.naming.name.clone().or_else(|| spec.name.clone()).or(dir);
        let labels = spec.labels.clone().into_iter().chain(self.naming.labels.clone()).collect();
        Naming { name, labels, ..self.naming.clone() }
    }

    fn masking(&self, spec: &TestSpec) -> Masking {
        let mut masking = self.masking.clone();
        if masking.no_mask {
            return masking;
        }
        let of_service = |service: &ServiceSpec| match &service.start {
            Start::Container { env, .. } | Start::Command(CommandSpec { env, .. }) => env.clone(),
            Start::Compose { .. } => BTreeMap::new(),
        };
        let steps = spec.tests.iter().chain(&spec.tear_down).map(|step| step.command.env.clone());
        masking.more = spec.services.iter().map(of_service).chain(steps).flatten().collect();
        masking.patterns.extend(spec.mask.iter().cloned());
        masking.variables.extend(spec.mask_env.iter().cloned());
        masking
    }
}

/// Starts the services and runs the tests, and then what is to be run in any case.
fn run_all(session: &mut TestSession<'_>, spec: &TestSpec, tests: &[&StepSpec]) -> Result<Over, Stopped> {
    let over = start_and_run(session, spec, tests);
    if spec.dind.is_some() && !session.has_inner_engine() && !spec.tear_down.is_empty() {
        session
            .tell(Level::Warn, "the tear-down is not run: the engine in a container, which it is for, did not come up");
        return over;
    }
    for step in &spec.tear_down {
        let limit = Instant::now().checked_add(TEAR_DOWN_MAX).filter(|_| step.timeout.is_none());
        let how = match run_step(session, step, None, limit) {
            Ok(over) if over.end.outcome == Outcome::Passed => continue,
            Ok(over) => human::outcome(over.end.outcome, Some(&over.end)),
            Err(Stopped::Failed(error, _)) => logboom_files::with_causes(error.as_ref()),
            Err(Stopped::Interrupted(_)) => human::outcome(Outcome::Interrupted, None),
        };
        session.tell(Level::Warn, &format!("tear-down {}: {how}", step.name));
    }
    over
}

fn start_and_run(session: &mut TestSession<'_>, spec: &TestSpec, tests: &[&StepSpec]) -> Result<Over, Stopped> {
    if let Some(dind) = &spec.dind {
        session.start_dind(dind)?;
    }
    session.start(&spec.services)?;
    run_tests(session, tests, spec.timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
}

/// Runs tests one after the other; how the first ended that failed, else the last.
fn run_tests(session: &TestSession<'_>, tests: &[&StepSpec], until: Option<Instant>) -> Result<Over, Stopped> {
    let (mut first_failed, mut last) = (None, None);
    let mut failed = Vec::new();
    for test in tests {
        let over = match is_over(until) {
            true => not_run(session, test),
            false => run_test(session, test, until)?,
        };
        match over.end.outcome {
            Outcome::Passed => last = Some(over),
            _ => {
                failed.push(test.name.as_str());
                first_failed.get_or_insert(over);
            }
        }
        if let Some(signal) = session.interrupted() {
            return Err(Stopped::Interrupted(signal));
        }
    }
    let passed = tests.len() - failed.len();
    let but = if failed.is_empty() { String::new() } else { format!(", failed: {}", failed.join(", ")) };
    session
        .tell(Level::Info, &format!("{passed} of {} passed{but}", human::counted(tests.len() as u64, "test command")));
    first_failed.or(last).context("no test to run").map_err(Stopped::from)
}

/// Runs a test until it passes or has been run as often as it may.
fn run_test(session: &TestSession<'_>, test: &StepSpec, until: Option<Instant>) -> Result<Over, Stopped> {
    let mut attempt = 1;
    loop {
        let over = run_step(session, test, Some(attempt), until)?;
        let how = human::outcome(over.end.outcome, Some(&over.end));
        let is_bad = over.end.outcome != Outcome::Passed;
        let is_last = !is_bad || attempt > test.retries || session.interrupted().is_some() || is_over(until);
        let again = if is_last { "" } else { "; it is run again" };
        let level = if is_bad { Level::Warn } else { Level::Info };
        session.tell(level, &format!("{}: {how}{again}", human::attempt_name(&test.name, attempt)));
        if is_last {
            return Ok(over);
        }
        attempt += 1;
    }
}

fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

/// A test for which no time was left.
fn not_run(session: &TestSession<'_>, test: &StepSpec) -> Over {
    session.tell(Level::Warn, &format!("{}: not run, the time of all tests is up", test.name));
    Over { exit: Exit::Code(TIMED_OUT), end: ended(Outcome::TimedOut, Time::now()) }
}

/// Runs a test for which this is not the first time, maybe, or a step of the tear-down.
fn run_step(
    session: &TestSession<'_>,
    step: &StepSpec,
    attempt: Option<u32>,
    until: Option<Instant>,
) -> Result<Over, Stopped> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
    let running = Running::within(step.timeout.into_iter().chain(left).min());
    let words: Vec<OsString> = step.command.words.iter().map(OsString::from).collect();
    let env = step.command.env.iter().map(|(name, value)| (name.into(), value.into()));
    let label = match attempt {
        None => Some((STEP.to_owned(), TEAR_DOWN.to_owned())),
        Some(attempt) => (attempt > 1).then(|| (ATTEMPT.to_owned(), attempt.to_string())),
    };
    let junit = JunitFiles::of(&step.junit)?;
    Ok(session.run(&Step {
        name: Some(step.name.clone()),
        called: None,
        words: &words,
        cwd: step.command.cwd.clone(),
        env: env.collect(),
        junit: &junit,
        running: &running,
        labels: label.into_iter().collect(),
        is_tear_down: attempt.is_none(),
    })?)
}

/// Deletes what the file does not keep of the sessions of this name.
fn retain(data: &DataDir, name: &str, spec: &TestSpec) -> Result<(), FilesError> {
    let kept = spec.retention;
    if kept == Retention::default() {
        return Ok(());
    }
    let limits = Limits {
        older_than: kept.older_than.unwrap_or(Duration::MAX),
        keep: kept.keep.unwrap_or(u64::MAX),
        max_bytes: kept.max_bytes.unwrap_or(u64::MAX),
    };
    let now = Time::now();
    let same = Sessions::of(data)?.newest(usize::MAX, now, |status| status.meta.run.name == name);
    let mut seen = retention::survey(data, now)?;
    seen.retain(|seen| same.iter().any(|status| status.id == seen.id));
    retention::apply(data, &retention::plan(&seen, &limits, now), now).map(drop)
}
