//! Where an engine listens, as `DOCKER_HOST` and `--host` say it.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
    str::FromStr,
};

const USUAL_SOCKET: &str = "/var/run/docker.sock";
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
    /// What `DOCKER_HOST` says; `unix:///var/run/docker.sock` if that is unset or empty.
    ///
    /// # Errors
    /// [`HostError`] if `DOCKER_HOST` is no host that logboom can use, or `DOCKER_TLS_VERIFY` asks for TLS on a TCP
    /// port.
    pub fn from_environment() -> Result<Host, HostError> {
        Host::from_variables(std::env::var_os("DOCKER_HOST"), std::env::var_os("DOCKER_TLS_VERIFY"))
    }

    fn from_variables(host: Option<OsString>, tls: Option<OsString>) -> Result<Host, HostError> {
        let is_set = |value: &Option<OsString>| value.as_deref().is_some_and(|value| value != OsStr::new(""));
        if !is_set(&host) {
            return Ok(Host::Unix(PathBuf::from(USUAL_SOCKET)));
        }
        let host: Host = host.unwrap_or_default().to_string_lossy().parse()?;
        match host {
            Host::Tcp { .. } if is_set(&tls) => Err(HostError::Tls { host }),
            host => Ok(host),
        }
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
        let from = |host: &str, tls: &str| Host::from_variables(Some(host.into()), Some(tls.into()));
        let usual = Ok(Host::Unix(PathBuf::from(USUAL_SOCKET)));
        assert_eq!(Host::from_variables(None, None), usual);
        assert_eq!(Host::from_variables(None, Some("1".into())), usual);
        assert_eq!(from("", ""), usual);
        assert_eq!(from("tcp://host:1", ""), Ok(tcp("host", 1)));
        assert_eq!(from("tcp://host:1", "1"), Err(HostError::Tls { host: tcp("host", 1) }));
        assert_eq!(from("unix:///a", "1"), Ok(Host::Unix(PathBuf::from("/a"))));
    }
}
