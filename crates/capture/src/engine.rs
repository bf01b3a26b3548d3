//! A client of the Docker Engine API, as far as logboom uses it.
//!
//! [`Engine`] asks, one connection a request; [`Frames`] is what a container prints, [`Events`] what happens to
//! containers. The hard part is what an engine may do to its client: answer in pieces of any size, break off
//! anywhere, be older, newer or podman, or be something else altogether. So every answer has a bound, members may be
//! absent, and an [`EngineError`] tells by its variant what to do. Left out: TLS and ssh, registries, and images.
//!
//! Futures run on a tokio runtime with I/O and time enabled; nothing is spawned on it, and dropping a future or a
//! stream closes its connection.

mod call;
mod container;
mod context;
mod error;
mod events;
mod exec;
mod frames;
mod host;
mod http;
mod reader;
mod version;
mod volumes;

use std::{path::PathBuf, sync::Arc};

use logboom_record::Time;
use serde::Deserialize;

use self::{
    call::{Call, message, read},
    error::About,
    http::Answer,
};
pub use self::{
    container::{Container, Health, ListQuery, Listed, Published, State},
    error::EngineError,
    events::{Action, EVENT_BYTES_MAX, Event, Events},
    exec::{Exec, ExecConfig, ExecState},
    frames::{BadFrame, Demux, Framing, Part},
    host::{Host, HostError},
    reader::{BlockingFrames, Frame, Frames, Input, Stopper},
    version::{ApiVersion, NoVersion},
};

/// How much of the answer that tells the version is read.
const VERSION_BYTES_MAX: usize = 64 * 1024;

/// An engine that has answered.
#[derive(Clone, Debug)]
pub struct Engine {
    spoken: Arc<Spoken>,
}

#[derive(Debug)]
struct Spoken {
    host: Host,
    version: ApiVersion,
    is_podman: bool,
}

/// Which entries of a container's log to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogsQuery {
    /// Go on with what is printed from now on, until the container ends.
    pub follow: bool,
    /// Only entries of this time and later, in nanoseconds since 1970 UTC.
    pub since_ns: Option<i64>,
    /// Only entries before this time, or of it, in nanoseconds since 1970 UTC.
    pub until_ns: Option<i64>,
    /// Only so many of the last entries; pieces of a long line count one each.
    pub tail: Option<u32>,
}

/// What is of interest in what the engine says of itself.
#[derive(Deserialize)]
struct Info {
    #[serde(rename = "DockerRootDir")]
    docker_root_dir: Option<PathBuf>,
    #[serde(rename = "SystemTime")]
    system_time: Option<String>,
}

impl Engine {
    /// Asks the engine which API it has, and speaks the newest that both know.
    ///
    /// # Errors
    /// [`EngineError::NoEngine`], [`NoPermission`](EngineError::NoPermission), [`TooOld`](EngineError::TooOld),
    /// [`NotDocker`](EngineError::NotDocker), or [`Lost`](EngineError::Lost) if there is no answer.
    pub async fn connect(host: &Host) -> Result<Engine, EngineError> {
        let (newest, is_podman) = match newest_of(host).await {
            Err(EngineError::Unreadable { host, why, .. }) => return Err(EngineError::NotDocker { host, why }),
            newest => newest?,
        };
        let host = host.clone();
        match newest.in_common() {
            Some(version) => Ok(Engine { spoken: Arc::new(Spoken { host, version, is_podman }) }),
            None => Err(EngineError::TooOld { host, version: newest }),
        }
    }

    /// Where it listens.
    pub fn host(&self) -> &Host {
        &self.spoken.host
    }

    /// Which API is spoken with it.
    pub fn version(&self) -> ApiVersion {
        self.spoken.version
    }

    /// Whether it is podman, which makes a container that has ended ready to be started again when somebody attaches to it.
    pub fn is_podman(&self) -> bool {
        self.spoken.is_podman
    }

    /// Whether it is on this machine, so that [`Container::log_path`] may be a file of ours.
    pub fn is_local(&self) -> bool {
        self.host().is_local()
    }

