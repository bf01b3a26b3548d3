//! `logboom compose`: docker compose as a captured command, and its services beside it.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::Read,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::Result;
use logboom_capture::{
    command::{self, OutputSink, Spec},
    compose::{
        arguments::Arguments,
        project::{self, World},
        table::{FindsEngine, Flavour, V1, V2},
    },
    docker::{
        select::{ONE_OFF, Selection},
        streamer::{Follow, LogStreamer, StreamError},
    },
    engine::Host,
    masks::SharedMasks,
    open_files::OpenFiles,
};
use logboom_files::{Session, session::Counts, with_causes};
use logboom_record::Time;

use crate::{
    args::Global,
    exit::Exit,
    junit_files::JunitFiles,
    options::{EngineAt, Joining, Keeping, Masking, Naming, Running},
    place,
    recording::{Recording, warn},
    say::{say, tell},
    services::{Services, ServicesSink},
    supervise::{Ran, Supervise},
};

/// What the text log and the run of compose itself are called, whichever compose it is.
const CALLED: &str = "compose";
/// The label of a session that says which project it is about.
const PROJECT: &str = "project";
/// So much of a program is looked at.
const PROGRAM_BYTES: u64 = 128;
/// Where docker's client and compose look for the engine.
const DOCKER_HOST: &str = "DOCKER_HOST";

/// Run docker compose and keep what it and its services print
///
/// Compose is run as `logboom run` would: what it prints is passed on as it is, and it ends with compose's own exit code. Beside it
/// every service of the project is followed, from the first line of its containers on, each as a run of the same session; lines that
/// were printed before are not kept. An attached `up` prints the lines of services, too: they are kept as theirs alone. So are not
/// those of `up --no-log-prefix`, which cannot be told from compose's own, nor the output of an attached `run`, which is compose's.
///
/// Services are kept in a boom file, also with --no-boom, which is about compose's own lines.
///
/// It ends when compose does. `up -d` leaves services running: what they print later is not kept, but `logboom docker --project
/// PROJECT` follows them.
///
/// The plugin `docker compose` is used where it is there, else `docker-compose`.
#[derive(clap::Args)]
#[command(override_usage = "logboom compose [OPTIONS] [--] COMMAND [ARG]...")]
pub struct Compose {
    /// Compose file (may be given more than once) [as compose finds it]
    #[arg(short, long = "file", value_name = "FILE", help_heading = "Which project")]
    files: Vec<OsString>,
    /// Name of the project [as compose finds it]
    #[arg(short, long, value_name = "PROJECT", help_heading = "Which project")]
    project: Option<OsString>,
    #[command(flatten)]
    engine: EngineAt,
    #[command(flatten)]
    joining: Joining,
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    masking: Masking,
    #[command(flatten)]
    running: Running,
    /// Compose's command and its arguments: up, run, build, ..
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_names = ["COMMAND", "ARG"], num_args = 1..)]
    command: Vec<OsString>,
}

impl Compose {
    /// Ends as compose does; 127 if there is none.
    pub fn run(mut self, global: &Global, now: Time) -> Result<Exit> {
        let Some(flavour) = flavour() else {
            say("there is neither `docker compose` nor `docker-compose`: install docker's compose plugin");
            return Ok(Exit::Code(127));
        };
        let words = self.words();
        let arguments = Arguments::of(&words);
        let project = arguments.concerns_services().then(|| self.project_of(flavour, &arguments)).flatten();
        self.naming.labels.extend(project.iter().map(|project| (PROJECT.to_owned(), project.clone())));
        let masks = self.masking.masks()?;
        let beside =
            Beside { flavour, arguments, project, engine: self.engine.clone(), since: now, masks: masks.clone() };
        let command = flavour.command(words);
        let Compose { naming, keeping, masking, running, .. } = &self;
        let (config, junit) = (&place::config(&running.flags(global))?, &JunitFiles::default());
        let (called, words, cwd, is_part) = (Some(CALLED), &command[..], None, false);
        let supervise =
            Supervise { config, naming, keeping, masking, masks, junit, running, called, words, cwd, is_part };
        let target = self.joining.target(config, now)?;
        let over =
            supervise.run_by(Box::new(|spec, sink, recording| beside.run(spec, sink, recording)), target, now)?;
        let exit = over.exit;
        if exit == Exit::Code(0) {
            self.tell_of_services(&beside);
        }
        Ok(exit)
    }

