//! A request to an engine, and what its answer is taken for.

use std::{io, time::Duration};

use hyper::{Method, Request, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{
    EngineError, Frames, Framing,
    error::About,
    http::{Answer, Socket},
};

/// The longest answer that is read whole: a list of some ten thousand containers.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much of an answer that is an error is looked at.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// How much of an error that is not JSON is told.
const PLAIN_ERROR_CHARS_MAX: usize = 200;
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How long an engine may take to answer; one that is busy removing or pulling much takes seconds.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// The same where it is about one container, of which something else may be under way.
const CONTAINER_ANSWER_WAIT: Duration = Duration::from_secs(20);

/// A request that is about to be made.
pub(super) struct Call {
    pub about: About,
    /// What stands before the path: the version of the API.
    prefix: String,
    method: Method,
    target: String,
    body: String,
}

impl Call {
    pub fn new(about: About, prefix: String) -> Call {
        Call { about, prefix, method: Method::GET, target: String::new(), body: String::new() }
    }

    /// It is about this container, which 404 then says is not there; so does a name that no container can have.
    pub fn of_container(mut self, container: &str) -> Result<Call, EngineError> {
        self.about.container = Some(container.to_owned());
        match is_name(container) {
            true => Ok(self),
            false => Err(self.about.refused(404, String::new())),
        }
    }

    pub fn get(mut self, target: &str) -> Call {
        self.target = format!("{}{target}", self.prefix);
        self
    }

    pub fn post(mut self, target: &str, json: String) -> Call {
        self.method = Method::POST;
        self.body = json;
        self.get(target)
    }

    pub fn delete(mut self, target: &str) -> Call {
        self.method = Method::DELETE;
        self.get(target)
    }

    /// Makes the request, and reads the whole answer.
    pub async fn json(self) -> Result<Vec<u8>, EngineError> {
        let about = self.about.clone();
        let mut answer = self.answer().await?;
        read(&mut answer, ANSWER_BYTES_MAX, &about).await
    }

    /// Makes the request on a connection that from then on carries what a container prints.
    pub async fn hijack(self, framing: Framing) -> Result<Frames, EngineError> {
        let about = self.about.clone();
        let answer = self.request(&[(header::CONNECTION, "Upgrade"), (header::UPGRADE, "tcp")]).await?;
        Frames::of(answer, framing, about).await
    }

    /// Makes the request; the answer is a success, its body still to be read.
    pub async fn answer(self) -> Result<Answer, EngineError> {
        self.request(&[]).await
    }

    async fn request(self, headers: &[(header::HeaderName, &str)]) -> Result<Answer, EngineError> {
        let about = self.about.clone();
        let mut answer = self.ask(headers).await?;
        match answer.head.status {
            StatusCode::SWITCHING_PROTOCOLS => Ok(answer),
            status if status.is_success() => Ok(answer),
            status => {
                let message = message(&mut answer, &about).await?;
                Err(about.refused(status.as_u16(), message))
            }
        }
    }

    /// Makes the request; the answer may be an error.
    pub async fn ask(self, headers: &[(header::HeaderName, &str)]) -> Result<Answer, EngineError> {
        let about = self.about;
        let mut request = Request::builder().method(self.method).uri(self.target).header(header::HOST, "docker");
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(self.body).map_err(|error| about.clone().unreadable(error))?;
        let socket = in_time(CONNECT_WAIT, Socket::connect(&about.host)).await;
        let socket = socket.and_then(|connected| connected).map_err(|error| about.clone().unconnected(error))?;
        let wait = if about.container.is_some() { CONTAINER_ANSWER_WAIT } else { ANSWER_WAIT };
        let answer = in_time(wait, Answer::to(request, socket)).await;
        answer.map_err(|late| about.clone().late(late, wait))?.map_err(|error| about.broken(error))
    }
}

/// Reads an answer from JSON.
pub(super) fn json_of<T: DeserializeOwned>(json: &[u8], about: About) -> Result<T, EngineError> {
    serde_json::from_slice(json).map_err(|error| about.unreadable(error))
}

/// Reads the whole body.
pub(super) async fn read(answer: &mut Answer, bytes_max: usize, about: &About) -> Result<Vec<u8>, EngineError> {
    let bytes = in_time(ANSWER_WAIT, answer.read(bytes_max)).await.map_err(|late| about.clone().lost(late))?;
    let bytes = bytes.map_err(|error| about.clone().broken(error))?;
    match bytes.len() <= bytes_max {
        true => Ok(bytes),
        false => Err(about.clone().unreadable(format!("an answer of more than {bytes_max} bytes"))),
    }
}

/// What an answer that is an error says: the engine's message, or the first line of what something else says.
pub(super) async fn message(answer: &mut Answer, about: &About) -> Result<String, EngineError> {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let body = read(answer, ERROR_BYTES_MAX, about).await?;
    if let Ok(Message { message }) = serde_json::from_slice(&body) {
        return Ok(message);
    }
    let text = String::from_utf8_lossy(&body);
    let line = text.trim().lines().next().unwrap_or_else(|| answer.head.status.canonical_reason().unwrap_or_default());
    Ok(line.chars().take(PLAIN_ERROR_CHARS_MAX).collect())
}

async fn in_time<T>(wait: Duration, done: impl Future<Output = T>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", wait.as_secs()));
    timeout(wait, done).await.map_err(late)
}

/// Whether a container may be called this, so that it stands in a path as it is.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_those_that_an_engine_takes() {
        for name in ["web", "p_db.1", "a-b", "0123abcd"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "-a", "a/b", "../json", "a?b", "a b", "a%2f", "ä"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
