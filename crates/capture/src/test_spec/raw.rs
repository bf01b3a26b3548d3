//! The file as it is written, and how that is checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    str::FromStr,
};

use logboom_files::units::{parse_bytes, parse_duration};
use serde::Deserialize;
use toml::Spanned;

use super::{
    CommandSpec, DIND, Dind, Restart, Retention, STOP_GRACE, ServiceSpec, Start, StepSpec, TestSpec, WAIT_MAX,
};
use crate::waiting::{Condition, Wait};

/// What is wrong, and where in the text.
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSpec {
    name: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    timeout: Option<Spanned<String>>,
    wait_timeout: Option<Spanned<String>>,
    #[serde(default)]
    mask: Vec<String>,
    #[serde(default)]
    mask_env: Vec<String>,
    #[serde(default)]
    retention: RawRetention,
    dind: Option<RawDind>,
    #[serde(default, rename = "service")]
    services: Vec<Spanned<RawService>>,
    #[serde(default, rename = "test")]
    tests: Vec<Spanned<RawStep>>,
    #[serde(default)]
    tear_down: Vec<Spanned<RawStep>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRetention {
    keep: Option<u64>,
    older_than: Option<Spanned<String>>,
    max_bytes: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDind {
    image: String,
    #[serde(default)]
    load: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawService {
    name: String,
    compose: Option<Texts>,
    project: Option<String>,
    image: Option<String>,
    command: Option<Texts>,
    cwd: Option<PathBuf>,
    env: Option<BTreeMap<String, String>>,
    ports: Option<Vec<String>>,
    volumes: Option<Vec<String>>,
    wait: Option<Spanned<Texts>>,
    #[serde(default)]
    after: BTreeSet<String>,
    restart: Option<Spanned<String>>,
    stop_grace: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    name: String,
    command: Texts,
    cwd: Option<PathBuf>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    timeout: Option<Spanned<String>>,
    #[serde(default)]
    retries: u32,
    junit: Option<Texts>,
}

/// One text or several.
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "use a string, or a list of strings")]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn many(self) -> Vec<String> {
        match self {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        }
    }

    /// A text is for the shell, a list is a program and its arguments.
    fn command(self, at: usize) -> Result<Vec<String>, Wrong> {
        match self {
            Texts::One(script) if !script.trim().is_empty() => Ok(vec!["sh".to_owned(), "-c".to_owned(), script]),
            Texts::Many(words) if words.first().is_some_and(|program| !program.is_empty()) => Ok(words),
            _ => wrong(at, "command is empty"),
        }
    }
}

fn wrong<T>(at: usize, why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { at, why: why.into() })
}

pub(super) fn read(text: &str) -> Result<RawSpec, Wrong> {
    toml::from_str(text).map_err(|error: toml::de::Error| Wrong {
        at: error.span().map_or(0, |span| span.start),
        why: error.message().replace('\n', "; "),
    })
}

pub(super) fn check(raw: RawSpec, dir: &Path) -> Result<TestSpec, Wrong> {
    let retention = Retention {
        keep: raw.retention.keep,
        older_than: value("older_than", raw.retention.older_than, parse_duration)?,
        max_bytes: value("max_bytes", raw.retention.max_bytes, parse_bytes)?,
    };
    if raw.tests.is_empty() {
        return wrong(0, "no [[test]]: nothing to run");
    }
    let services =
        raw.services.into_iter().map(|service| check_service(service, dir)).collect::<Result<Vec<_>, _>>()?;
    if let Some((at, _)) = services.iter().find(|(_, service)| raw.dind.is_some() && service.name == DIND) {
        return wrong(*at, format!("{DIND} is the name of the engine's own run"));
    }
    Ok(TestSpec {
        dir: dir.to_owned(),
        name: raw.name,
        labels: raw.labels,
        timeout: value("timeout", raw.timeout, parse_duration)?,
        wait_timeout: value("wait_timeout", raw.wait_timeout, parse_duration)?.unwrap_or(WAIT_MAX),
        mask: raw.mask,
        mask_env: raw.mask_env,
        retention,
        dind: raw.dind.map(|RawDind { image, load }| Dind { image, load }),
        services: in_order(services)?,
        tests: steps(raw.tests, dir)?,
        tear_down: tear_down(raw.tear_down, dir)?,
    })
}