    /// What is to be known of the services that compose has started.
    fn tell_of_services(&self, beside: &Beside) {
        match &beside.project {
            None if beside.arguments.concerns_services() => {
                say("the services were not followed: the project's name is not known; give -p");
            }
            Some(project) if beside.arguments.is_detached() && self.keeping.may_speak() => {
                tell(&format!("the services go on; `logboom docker --project {project}` follows them"));
            }
            _ => {}
        }
    }

    /// Compose's own arguments.
    fn words(&self) -> Vec<OsString> {
        let option = |name: &str, value: &OsString| [OsString::from(name), value.clone()];
        let files = self.files.iter().flat_map(|file| option("--file", file));
        let project = self.project.iter().flat_map(|project| option("--project-name", project));
        files.chain(project).chain(self.command.iter().cloned()).collect()
    }

    /// The project's name, where there is one: a file with an error has none, and compose says so. A compose that cannot tell, or does not
    /// say, may still have been told.
    fn project_of(&self, flavour: &Flavour, arguments: &Arguments) -> Option<String> {
        let cwd = env::current_dir().ok()?;
        let world = World { cwd: &cwd, env: &|name| env::var(name).ok() };
        let Some(ask) = flavour.tell_project else { return project::name(arguments, world) };
        let words = arguments.globals().iter().map(OsString::from).chain(ask.iter().map(OsString::from));
        let printed = output_of(flavour.command(words), self.engine.host.as_deref());
        printed.and_then(|json| name_in(&json)).or_else(|| project::given_name(arguments, world))
    }
}

/// Which compose there is.
pub fn flavour() -> Option<&'static Flavour> {
    let version = |flavour: &Flavour| {
        let printed = output_of(flavour.command(flavour.version.iter().map(OsString::from)), None)?;
        Some(String::from_utf8_lossy(&printed).into_owned())
    };
    // Without the plugin docker takes `compose` for a command that it does not have, or for an option, and says so.
    if version(&V2)
        .is_some_and(|printed| printed.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()))
    {
        return Some(&V2);
    }
    let known = beginning_of(V1.words[0]).and_then(|beginning| Flavour::of_program(&beginning));
    known.or_else(|| version(&V1).map(|printed| Flavour::of_version(&printed)))
}

/// The first bytes of a program in PATH.
fn beginning_of(program: &str) -> Option<Vec<u8>> {
    let path = env::var_os("PATH")?;
    let file = env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())?;
    let mut beginning = Vec::new();
    File::open(file).ok()?.take(PROGRAM_BYTES).read_to_end(&mut beginning).ok()?;
    Some(beginning)
}

/// What a command prints that ends well.
fn output_of(words: Vec<OsString>, host: Option<&str>) -> Option<Vec<u8>> {
    let (program, args) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null());
    command.envs(host.map(|host| (DOCKER_HOST, host)));
    let output = command.output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// The name in the project that compose v2 prints as JSON.
