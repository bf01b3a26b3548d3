//! What to wait for, as people write it: `SERVICE=healthy|port:N|log:TEXT|http:URL`.

use std::{fmt, str::FromStr};

/// When a service is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The health check of its container says so.
    Healthy,
    /// It takes connections on this TCP port.
    Port(u16),
    /// It has printed a line with this text in it.
    Log(String),
    /// A GET of this URL is answered with a status below 400.
    Http(HttpUrl),
}

/// A URL of http. Where its host is the name of the service the service's own address is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// The host: a name or an address, without the brackets of IPv6.
    pub host: String,
    /// The port; 80 where none is given.
    pub port: u16,
    /// The path and what follows it; `/` where there is none.
    pub path: String,
}

/// A service and when it is ready.
///
/// ```
/// # use logboom_capture::waiting::{Condition, ConditionError, Wait};
/// let wait: Wait = "db=port:5432".parse()?;
/// assert_eq!((wait.service.as_str(), wait.condition), ("db", Condition::Port(5432)));
/// # Ok::<_, ConditionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The name of the service.
    pub service: String,
    /// When it is ready.
    pub condition: Condition,
}

/// Why a text is nothing to wait for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// There is no such condition.
    #[error("{0:?} is no condition; use healthy, port:N, log:TEXT or http:URL")]
    Unknown(String),
    /// Not a TCP port.
    #[error("{0:?} is no port; use 1 to 65535")]
    Port(String),
    /// A text that every line has.
    #[error("log: needs a text to wait for")]
    NoText,
    /// Not a URL of http.
    #[error("{0:?} is no URL that can be waited for; use http://HOST[:PORT][/PATH]")]
    Url(String),
    /// No service before the condition.
    #[error("use SERVICE=healthy, SERVICE=port:N, SERVICE=log:TEXT or SERVICE=http:URL")]
    NoService,
}

impl FromStr for Condition {
    type Err = ConditionError;
    fn from_str(text: &str) -> Result<Condition, ConditionError> {
        match text.split_once(':') {
            None if text == "healthy" => Ok(Condition::Healthy),
            Some(("port", port)) => port_of(port).map(Condition::Port),
            Some(("log", "")) => Err(ConditionError::NoText),
            Some(("log", text)) => Ok(Condition::Log(text.to_owned())),
            // `http:http://web/`, and the same without saying it twice.
            Some(("http", url)) if url.starts_with("//") => text.parse().map(Condition::Http),
            Some(("http", url)) => url.parse().map(Condition::Http),
            _ => Err(ConditionError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Healthy => f.write_str("healthy"),
            Condition::Port(port) => write!(f, "port:{port}"),
            Condition::Log(text) => write!(f, "log:{text}"),
            Condition::Http(url) => write!(f, "{url}"),
        }
    }
}

impl FromStr for Wait {
    type Err = ConditionError;
    fn from_str(text: &str) -> Result<Wait, ConditionError> {
        let (service, condition) = text.split_once('=').ok_or(ConditionError::NoService)?;
        if service.is_empty() {
            return Err(ConditionError::NoService);
        }
        Ok(Wait { service: service.to_owned(), condition: condition.parse()? })
    }
}

impl FromStr for HttpUrl {
    type Err = ConditionError;
    fn from_str(text: &str) -> Result<HttpUrl, ConditionError> {
        let bad = || ConditionError::Url(text.to_owned());
        let rest = text.strip_prefix("http://").ok_or_else(bad)?;
        let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let slash = if path.starts_with('/') { "" } else { "/" };
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => v6.split_once(']').ok_or_else(bad)?,
            None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port_of(port)?,
            None if port.is_empty() => 80,
            None => return Err(bad()),
        };
        // What stands in a request must not end it.
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || host.contains('@') || !is_plain(host) || !is_plain(path) {
            return Err(bad());
        }
        Ok(HttpUrl { host: host.to_owned(), port, path: format!("{slash}{path}") })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "http://[{}]:{}{}", self.host, self.port, self.path),
            false => write!(f, "http://{}:{}{}", self.host, self.port, self.path),
        }
    }
}

fn port_of(text: &str) -> Result<u16, ConditionError> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| ConditionError::Port(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str, port: u16, path: &str) -> Condition {
        Condition::Http(HttpUrl { host: host.into(), port, path: path.into() })
    }

    #[test]
    fn conditions_are_read() {
        for (text, want) in [
            ("healthy", Condition::Healthy),
            ("port:5432", Condition::Port(5432)),
            ("log:ready: to = go", Condition::Log("ready: to = go".into())),
            ("http:http://web:8080/health?x=1", url("web", 8080, "/health?x=1")),
            ("http://web", url("web", 80, "/")),
            ("http:http://[::1]:81?q", url("::1", 81, "/?q")),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_what_would_be() {
        for text in [
            "",
            "well",
            "port:",
            "port:0",
            "port:65536",
            "log:",
            "http:",
            "http:ftp://x",
            "https://x",
            "http://",
            "http://a b/",
            "http://x:y/",
            "http://[::1/",
            "http://x/\r\nA:b",
            "http://u@x/",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
        for text in ["db", "=healthy", "db=", ""] {
            assert!(text.parse::<Wait>().is_err(), "{text}");
        }
    }
}