    /// The containers there are.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, EngineError> {
        let call = self.call("list the containers".to_owned());
        let about = call.about.clone();
        let labels = serde_json::json!({ "label": query.labels }).to_string();
        let target = format!("/containers/json?all={}&filters={}", query.all, percent_encoded(&labels));
        let json = call.get(&target).json().await?;
        container::list_of(&json).map_err(|error| about.unreadable(error))
    }

    /// How a container is, in the engine's word, as its list has it: that waits for nothing, where [`Engine::inspect`] waits until a
    /// container that is being started runs. `None` if there is no such container.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn status(&self, id: &str) -> Result<Option<String>, EngineError> {
        let call = self.call(format!("list container {id}"));
        let about = call.about.clone();
        let filters = serde_json::json!({ "id": [id] }).to_string();
        let json = call.get(&format!("/containers/json?all=true&filters={}", percent_encoded(&filters))).json().await?;
        let listed = container::list_of(&json).map_err(|error| about.unreadable(error))?;
        Ok(listed.into_iter().next().map(|listed| listed.status))
    }

    /// What the engine knows of a container, by its name, its id, or the beginning of that.
    ///
    /// # Errors
    /// [`EngineError::NoSuchContainer`].
    pub async fn inspect(&self, container: &str) -> Result<Container, EngineError> {
        let call = self.call(format!("inspect container {container}")).of_container(container)?;
        let about = call.about.clone();
        let json = call.get(&format!("/containers/{container}/json")).json().await?;
        container::container_of(&json).map_err(|error| about.unreadable(error))
    }

    /// Where the engine keeps what it has, on its own machine; `None` if it does not say.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn root_dir(&self) -> Result<Option<PathBuf>, EngineError> {
        let info = self.info("ask where the engine keeps its files").await?;
        Ok(info.docker_root_dir.filter(|dir| dir.is_absolute()))
    }

    /// How far the engine's clock is ahead of ours, in nanoseconds, to about the time that an answer takes; 0 on this machine,
    /// and where the engine does not tell its time.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn clock_ahead_ns(&self) -> Result<i64, EngineError> {
        if self.is_local() {
            return Ok(0);
        }
        let before = Time::now().as_micros();
        let theirs = self.info("ask what time it is").await?.system_time;
        let ours_ns = before.midpoint(Time::now().as_micros()).saturating_mul(1_000);
        Ok(theirs.and_then(|theirs| container::nanos(&theirs)).map_or(0, |theirs| theirs.saturating_sub(ours_ns)))
    }

    async fn info(&self, action: &str) -> Result<Info, EngineError> {
        let call = self.call(action.to_owned());
        let about = call.about.clone();
        let json = call.get("/info").json().await?;
        serde_json::from_slice(&json).map_err(|error| about.unreadable(error))
    }

    /// What happens to containers: from `since_ns` on, as far as the engine remembers (its last 256 events), and further on
    /// until `until_ns`. Times are in nanoseconds since 1970 UTC; without the first only what happens from now on, without the second
    /// for ever.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn events(&self, since_ns: Option<i64>, until_ns: Option<i64>) -> Result<Events, EngineError> {
        let call = self.call("follow the events".to_owned());
        let about = call.about.clone();
        let mut target = format!("/events?filters={}", percent_encoded(r#"{"type":["container"]}"#));
        push_time(&mut target, "since", since_ns);
        push_time(&mut target, "until", until_ns);
        Ok(Events::of(call.get(&target).answer().await?, about))
    }

    /// What a container has printed, out of its log. Each frame is an entry: a time stamp in RFC 3339, a blank, the
    /// text. Of a container with a terminal ([`Framing::Raw`]) the entries follow each other unmarked.
    ///
    /// # Errors
    /// [`EngineError::NoSuchContainer`]; [`EngineError::LogsUnreadable`] if its log driver keeps nothing.
    pub async fn logs(&self, container: &str, framing: Framing, query: &LogsQuery) -> Result<Frames, EngineError> {
        let call = self.call(format!("read the logs of container {container}")).of_container(container)?;
        let about = call.about.clone();
        let answer = call.get(&logs_target(container, query)).answer().await?;
        Frames::of(answer, framing, about).await
    }

    /// What a container prints from now on, straight from it. Of one that is created and not yet started, that is
    /// every byte. The stream ends when the container does, and once it is attached a reader that is slow makes the
    /// container wait.
    ///
    /// # Errors
    /// [`EngineError::NoSuchContainer`]; [`EngineError::Conflict`] if it is paused or restarting.
    pub async fn attach(&self, container: &str, framing: Framing) -> Result<Frames, EngineError> {
        let call = self.call(format!("attach to container {container}")).of_container(container)?;
        let target = format!("/containers/{container}/attach?stream=true&stdout=true&stderr=true");
        call.post(&target, String::new()).hijack(framing).await
    }

    /// The error of a log in which something stands that no engine writes.
    pub(crate) fn unreadable_logs(&self, container: &str, why: impl ToString) -> EngineError {
        self.call(format!("read the logs of container {container}")).about.unreadable(why)
    }

    /// A request to come, which does what stands after "cannot" in its errors.
    fn call(&self, action: String) -> Call {
        let about = About { host: self.host().clone(), action, container: None };
        Call::new(about, format!("/v{}", self.version()))
    }
}