fn name_in(json: &[u8]) -> Option<String> {
    let project: serde_json::Value = serde_json::from_slice(json).ok()?;
    project["name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// What goes on beside compose.
pub struct Beside {
    /// Which compose it is.
    pub flavour: &'static Flavour,
    /// Its arguments.
    pub arguments: Arguments,
    /// The project, where it is known.
    pub project: Option<String>,
    /// The engine, where compose's arguments do not say it.
    pub engine: EngineAt,
    /// From when on containers are of interest.
    pub since: Time,
    /// What is not kept.
    pub masks: SharedMasks,
}

impl Beside {
    fn run(&self, spec: &Spec, sink: Arc<dyn OutputSink>, recording: Option<&Recording>) -> (Ran, Counts) {
        let mut spec = spec.clone();
        spec.env.extend(self.engine.host.iter().map(|host| (DOCKER_HOST.into(), host.into())));
        let Some(recording) = recording else { return (command::run(&spec, sink), Counts::default()) };
        spec.open_files = Some(OpenFiles::raise());
        let streamer = self.follow_if_possible(recording);
        let services = streamer.as_ref().zip(self.project.clone());
        let services = services
            .filter(|_| self.arguments.prefixes_lines())
            .map(|(streamer, project)| Services::new(recording.session().clone(), self, project, streamer.stopper()));
        let sink = ServicesSink::new(sink, services, recording.noter(), self.masks.clone());
        let finished = command::run(&spec, Arc::new(sink));
        (finished, streamer.map(stop).unwrap_or_default())
    }

    /// Follows the services. Where that cannot be compose runs all the same: it may need no engine, and else says itself that there is none.
    fn follow_if_possible(&self, recording: &Recording) -> Option<LogStreamer> {
        let started = self.follow(self.project.as_ref()?, recording.session());
        started.map_err(|error| warn(&anyhow::Error::from(error).context("the services are not followed"))).ok()
    }

    /// Follows the services of this project.
    pub fn follow(&self, project: &str, session: &Session) -> Result<LogStreamer, StreamError> {
        let follow = Follow {
            host: self.host()?,
            selection: self.selection(project),
            since: Some(self.since),
            until_exit: false,
            masks: self.masks.clone(),
        };
        LogStreamer::start(session, follow, tell)
    }

    /// The engine that compose uses.
    pub fn host(&self) -> Result<Host, StreamError> {
        let env: &dyn Fn(&str) -> Option<OsString> = &|name| self.variable(name);
        let last = |names: &[&str]| self.arguments.values(names).last().map(|value| (*value).to_owned());
        let host = match (last(&["--host", "-H"]), last(&["--context", "-c"])) {
            (Some(host), _) => Host::given(&host, env)?,
            (None, Some(context)) => Host::of_context(&context, "--context", env)?,
            (None, None) => self.engine.host_in(env)?,
        };
        Ok(host)
    }

    /// A variable as compose has it when it looks for the engine.
    fn variable(&self, name: &str) -> Option<OsString> {
        match (self.flavour.engine, name) {
            (FindsEngine::AsPython, "DOCKER_CONTEXT") => None,
            (FindsEngine::AsPython, DOCKER_HOST | "DOCKER_TLS_VERIFY") => {
                let cwd = env::current_dir().ok()?;
                let world = World { cwd: &cwd, env: &|name| env::var(name).ok() };
                project::variable(&self.arguments, world, name).map(OsString::from)
            }
            _ => env::var_os(name),
        }
    }

    /// The containers of the project's services; a one-off one as well, unless compose prints what it does.
    fn selection(&self, project: &str) -> Selection {
        let one_offs = self.arguments.is_attached_run().then(|| (ONE_OFF.to_owned(), Some("False".to_owned())));
        Selection { project: Some(project.to_owned()), labels: one_offs.into_iter().collect(), ..Selection::default() }
    }
}

/// Ends following; how much was kept.
pub fn stop(streamer: LogStreamer) -> Counts {
    match streamer.stop() {
        Ok(streamed) => {
            streamed.trouble.iter().for_each(|why| tell(&format!("not all could be kept: {why}")));
            streamed.counts
        }
        Err(error) => {
            tell(&with_causes(&error));
            Counts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compose_v2_tells_the_projects_name() {
        // The head of what `docker compose config --format json` printed (v2.29).
        let json = br#"{"name": "shop", "networks": {"default": {"name": "shop_default", "ipam": {}}}, "services": {"web": {}}}"#;
        assert_eq!(name_in(json), Some("shop".to_owned()));
        assert_eq!(name_in(b"name: shop"), None);
    }
}
