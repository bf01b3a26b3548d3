//! How services are started, followed and ended.

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use logboom_capture::{
    compose::arguments::Arguments,
    docker::{
        select::{Selection, TEST_SERVICE},
        streamer::{Follow, LogStreamer},
    },
    masks::SharedMasks,
    open_files::OpenFiles,
    test_spec::{Restart, ServiceSpec, Start},
    waiting::{Condition, Looker, Wait},
};
use logboom_files::session::RunMeta;
use logboom_record::{Level, RunId, Time};

use super::{Stopped, TestSession, chore::Chore, program::Program};
use crate::{
    commands::compose::{Beside, flavour, stop},
    options::EngineAt,
    say::tell,
};

/// On a container that a test session has started: the session, and logboom's own run in it.
const TEST_SESSION: &str = "logboom.session";
const TEST_RUN: &str = "logboom.run";
/// Variables that docker's client reads itself.
const OF_CLIENT: [&str; 6] = ["PATH", "HOME", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
/// What compose's own labels say of a container.
const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// How long services of an interrupted session have to end: whoever interrupts a session soon kills it.
const HURRY: Duration = Duration::from_secs(3);
const HURRY_SECONDS: &str = "3";

/// A service that was started, or may have been.
pub(super) struct Started {
    pub(super) name: String,
    /// Which runs of the session it is.
    pub(super) pick: Pick,
    pub(super) waits: Vec<Wait>,
    /// What held.
    pub(super) held: Vec<Wait>,
    pub(super) looker: Looker,
    /// When it was started.
    pub(super) began: Instant,
    pub(super) handle: Handle,
}

/// Which runs of the session are a service's.
pub(super) enum Pick {
    /// Those of a compose project; a condition is for one of its services.
    Project(String),
    /// The container of this name.
    Container(String),
    /// A program that this run has started.
    Program(RunId),
}

impl Pick {
    /// Whether a run is the service that is waited for. Its names are kept without what is secret.
    pub(super) fn has(&self, wait: &Wait, run: &RunMeta, masks: &SharedMasks) -> bool {
        let is = |kept: Option<&String>, name: &str| kept.is_some_and(|kept| *kept == masks.mask_str(name));
        let has_label = |label: &str, name: &str| is(run.run.labels.get(label), name);
        match self {
            Pick::Project(project) => has_label("project", project) && has_label("service", &wait.service),
            Pick::Container(name) => is(run.containers.last().map(|container| &container.name), name),
            Pick::Program(by) => run.run.parent == Some(*by) && has_label("service", &wait.service),
        }
    }
}

pub(super) enum Handle {
    /// Containers that are followed, and what ends them.
    Containers {
        follower: LogStreamer,
        ends: Ends,
        /// What leads to their engine.
        env: Vec<(OsString, OsString)>,
    },
    Program(Program),
}

/// How containers are ended.
pub(super) enum Ends {
    Compose { beside: Box<Beside>, words: Vec<OsString>, own: bool },
    Container { name: String, grace: Duration },
}

impl TestSession<'_> {
    /// Starts services in their order, each when those are ready that it comes after, and waits until all are.
    ///
    /// # Errors
    /// [`Stopped`]; what was started is taken down by [`TestSession::end`].
    pub fn start(&mut self, services: &[ServiceSpec]) -> Result<(), Stopped> {
        // Each container may need a file.
        OpenFiles::raise();
        for service in services {
            self.wait_for(|started| service.after.contains(&started.name))?;
            self.note(Level::Info, &format!("starting {}", service.name));
            match &service.start {
                Start::Compose { files, project } => self.start_compose(service, files, project.as_deref())?,
                Start::Container { .. } => self.start_container(service)?,
                Start::Command(command) => {
                    let program = self.start_program(service, command)?;
                    let looker = Looker::of(self.session());
                    self.enter(service, Pick::Program(self.run), looker, Handle::Program(program));
                }
            }
        }
        self.wait_for(|_| true)?;
        self.look_again()
    }

    fn enter(&mut self, service: &ServiceSpec, pick: Pick, looker: Looker, handle: Handle) {
        let (name, waits) = (service.name.clone(), service.waits.clone());
        let began = Instant::now();
        self.started.push(Started { name, pick, waits, held: Vec::new(), looker, began, handle });
    }

    /// The engine that is meant.
    pub(super) fn engine(&self) -> EngineAt {
        EngineAt { host: self.inner_host.clone().or(self.setting.engine.host.clone()) }
    }

    fn start_compose(&mut self, service: &ServiceSpec, files: &[PathBuf], given: Option<&str>) -> Result<(), Stopped> {
        let Some(flavour) = flavour() else {
            let why = "there is neither `docker compose` nor `docker-compose`: install docker's compose plugin";
            return Err(anyhow::anyhow!(why).into());
        };
        let project = given.map_or_else(|| self.project_name(&service.name, files), str::to_owned);
        let words = files.iter().flat_map(|file| [OsString::from("--file"), file.into()]);
        let words: Vec<OsString> = words.chain(["--project-name".into(), project.clone().into()]).collect();
        let up: Vec<OsString> = words.iter().cloned().chain(["up".into(), "--detach".into()]).collect();
        let (engine, since, masks) = (self.engine(), Time::now(), self.masks.clone());
        let beside =
            Beside { flavour, arguments: Arguments::of(&up), project: Some(project.clone()), engine, since, masks };
        let mut looker = Looker::with_engine(self.session(), &beside.host()?)?;
        let label = format!("{COMPOSE_PROJECT}={project}");
        if given.is_some() && !looker.containers(&label)?.is_empty() {
            return Err(is_in_use(&project));
        }
        let follower = beside.follow(&project, self.session())?;
        let ends = Ends::Compose { beside: Box::new(beside), words, own: given.is_none() };
        self.note(Level::Info, &format!("its compose project is {project}"));
        self.enter(
            service,
            Pick::Project(project),
            looker,
            Handle::Containers { follower, ends, env: self.engine_env() },
        );
        self.up(&self.chore("compose up", "compose", flavour.command(up)))?;
        self.add_waits(&label, Some(COMPOSE_SERVICE))
    }

    /// Of this session alone: what is up already under the project's usual name is somebody's, and not to be taken down.
    fn project_name(&self, service: &str, files: &[PathBuf]) -> String {
        let dir = files.first().and_then(|file| std::path::absolute(file).ok());
        let dir =
            dir.as_ref().and_then(|file| file.parent()?.file_name()).map(|name| name.to_string_lossy().into_owned());
        let is_usual = |byte: &char| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let usual = |text: &str| text.to_lowercase().chars().filter(is_usual).collect::<String>();
        let parts = [usual(&dir.unwrap_or_default()), usual(service), self.run.short()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    }

    fn start_container(&mut self, service: &ServiceSpec) -> Result<(), Stopped> {
        let Start::Container { image, command, env, ports, volumes } = &service.start else { return Ok(()) };
        let option = |name: &str, value: &String| [name.to_owned(), value.clone()];
        // A value in the arguments could be read by whoever lists processes.
        let is_client_s = |name: &str| name.starts_with("DOCKER_") || OF_CLIENT.contains(&&*name.to_uppercase());
        let (in_words, passed): (Vec<_>, Vec<_>) = env.iter().partition(|(name, _)| is_client_s(name));
        let in_words = in_words.into_iter().flat_map(|(name, value)| option("--env", &format!("{name}={value}")));
        let env = in_words.chain(passed.iter().flat_map(|(name, _)| option("--env", name)));
        let ports = ports.iter().flat_map(|port| option("--publish", port));
        let volumes = volumes.iter().flat_map(|volume| option("--volume", volume));
        let restart = (service.restart != Restart::No).then(|| option("--restart", &service.restart.to_string()));
        let options = env.chain(ports).chain(volumes).chain(restart.into_iter().flatten()).collect();
        let passed = passed.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.run_container(service, (options, passed), (image, command))
    }

    /// Runs a container, followed from its first line on, and enters it among the services.
    pub(super) fn run_container(
        &mut self,
        service: &ServiceSpec,
        (options, env): (Vec<String>, Vec<(OsString, OsString)>),
        (image, command): (&str, &[String]),
    ) -> Result<(), Stopped> {
        let part = container_part(&service.name);
        let name = format!("logboom-{}-{}-{part}", self.run.short(), self.started.len() + 1);
        let (session, run) = (self.session().id().to_string(), self.run.to_string());
        let labels = [(TEST_SESSION, session), (TEST_RUN, run), (TEST_SERVICE, service.name.clone())];
        let labels = labels.map(|(key, value)| (key.to_owned(), Some(value)));
        let host = self.engine().host()?;
        let looker = Looker::with_engine(self.session(), &host)?;
        let selection = Selection { labels: labels.to_vec(), ..Selection::default() };
        let follow = Follow { host, selection, since: Some(Time::now()), until_exit: false, masks: self.masks.clone() };
        let follower = LogStreamer::start(self.session(), follow, tell)?;
        let ends = Ends::Container { name: name.clone(), grace: service.stop_grace };
        self.enter(
            service,
            Pick::Container(name.clone()),
            looker,
            Handle::Containers { follower, ends, env: self.engine_env() },
        );
        let mut words: Vec<String> = ["docker", "run", "--detach", "--name", &name].map(str::to_owned).to_vec();
        for (key, value) in labels {
            words.extend(["--label".to_owned(), format!("{key}={}", value.unwrap_or_default())]);
        }
        words.extend(options.into_iter().chain([image.to_owned()]).chain(command.iter().cloned()));
        let words = words.into_iter().map(OsString::from).collect();
        let mut chore = self.chore(&format!("docker run {}", service.name), "docker", words);
        chore.env.extend(env);
        self.up(&chore)?;
        self.add_waits(&format!("{TEST_RUN}={}", self.run), None)
    }

    pub(super) fn chore(&self, name: &str, called: &'static str, words: Vec<OsString>) -> Chore {
        Chore { name: name.to_owned(), called, words, env: self.engine_env() }
    }

    /// A service with a health check for which nothing is to be waited for is waited for until it is healthy.
    fn add_waits(&mut self, label: &str, service_label: Option<&str>) -> Result<(), Stopped> {
        let Some(started) = self.started.last_mut() else { return Ok(()) };
        for container in started.looker.containers(label)? {
            let named = container.labels.get(service_label.unwrap_or(TEST_SERVICE));
            let named = named.filter(|name| service_label.is_some() || **name == started.name);
            let Some(service) = named.filter(|_| container.state.health.is_some()) else { continue };
            if !started.waits.iter().any(|wait| wait.service == *service) {
                started.waits.push(Wait { service: service.clone(), condition: Condition::Healthy });
            }
        }
        Ok(())
    }

    /// Ends all services, those first that were started last, and says what could not be.
    pub(super) fn take_down(&mut self) {
        let started = std::mem::take(&mut self.started);
        for Started { name, handle, looker, .. } in started.into_iter().rev() {
            self.note(Level::Info, &format!("ending {name}"));
            let done = match handle {
                Handle::Program(program) => program.stop(&self.interrupts, HURRY),
                Handle::Containers { follower, ends, env } => {
                    let done = self.end_containers(ends, &env, looker);
                    stop(follower);
                    done
                }
            };
            if let Err(how) = done {
                let text = format!("{name} could not be taken down: {how}");
                self.note(Level::Error, &text);
                tell(&text); // whoever started it has to see to it
            }
        }
    }

    fn end_containers(&self, ends: Ends, env: &[(OsString, OsString)], looker: Looker) -> Result<(), String> {
        let run = |name: &str, called, words, grace| {
            self.down(&Chore { name: name.to_owned(), called, words, env: env.to_vec() }, grace)
        };
        match ends {
            Ends::Compose { beside, words, own } => {
                let is_down = self.end_compose(&beside, &words, own, env);
                let gone = if own { remove_volumes(&beside, looker) } else { Ok(()) };
                is_down.and(gone)
            }
            Ends::Container { name, grace } => {
                let grace = self.interrupted().map_or(grace, |_| grace.min(HURRY));
                let seconds = (grace + Duration::from_millis(999)).as_secs().to_string();
                let docker = |words: &[&str]| ["docker"].iter().chain(words).map(OsString::from).collect();
                // One that was never made cannot be stopped; it is removed all the same.
                run("docker stop", "docker", docker(&["stop", "-t", &seconds, &name]), grace);
                let done = run("docker rm", "docker", docker(&["rm", "--force", "--volumes", &name]), Duration::ZERO);
                if done { Ok(()) } else { Err(format!("`docker rm --force --volumes {name}` failed")) }
            }
        }
    }

    /// Ends a compose project; of one of the session's own all that compose has made for it goes, too. Not by `down --volumes`: that takes
    /// volumes that were somebody's before, where the compose file has them by their names.
    fn end_compose(
        &self,
        beside: &Beside,
        words: &[OsString],
        own: bool,
        env: &[(OsString, OsString)],
    ) -> Result<(), String> {
        let run = |name: &str, called, words: Vec<OsString>| {
            self.down(&Chore { name: name.to_owned(), called, words, env: env.to_vec() }, Duration::ZERO)
        };
        let command =
            |more: &[&str]| beside.flavour.command(words.iter().cloned().chain(more.iter().map(OsString::from)));
        let (hurry, at_once) = (["--timeout", HURRY_SECONDS], ["--timeout", "0"]);
        if own {
            // Volumes without a name go with their containers.
            self.interrupted().map(|_| run("compose stop", "compose", command(&[&["stop"], &hurry[..]].concat())));
            run("compose rm", "compose", command(&["rm", "--stop", "--force", "-v"]));
        }
        let down: &[&str] =
            if own { &["down", "--remove-orphans", "--rmi", "local"] } else { &["down", "--remove-orphans"] };
        let patience = self.interrupted().map_or(&[][..], |_| &hurry);
        let is_down = run("compose down", "compose", command(&[down, patience].concat()))
            || run("compose down", "compose", command(&[down, &at_once].concat()));
        if is_down {
            return Ok(());
        }
        let words = command(down);
        let said: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        Err(format!("`{}` failed", said.join(" ")))
    }
}

/// Removes the volumes that compose has made for a project of the session's own.
fn remove_volumes(beside: &Beside, mut looker: Looker) -> Result<(), String> {
    let label = format!("{COMPOSE_PROJECT}={}", beside.project.as_deref().unwrap_or_default());
    looker.remove_volumes(&label).map(drop).map_err(|error| logboom_files::with_causes(&error))
}

fn is_in_use(project: &str) -> Stopped {
    anyhow::anyhow!(
        "project {project} has containers already, which would be taken down with the test's own: end them first, or leave the \
         project's name out"
    )
    .into()
}

/// What the name of a container may have of a service's.
fn container_part(name: &str) -> String {
    name.chars().map(|char| if char.is_ascii_alphanumeric() || "_.-".contains(char) { char } else { '_' }).collect()
}