/// The newest API of whoever listens there, and whether that is podman.
async fn newest_of(host: &Host) -> Result<(ApiVersion, bool), EngineError> {
    let about = About { host: host.clone(), action: "find out the API version".to_owned(), container: None };
    let mut answer = Call::new(about.clone(), String::new()).get("/_ping").ask(&[]).await?;
    if !answer.head.status.is_success() {
        let message = message(&mut answer, &about).await?;
        return Err(about.unreadable(format!("it answers GET /_ping by {} {message:?}", answer.head.status.as_u16())));
    }
    let is_podman = answer.head.headers.contains_key("libpod-api-version");
    match api_version(&answer) {
        Some(version) => Ok((version, is_podman)),
        None => Ok((version_of(about).await?, is_podman)),
    }
}

fn api_version(ping: &Answer) -> Option<ApiVersion> {
    ping.head.headers.get("api-version")?.to_str().ok()?.parse().ok()
}

/// Asks an engine that does not say its version along with the ping.
async fn version_of(about: About) -> Result<ApiVersion, EngineError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Version {
        api_version: String,
    }
    let mut answer = Call::new(about.clone(), String::new()).get("/version").ask(&[]).await?;
    let body = read(&mut answer, VERSION_BYTES_MAX, &about).await?;
    let version = serde_json::from_slice::<Version>(&body).ok().and_then(|version| version.api_version.parse().ok());
    version.ok_or_else(|| about.unreadable("it says its API version neither by GET /_ping nor by GET /version"))
}

fn logs_target(container: &str, query: &LogsQuery) -> String {
    let LogsQuery { follow, since_ns, until_ns, tail } = *query;
    let mut target = format!("/containers/{container}/logs?stdout=true&stderr=true&timestamps=true&follow={follow}");
    push_time(&mut target, "since", since_ns);
    push_time(&mut target, "until", until_ns);
    if let Some(tail) = tail {
        target.push_str(&format!("&tail={tail}"));
    }
    target
}

/// Adds a time as engines of every age read it: seconds, and nanoseconds behind a point.
fn push_time(target: &mut String, name: &str, time_ns: Option<i64>) {
    if let Some(ns) = time_ns {
        let ns = ns.max(0);
        target.push_str(&format!("&{name}={}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000));
    }
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_nanosecond() {
        let query = LogsQuery { follow: true, since_ns: Some(1_000_000_007), until_ns: Some(-1), tail: Some(2) };
        let want = "/containers/c/logs?stdout=true&stderr=true&timestamps=true&follow=true\
                    &since=1.000000007&until=0.000000000&tail=2";
        assert_eq!(logs_target("c", &query), want);
    }

    #[test]
    fn what_stands_in_a_query_is_encoded() {
        assert_eq!(percent_encoded(r#"{"a=ä&"#), "%7B%22a%3D%C3%A4%26");
    }
}
