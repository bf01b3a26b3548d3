//! The file of a test session: which services it starts, when they are ready, which commands are the tests.
//!
//! TOML, read strictly: a key that means nothing is an error, with the line that it stands in. Here is only what the file says;
//! who runs it is elsewhere.

mod raw;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use crate::waiting::Wait;

/// How long services may take to become ready where the file does not say.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a service has to end where the file does not say.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// What the run of an engine within a container is called.
pub const DIND: &str = "dind";
/// The largest file that is read, in bytes.
pub const SPEC_BYTES_MAX: u64 = 1 << 20;

/// A test session as it is kept with a project.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSpec {
    /// The directory of the file: paths and commands start from there.
    pub dir: PathBuf,
    /// What to call the session.
    pub name: Option<String>,
    /// Facts about it.
    pub labels: BTreeMap<String, String>,
    /// How long all tests together may take.
    pub timeout: Option<Duration>,
    /// How long a service may take to become ready.
    pub wait_timeout: Duration,
    /// Patterns of what is not kept.
    pub mask: Vec<String>,
    /// Variables whose values are not kept.
    pub mask_env: Vec<String>,
    /// How many sessions are kept, and for how long.
    pub retention: Retention,
    /// The engine that all runs in, if it is to have one of its own.
    pub dind: Option<Dind>,
    /// In the order in which they are started: each behind those that it comes after.
    pub services: Vec<ServiceSpec>,
    /// The tests, in their order.
    pub tests: Vec<StepSpec>,
    /// What is run when they are over, however they ended, while the services are still there.
    pub tear_down: Vec<StepSpec>,
}

/// Which sessions are kept; what is left out is as everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How many.
    pub keep: Option<u64>,
    /// For how long.
    pub older_than: Option<Duration>,
    /// How much disk they may take, in bytes.
    pub max_bytes: Option<u64>,
}

/// An engine within a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dind {
    /// The image of the container.
    pub image: String,
    /// Images of the engine around it that it is given.
    pub load: Vec<String>,
}

/// Something that runs while the tests do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Its name.
    pub name: String,
    /// What it is.
    pub start: Start,
    /// What must hold before the tests begin, and before services that come after it.
    pub waits: Vec<Wait>,
    /// The services that must be ready before it is started.
    pub after: BTreeSet<String>,
    /// When it is started again.
    pub restart: Restart,
    /// How long it has to end when all is over.
    pub stop_grace: Duration,
}

/// How a service is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// By compose, with all services of its files.
    Compose {
        /// The compose files.
        files: Vec<PathBuf>,
        /// The project; one of its own if left out.
        project: Option<String>,
    },
    /// As a container.
    Container {
        /// Its image.
        image: String,
        /// The command in it; the image's own if empty.
        command: Vec<String>,
        /// Its environment.
        env: BTreeMap<String, String>,
        /// Ports to publish, as `docker run --publish` takes them.
        ports: Vec<String>,
        /// Volumes, as `docker run --volume` takes them.
        volumes: Vec<String>,
    },
    /// As a program on this machine.
    Command(CommandSpec),
}

/// A program and what it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSpec {
    /// Its name and its arguments.
    pub words: Vec<String>,
    /// Where it runs; absolute, or from the directory of the file.
    pub cwd: Option<PathBuf>,
    /// What its environment gains.
    pub env: BTreeMap<String, String>,
}

/// A command that runs to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSpec {
    /// Its name.
    pub name: String,
    /// What is run.
    pub command: CommandSpec,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// How often it is run again if it fails.
    pub retries: u32,
    /// Patterns of the JUnit XML files that it writes; absolute, or from the directory of the file.
    pub junit: Vec<String>,
}

/// When a service that has ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// If it failed, at most so often; for ever if there is no number.
    OnFailure(Option<u32>),
    /// However it ended.
    Always,
}

impl FromStr for Restart {
    type Err = String;
    fn from_str(text: &str) -> Result<Restart, String> {
        match (text, text.strip_prefix("on-failure:")) {
            ("no", _) => Ok(Restart::No),
            ("always", _) => Ok(Restart::Always),
            ("on-failure", _) => Ok(Restart::OnFailure(None)),
            (_, Some(max)) if max.parse::<u32>().is_ok() => Ok(Restart::OnFailure(max.parse().ok())),
            _ => Err(format!("{text:?} is no restart policy; use no, on-failure, on-failure:COUNT or always")),
        }
    }
}

