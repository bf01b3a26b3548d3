//! Where an engine listens, as `--host`, `DOCKER_HOST` and the contexts of docker's client say it.

use std::{ffi::OsString, fmt, path::PathBuf, str::FromStr};

use super::context::{self, variable};

pub(super) const USUAL_SOCKET: &str = "/var/run/docker.sock";
/// The port of an engine that listens without TLS.
const USUAL_PORT: u16 = 2375;
/// The longest path that fits the address of a unix socket.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where an engine listens.
///
/// ```
/// # use logboom_capture::engine::{Host, HostError};
/// let host: Host = "tcp://127.0.0.1:2375".parse()?;
/// assert!(!host.is_local());
/// assert_eq!(host.to_string(), "tcp://127.0.0.1:2375");
/// # Ok::<_, HostError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A unix socket of this machine.
    Unix(PathBuf),
    /// A TCP port, spoken to without TLS.
    Tcp {
        /// A name or an address, without the brackets of IPv6.
        name: String,
        /// The port.
        port: u16,
    },
}

/// Why a text is not a host that logboom can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// A way to an engine that logboom does not know: `ssh`, `npipe`, `https`, `fd`.
    #[error(
        "cannot use the engine at {host}: logboom speaks unix:// and tcp:// only; bring its socket here with \
         `ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST` and use unix:///tmp/docker.sock"
    )]
    Scheme {
        /// The host as it was given.
        host: String,
    },
    /// `DOCKER_TLS_VERIFY` asks for TLS.
    #[error(
        "cannot use the engine at {host}: DOCKER_TLS_VERIFY is set, and logboom speaks no TLS; bring its socket here with \
         `ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST` and use unix:///tmp/docker.sock without DOCKER_TLS_VERIFY"
    )]
    Tls {
        /// The host as it was given.
        host: Host,
    },
    /// A context has certificates.
    #[error(
        "cannot use docker context {name:?} ({host}): it is spoken to with TLS, and logboom speaks none; bring its socket here \
         with `ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST` and use --host unix:///tmp/docker.sock"
    )]
    ContextTls {
        /// The context.
        name: String,
        /// Its host.
        host: Host,
    },
    /// A context's host is none that logboom can use.
    #[error("docker context {name:?} ({}): {source}", .path.display())]
    InContext {
        /// The context.
        name: String,
        /// Where it stands.
        path: PathBuf,
        /// What is wrong with its host.
        source: Box<HostError>,
    },
    /// A context is named that is not there.
    #[error(
        "there is no docker context {name:?}, which {named_by} names, in {}: `docker context ls` lists those there are, and \
         --host or DOCKER_HOST go before it", .dir.display()
    )]
    NoContext {
        /// The context.
        name: String,
        /// What names it.
        named_by: String,
        /// Where the contexts are.
        dir: PathBuf,
    },
    /// A file of docker's client cannot be read.
    #[error("cannot read {}: {why}; mend it, or say which engine by --host or DOCKER_HOST", .path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The rest is not what its scheme takes.
    #[error("{host:?} is not an engine's host: {why}; write unix:///path/of/socket or tcp://host:port")]
    Malformed {
        /// The host as it was given.
        host: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Host {
    /// The one that docker's client would use: as `DOCKER_HOST` says, else of the context that `DOCKER_CONTEXT` names, else of the
    /// client's current context, else `unix:///var/run/docker.sock`.
    ///
    /// # Errors
    /// [`HostError`] if it is no host that logboom can use, or `DOCKER_TLS_VERIFY` asks for TLS on the TCP port that `DOCKER_HOST`
    /// names.
    pub fn from_environment() -> Result<Host, HostError> {
        Host::of_client(&|name| std::env::var_os(name))
    }

    /// The same, for an environment.
    ///
    /// # Errors
    /// Those of [`Host::from_environment`].
    pub fn of_client(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Host, HostError> {
        match variable(env, "DOCKER_HOST") {
            Some(host) => Host::given(&host.to_string_lossy(), env),
            None => Ok(context::current(env)?.unwrap_or_else(Host::usual)),
        }
    }

    /// The one that an option or a variable says.
    ///
    /// # Errors
    /// Those of [`Host::from_environment`].
    pub fn given(host: &str, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Host, HostError> {
        match host.parse()? {
            host @ Host::Tcp { .. } if variable(env, "DOCKER_TLS_VERIFY").is_some() => Err(HostError::Tls { host }),
            host => Ok(host),
        }
    }

    /// That of a context of docker's client, which the option `named_by` names.
    ///
    /// # Errors
    /// [`HostError`].
    pub fn of_context(name: &str, named_by: &str, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Host, HostError> {
        Ok(context::named(name, named_by, env)?.unwrap_or_else(Host::usual))
    }

    /// `unix:///var/run/docker.sock`.
    pub fn usual() -> Host {
        Host::Unix(PathBuf::from(USUAL_SOCKET))
    }

    /// Whether it is a socket of this machine, so that paths that the engine names may be paths of ours.
    pub fn is_local(&self) -> bool {
        matches!(self, Host::Unix(_))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Unix(path) => write!(f, "unix://{}", path.display()),
            Host::Tcp { name, port } if name.contains(':') => write!(f, "tcp://[{name}]:{port}"),
            Host::Tcp { name, port } => write!(f, "tcp://{name}:{port}"),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;
    fn from_str(text: &str) -> Result<Host, HostError> {
        let malformed = |why| HostError::Malformed { host: text.to_owned(), why };
        match text.split_once("://") {
            Some(("unix", path)) => socket(path).map_err(malformed),
            Some(("tcp", address)) => port(address.strip_suffix('/').unwrap_or(address)).map_err(malformed),
            Some(_) => Err(HostError::Scheme { host: text.to_owned() }),
            None => Err(malformed("it has no scheme")),
        }
    }
}

fn socket(path: &str) -> Result<Host, &'static str> {
    match path {
        "" => Err("the path is missing"),
        path if !path.starts_with('/') => Err("the path does not start with /"),
        path if path.len() > SOCKET_PATH_BYTES_MAX => {
            Err("the path is longer than the 107 bytes of a socket's address")
        }
        path if path.contains('\0') => Err("the path has a NUL"),
        path => Ok(Host::Unix(PathBuf::from(path))),
    }
}

fn port(address: &str) -> Result<Host, &'static str> {
    let (name, port) = match address.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("the bracket is not closed")?,
        None => address.split_at(address.find(':').unwrap_or(address.len())),
    };
    if name.is_empty() {
        return Err("the name is missing");
    }
    if name.bytes().any(|byte| !byte.is_ascii_graphic() || b"/?#@\\".contains(&byte)) {
        return Err("the name has a character that names do not have");
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => USUAL_PORT,
        Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or("the port is not a number from 1 to 65535")?,
        None => return Err("something other than a port follows the name"),
    };
    Ok(Host::Tcp { name: name.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(name: &str, port: u16) -> Host {
        Host::Tcp { name: name.to_owned(), port }
    }

    #[test]
    fn sockets_and_ports_are_read_and_written_alike() {
        for (text, want) in [
            ("unix:///run/user/1000/docker.sock", Host::Unix(PathBuf::from("/run/user/1000/docker.sock"))),
            ("tcp://localhost:2376", tcp("localhost", 2376)),
            ("tcp://[::1]:2375", tcp("::1", 2375)),
        ] {
            assert_eq!(text.parse(), Ok(want.clone()));
            assert_eq!(want.to_string(), text);
        }
        assert_eq!("tcp://engine/".parse(), Ok(tcp("engine", 2375)));
        assert_eq!("tcp://[::1]".parse(), Ok(tcp("::1", 2375)));
    }

    #[test]
    fn what_cannot_be_used_says_what_can() {
        for text in ["ssh://me@host", "npipe:////./pipe/docker_engine", "https://host:2376", "fd://"] {
            let error = text.parse::<Host>().unwrap_err();
            assert_eq!(error, HostError::Scheme { host: text.to_owned() });
            assert!(error.to_string().contains("ssh -NL"), "{error}");
        }
        let long = format!("unix:///{}", "a".repeat(107));
        let malformed = ["", "/var/run/docker.sock", "unix://", "unix://docker.sock", &long, "unix:///a\0b"];
        let ports =
            ["tcp://", "tcp://:2375", "tcp://host:", "tcp://host:0", "tcp://host:65536", "tcp://[::1", "tcp://[::1]x"];
        let names = ["tcp://host/path", "tcp://user@host", "tcp://a b", "tcp://[]:1"];
        for text in malformed.into_iter().chain(ports).chain(names) {
            let error = text.parse::<Host>().unwrap_err();
            assert!(matches!(error, HostError::Malformed { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn the_environment_says_where() {
        let from = |host: &str, tls: &str| {
            Host::of_client(&|name| match name {
                "DOCKER_HOST" => Some(host.into()),
                "DOCKER_TLS_VERIFY" => Some(tls.into()),
                _ => None,
            })
        };
        let usual = Ok(Host::usual());
        assert_eq!(Host::of_client(&|_| None), usual);
        assert_eq!(from("", "1"), usual);
        assert_eq!(from("", ""), usual);
        assert_eq!(from("tcp://host:1", ""), Ok(tcp("host", 1)));
        assert_eq!(from("tcp://host:1", "1"), Err(HostError::Tls { host: tcp("host", 1) }));
        assert_eq!(from("unix:///a", "1"), Ok(Host::Unix(PathBuf::from("/a"))));
    }
}