/// The value of a key that is a text in its unit.
fn value<T, E: ToString>(
    key: &str,
    text: Option<Spanned<String>>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, Wrong> {
    let Some(text) = text else { return Ok(None) };
    match parse(text.get_ref()) {
        Ok(value) => Ok(Some(value)),
        Err(error) => wrong(text.span().start, format!("{key}: {}", error.to_string())),
    }
}

fn steps(raw: Vec<Spanned<RawStep>>, dir: &Path) -> Result<Vec<StepSpec>, Wrong> {
    let mut steps: Vec<StepSpec> = Vec::new();
    for step in raw {
        let at = step.span().start;
        let RawStep { name, command, cwd, env, timeout, retries, junit } = step.into_inner();
        check_name(&name, at)?;
        if steps.iter().any(|other| other.name == name) {
            return wrong(at, format!("two are called {name}"));
        }
        let command = CommandSpec { words: command.command(at)?, cwd: Some(dir.join(cwd.unwrap_or_default())), env };
        let timeout = value("timeout", timeout, parse_duration)?;
        // Only what is written in the file is a pattern.
        let dir = PathBuf::from(glob::Pattern::escape(&dir.to_string_lossy()));
        let from_dir = |pattern: String| dir.join(pattern).to_string_lossy().into_owned();
        let junit = junit.map(Texts::many).unwrap_or_default().into_iter().map(from_dir).collect();
        steps.push(StepSpec { name, command, timeout, retries, junit });
    }
    Ok(steps)
}

fn tear_down(raw: Vec<Spanned<RawStep>>, dir: &Path) -> Result<Vec<StepSpec>, Wrong> {
    match raw.iter().find(|step| step.get_ref().retries > 0) {
        Some(step) => wrong(step.span().start, "retries is for tests alone"),
        None => steps(raw, dir),
    }
}

fn check_name(name: &str, at: usize) -> Result<(), Wrong> {
    match name.trim().is_empty() || name.chars().any(char::is_control) {
        true => wrong(at, "name must have characters that can be seen"),
        false => Ok(()),
    }
}

fn check_service(raw: Spanned<RawService>, dir: &Path) -> Result<(usize, ServiceSpec), Wrong> {
    let at = raw.span().start;
    let raw = raw.into_inner();
    check_name(&raw.name, at)?;
    let restart = value("restart", raw.restart.clone(), Restart::from_str)?;
    let stop_grace = value("stop_grace", raw.stop_grace.clone(), parse_duration)?;
    let waits = waits(&raw)?;
    let (name, after) = (raw.name.clone(), raw.after.clone());
    let start = start(raw, at, dir)?;
    let service = ServiceSpec {
        name,
        start,
        waits,
        after,
        restart: restart.unwrap_or_default(),
        stop_grace: stop_grace.unwrap_or(STOP_GRACE),
    };
    Ok((at, service))
}

/// What a service is, and that it has no keys of another kind.
fn start(raw: RawService, at: usize, dir: &Path) -> Result<Start, Wrong> {
    let kinds =
        [("compose", raw.compose.is_some()), ("image", raw.image.is_some()), ("command", raw.command.is_some())];
    let refuse = |what: &str, keys: &[(&str, bool)]| match keys.iter().find(|(_, is_set)| *is_set) {
        Some((key, _)) => wrong(at, format!("{key} is not for {what}")),
        None => Ok(()),
    };
    let run = [("cwd", raw.cwd.is_some()), ("env", raw.env.is_some())];
    let of_container = [("ports", raw.ports.is_some()), ("volumes", raw.volumes.is_some())];
    let project = [("project", raw.project.is_some())];
    match (raw.compose, raw.image, raw.command) {
        (Some(files), _, _) => {
            let restart = [("restart", raw.restart.is_some()), ("stop_grace", raw.stop_grace.is_some())];
            refuse("a compose project", &[&kinds[1..], &run, &of_container, &restart].concat())?;
            let files = files.many().into_iter().map(|file| dir.join(file)).collect();
            Ok(Start::Compose { files, project: raw.project })
        }
        (None, Some(image), command) => {
            refuse("a container", &[&run[..1], &project].concat())?;
            let command = command.map(|command| command.command(at)).transpose()?.unwrap_or_default();
            let [ports, volumes] = [raw.ports, raw.volumes].map(Option::unwrap_or_default);
            let volumes = volumes.into_iter().map(|volume| from_dir(volume, dir)).collect();
            Ok(Start::Container { image, command, env: raw.env.unwrap_or_default(), ports, volumes })
        }
        (None, None, Some(command)) => {
            refuse("a command", &[&of_container[..], &project].concat())?;
            let cwd = Some(dir.join(raw.cwd.unwrap_or_default()));
            Ok(Start::Command(CommandSpec { words: command.command(at)?, cwd, env: raw.env.unwrap_or_default() }))
        }
        (None, None, None) => wrong(at, "a service is one of compose, image and command"),
    }
}

/// A volume whose source is a relative path.
fn from_dir(volume: String, dir: &Path) -> String {
    match std::path::absolute(dir) {
        Ok(dir) if volume.starts_with("./") || volume.starts_with("../") => {
            dir.join(volume).to_string_lossy().into_owned()
        }
        _ => volume,
    }
}

/// A compose project says for which of its services a condition is; others are one service.
fn waits(raw: &RawService) -> Result<Vec<Wait>, Wrong> {
    let Some(texts) = &raw.wait else { return Ok(Vec::new()) };
    let at = texts.span().start;
    let read = |text: String| -> Result<Wait, Wrong> {
        let wait = match raw.compose {
            Some(_) => text.parse::<Wait>(),
            None => text.parse().map(|condition| Wait { service: raw.name.clone(), condition }),
        };
        let wait = wait.or_else(|error| wrong(at, format!("wait: {error}")))?;
        if wait.condition == Condition::Healthy && raw.compose.is_none() && raw.image.is_none() {
            return wrong(at, "wait: a command has no health check; use port:N, log:TEXT or http:URL");
        }
        Ok(wait)
    };
    texts.get_ref().clone().many().into_iter().map(read).collect()
}

/// Each service behind those that it comes after, else as they stand in the file.
fn in_order(services: Vec<(usize, ServiceSpec)>) -> Result<Vec<ServiceSpec>, Wrong> {
    let mut names = BTreeSet::new();
    for (at, service) in &services {
        if !names.insert(service.name.clone()) {
            return wrong(*at, format!("two services are called {}", service.name));
        }
    }
    let (mut left, mut ordered): (Vec<_>, Vec<ServiceSpec>) = (services, Vec::new());
    for (at, service) in &left {
        if let Some(unknown) = service.after.iter().find(|name| !names.contains(*name)) {
            return wrong(*at, format!("after: there is no service {unknown}"));
        }
    }
    while !left.is_empty() {
        let is_started = |name: &String| ordered.iter().any(|service| service.name == *name);
        let Some(next) = left.iter().position(|(_, service)| service.after.iter().all(is_started)) else {
            let names: Vec<&str> = left.iter().map(|(_, service)| service.name.as_str()).collect();
            return wrong(left[0].0, format!("these come after each other: {}", names.join(", ")));
        };
        ordered.push(left.remove(next).1);
    }
    Ok(ordered)
}