impl std::fmt::Display for Restart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Restart::No => f.write_str("no"),
            Restart::Always => f.write_str("always"),
            Restart::OnFailure(None) => f.write_str("on-failure"),
            Restart::OnFailure(Some(max)) => write!(f, "on-failure:{max}"),
        }
    }
}

/// Why a file is no test session. The next step is to mend it.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It cannot be read.
    #[error("cannot read {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It says something that cannot be.
    #[error("{}:{line}: {why}", .file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what is allowed.
        why: String,
    },
}

impl TestSpec {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SpecError`] names the line at fault.
    pub fn read(file: &Path) -> Result<TestSpec, SpecError> {
        let unreadable = |source| SpecError::Unreadable { file: file.to_owned(), source };
        if fs::metadata(file).map_err(unreadable)?.len() > SPEC_BYTES_MAX {
            return Err(unreadable(io::Error::other(format!("it has more than {SPEC_BYTES_MAX} bytes"))));
        }
        let text = fs::read_to_string(file).map_err(unreadable)?;
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        TestSpec::parse(&text, dir).map_err(|(line, why)| SpecError::Wrong { file: file.to_owned(), line, why })
    }

    /// Understands the text of a file of this directory; the line at fault, from 1, and what is wrong in it.
    ///
    /// # Errors
    /// As above.
    pub fn parse(text: &str, dir: &Path) -> Result<TestSpec, (usize, String)> {
        let wrong = |raw::Wrong { at, why }| (line_at(text, at), why);
        let raw = raw::read(text).map_err(wrong)?;
        raw::check(raw, dir).map_err(wrong)
    }
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TestSpec, (usize, String)> {
        TestSpec::parse(text, Path::new("/p"))
    }

    const SHOP: &str = r#"
name = "shop"
timeout = "10m"
wait_timeout = "30s"
labels = { team = "shop" }
mask = ["card=\\d+"]
mask_env = ["SHOP_KEY"]

[retention]
keep = 50
older_than = "30d"
max_bytes = "2GiB"

[dind]
image = "docker:dind"
load = ["shop:latest"]

[[service]]
name = "api"
command = "./api --port 8080"
env = { RUST_LOG = "debug" }
cwd = "api"
wait = ["port:8080", "log:listening"]
after = ["stack", "cache"]
restart = "on-failure:3"
stop_grace = "2s"

[[service]]
name = "stack"
compose = ["compose.yml", "compose.test.yml"]
wait = ["db=healthy", "http://web:80/health"]

[[service]]
name = "cache"
image = "redis:7"
command = ["redis-server", "--save", ""]
ports = ["127.0.0.1:6379:6379"]
wait = "port:6379"

[[test]]
name = "unit"
command = ["cargo", "test"]
timeout = "5m"
retries = 2
junit = "target/junit/*.xml"

[[tear_down]]
name = "dump"
command = "pg_dump shop > dump.sql"
"#;

    #[test]
    fn a_whole_file_is_read_and_services_stand_behind_those_that_they_come_after() {
        let shop = parse(&SHOP.replace("\"http://web:80/health\"", "\"web=http://web:80/health\"")).unwrap();
        let names: Vec<&str> = shop.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["stack", "cache", "api"]);
        assert_eq!(
            shop.services[0].start,
            Start::Compose { files: vec!["/p/compose.yml".into(), "/p/compose.test.yml".into()], project: None }
        );
        assert_eq!(
            shop.services[0].waits,
            ["db=healthy".parse().unwrap(), "web=http://web:80/health".parse().unwrap()]
        );
        assert_eq!(shop.services[1].waits, ["cache=port:6379".parse().unwrap()]);
        let api = &shop.services[2];
        let Start::Command(command) = &api.start else { panic!("{api:?}") };
        assert_eq!(command.words, ["sh", "-c", "./api --port 8080"]);
        assert_eq!(command.cwd, Some("/p/api".into()));
        assert_eq!((api.restart, api.stop_grace), (Restart::OnFailure(Some(3)), Duration::from_secs(2)));
        assert_eq!((shop.timeout, shop.wait_timeout), (Some(Duration::from_secs(600)), Duration::from_secs(30)));
        assert_eq!(shop.retention.max_bytes, Some(2 << 30));
        assert_eq!(shop.tests[0].junit, ["/p/target/junit/*.xml"]);
        assert_eq!((shop.tests[0].retries, shop.tests[0].timeout), (2, Some(Duration::from_secs(300))));
        assert_eq!(shop.tear_down[0].command.words, ["sh", "-c", "pg_dump shop > dump.sql"]);
        assert_eq!(shop.dind, Some(Dind { image: "docker:dind".into(), load: vec!["shop:latest".into()] }));
    }

    #[test]
    fn the_directory_of_the_file_is_no_pattern() {
        let text = "[[test]]\nname = \"t\"\ncommand = \"true\"\njunit = [\"*.xml\", \"/x/*.xml\"]\n";
        let spec = TestSpec::parse(text, Path::new("/p/a[1]*")).unwrap();
        let fits = |at: usize, path| glob::Pattern::new(&spec.tests[0].junit[at]).unwrap().matches(path);
        assert!(fits(0, "/p/a[1]*/t.xml") && !fits(0, "/p/a1/t.xml") && !fits(0, "/p/a[1]b/t.xml"));
        assert!(fits(1, "/x/t.xml"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let test = "[[test]]\nname = \"t\"\ncommand = \"true\"\n";
        for (text, line, why) in [
            ("", 1, "no [[test]]"),
            ("nam = \"x\"\n", 1, "unknown field `nam`"),
            ("[[test]]\nname = \"t\"\n", 1, "missing field `command`"),
            ("[[test]]\nname = \"t\"\ncommand = []\n", 1, "command is empty"),
            ("[[test]]\nname = \"t\"\ncommand = \"true\"\ntimeout = \"soon\"\n", 1, "timeout"),
            ("name = \"x\n", 1, "invalid"),
        ] {
            let (found, said) = parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
            assert!(found >= line, "{text}: {found}");
        }
        for (service, why) in [
            ("name = \"a\"\n", "one of compose, image and command"),
            ("name = \"a\"\ncompose = \"c.yml\"\ncommand = \"x\"\n", "command is not for a compose project"),
            ("name = \"a\"\ncompose = \"c.yml\"\nrestart = \"always\"\n", "restart"),
            ("name = \"a\"\ncommand = \"x\"\nwait = \"healthy\"\n", "health"),
            ("name = \"a\"\ncommand = \"x\"\nwait = \"well\"\n", "no condition"),
            ("name = \"a\"\ncommand = \"x\"\nafter = [\"b\"]\n", "no service b"),
            ("name = \"a\"\ncommand = \"x\"\nafter = [\"a\"]\n", "come after each other: a"),
            (
                "name = \"a\"\ncommand = \"x\"\n[[service]]\nname = \"a\"\ncommand = \"x\"\n",
                "two services are called a",
            ),
            ("name = \"\"\ncommand = \"x\"\n", "name"),
            ("name = \"dind\"\ncommand = \"x\"\n[dind]\nimage = \"x\"\n", "engine's own run"),
            (
                "name = \"a\"\ncommand = \"x\"\n[[tear_down]]\nname = \"t\"\ncommand = \"x\"\nretries = 1\n",
                "tests alone",
            ),
        ] {
            let (line, said) = parse(&format!("{test}[[service]]\n{service}")).unwrap_err();
            assert!(said.contains(why), "{service}: {said}");
            assert!(line >= 4, "{service}: {line}");
        }
    }

    #[test]
    fn a_volume_of_a_relative_path_starts_from_the_directory_of_the_file() {
        let text = "[[test]]\nname = \"t\"\ncommand = \"true\"\n[[service]]\nname = \"a\"\nimage = \"i\"\nvolumes = [\"./x:/data\", \"named:/n\"]\n";
        let Start::Container { volumes, .. } = &parse(text).unwrap().services[0].start else { panic!("a container") };
        assert_eq!(*volumes, ["/p/./x:/data", "named:/n"]);
    }

    #[test]
    fn restart_policies_read_as_they_are_written() {
        for text in ["no", "always", "on-failure", "on-failure:3"] {
            assert_eq!(text.parse::<Restart>().unwrap().to_string(), text);
        }
        assert!("on-failure:x".parse::<Restart>().is_err() && "never".parse::<Restart>().is_err());
    }
}
