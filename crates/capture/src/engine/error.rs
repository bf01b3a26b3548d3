//! What can go wrong with an engine, by what to do then.

use std::{error::Error, io, time::Duration};

use super::{ApiVersion, Host};

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody listens there. An engine that is being restarted is back soon.
    #[error("no Docker engine at {host}: start it (`systemctl start docker`), or set DOCKER_HOST to where it listens")]
    NoEngine {
        /// Where.
        host: Host,
        /// What connecting to it said.
        source: io::Error,
    },
    /// The socket is not ours to use.
    #[error(
        "no permission to use the Docker engine at {host}: join the socket's group (`usermod -aG docker $USER`, then log in \
         again), or run as root"
    )]
    NoPermission {
        /// Where.
        host: Host,
    },
    /// The engine is from before 2019.
    #[error(
        "the Docker engine at {host} has API {version}; logboom needs {} (Docker 19.03) or newer: upgrade the engine",
        ApiVersion::OLDEST
    )]
    TooOld {
        /// Where.
        host: Host,
        /// The newest API that it has.
        version: ApiVersion,
    },
    /// Something else listens there.
    #[error("what listens at {host} is no Docker engine ({why}): set DOCKER_HOST to where one listens")]
    NotDocker {
        /// Where.
        host: Host,
        /// What it answered.
        why: String,
    },
    /// There is no container of that name or id, or no longer.
    #[error("no container {container} at {host}: `docker ps -a` lists those there are")]
    NoSuchContainer {
        /// Where.
        host: Host,
        /// The name or id, as it was given.
        container: String,
    },
    /// The container's log driver keeps nothing that can be read.
    #[error(
        "cannot {action}: {host} says {message:?}; its log driver keeps nothing to read (`none` does not): attach before the \
         container starts, or create it with `--log-driver json-file`"
    )]
    LogsUnreadable {
        /// Where.
        host: Host,
        /// What was to be done.
        action: String,
        /// The engine's words.
        message: String,
    },
    /// The container is not in a state for this: paused, or not running.
    #[error(
        "cannot {action} now: {host} says {message:?}; try again when the container's state (`docker ps -a`) allows it"
    )]
    Conflict {
        /// Where.
        host: Host,
        /// What was to be done.
        action: String,
        /// The engine's words.
        message: String,
    },
    /// Something else is under way with the container, and takes long.
    #[error(
        "cannot {action}: {host} has not answered in {seconds} s; is it stuck? `docker inspect` of the container tells"
    )]
    Stuck {
        /// Who was asked.
        host: Host,
        /// What was asked for.
        action: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The engine refused, or failed.
    #[error("cannot {action}: {host} says {message:?} ({status}); the engine's own log may say more")]
    Said {
        /// Where.
        host: Host,
        /// What was to be done.
        action: String,
        /// The HTTP status, 200 if it was said in the middle of a stream.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The connection broke, or no answer came: what was done so far is done, the rest may be asked for again.
    #[error("cannot {action}: the connection to the engine at {host} was lost; is it running?")]
    Lost {
        /// Where.
        host: Host,
        /// What was to be done.
        action: String,
        /// How it broke.
        source: io::Error,
    },
    /// The answer is against the API, or over a bound. Asking again brings the same.
    #[error("cannot {action}: {host} answered what logboom cannot read ({why}); is there a proxy in between?")]
    Unreadable {
        /// Where.
        host: Host,
        /// What was to be done.
        action: String,
        /// What is wrong with the answer.
        why: String,
    },
}

impl EngineError {
    /// Whether the way to the engine is what failed, so that connecting again, after a while, may help.
    pub fn is_lost(&self) -> bool {
        match self {
            EngineError::NoEngine { .. } | EngineError::Lost { .. } => true,
            EngineError::Said { status, .. } => (502..=504).contains(status), // a proxy that has no engine behind it
            _ => false,
        }
    }
}

/// What is asked of which engine: what its errors tell.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub host: Host,
    /// Goes on after "cannot".
    pub action: String,
    /// The container that 404 is about.
    pub container: Option<String>,
}

impl About {
    /// Connecting failed.
    pub fn unconnected(self, source: io::Error) -> EngineError {
        match source.kind() {
            io::ErrorKind::PermissionDenied => EngineError::NoPermission { host: self.host },
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                EngineError::NoEngine { host: self.host, source }
            }
            _ if !self.host.is_local() => EngineError::NoEngine { host: self.host, source }, // unknown, unreachable, silent
            _ => self.lost(source),
        }
    }

    pub fn lost(self, source: io::Error) -> EngineError {
        EngineError::Lost { host: self.host, action: self.action, source }
    }

    /// No answer came in time. Where it is about a container that says nothing of the engine.
    pub fn late(self, late: io::Error, after: Duration) -> EngineError {
        match self.container {
            Some(_) => EngineError::Stuck { host: self.host, action: self.action, seconds: after.as_secs() },
            None => self.lost(late),
        }
    }

    /// A stream ended where it cannot.
    pub fn ended_within(self, what: &str) -> EngineError {
        self.lost(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the stream ended within {what}")))
    }

    pub fn unreadable(self, why: impl ToString) -> EngineError {
        EngineError::Unreadable { host: self.host, action: self.action, why: why.to_string() }
    }

    /// HTTP itself failed: by what was sent, or by what was not.
    pub fn broken(self, error: hyper::Error) -> EngineError {
        match error.is_parse() || is_bad_body(&error) {
            true => self.unreadable(in_full(&error)),
            false => self.lost(io::Error::other(error)),
        }
    }

    /// The engine answered with a status that is an error.
    pub fn refused(self, status: u16, message: String) -> EngineError {
        let About { host, action, container } = self;
        match (status, container) {
            (404, Some(container)) => EngineError::NoSuchContainer { host, container },
            // Podman, of one that is being removed.
            (500, Some(container)) if message.ends_with("no such container") => {
                EngineError::NoSuchContainer { host, container }
            }
            // Docker, of the logs of such a one.
            (409, Some(container)) if message.ends_with("dead or marked for removal") => {
                EngineError::NoSuchContainer { host, container }
            }
            (409, _) => EngineError::Conflict { host, action, message },
            (501, Some(_)) => EngineError::LogsUnreadable { host, action, message },
            _ => EngineError::Said { host, action, status, message },
        }
    }

    /// The engine said in the middle of a stream what went wrong.
    pub fn said(self, message: String) -> EngineError {
        EngineError::Said { host: self.host, action: self.action, status: 200, message }
    }
}

/// Whether hyper read a body that is against HTTP, rather than none.
fn is_bad_body(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// An error and its causes, in a line.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_gone_is_known_by_the_engines_words_too() {
        let refused = |status, message: &str, container: Option<&str>| {
            let (action, container) = ("inspect container c".to_owned(), container.map(str::to_owned));
            About { host: Host::usual(), action, container }.refused(status, message.to_owned())
        };
        let said = "container c does not exist in database: no such container";
        assert!(matches!(refused(500, said, Some("c")), EngineError::NoSuchContainer { .. }));
        assert!(matches!(refused(500, said, None), EngineError::Said { status: 500, .. }));
        assert!(matches!(refused(500, "out of sorts", Some("c")), EngineError::Said { status: 500, .. }));
        let said = "can not get logs from container which is dead or marked for removal";
        assert!(matches!(refused(409, said, Some("c")), EngineError::NoSuchContainer { .. }));
        assert!(matches!(refused(409, "container c is paused", Some("c")), EngineError::Conflict { .. }));
    }
}
