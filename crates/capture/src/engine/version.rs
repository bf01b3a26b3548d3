//! Which API logboom and an engine have in common.

use std::{fmt, str::FromStr};

/// A version of the Engine API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// 1, ever since.
    pub major: u32,
    /// What counts.
    pub minor: u32,
}

impl ApiVersion {
    /// That of Docker 19.03: the oldest that logboom speaks.
    pub const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 40 };
    /// That of Docker 25: the newest that logboom speaks, and the oldest that Docker 29 does.
    pub const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 44 };

    /// The version to speak with an engine whose newest is this one; `None` if there is none.
    pub fn in_common(self) -> Option<ApiVersion> {
        (self >= ApiVersion::OLDEST).then_some(self.min(ApiVersion::NEWEST))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = NoVersion;
    fn from_str(text: &str) -> Result<ApiVersion, NoVersion> {
        let (major, minor) = text.trim().split_once('.').ok_or(NoVersion)?;
        let number = |text: &str| text.parse().map_err(|_| NoVersion);
        Ok(ApiVersion { major: number(major)?, minor: number(minor)? })
    }
}

/// The text is not of the form `1.44`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a version of the Engine API")]
pub struct NoVersion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_both_have_is_spoken() {
        for (engine, want) in [
            ("1.12", None),
            ("1.39", None),
            ("1.40", Some("1.40")),
            ("1.41", Some("1.41")),
            ("1.52", Some("1.44")),
            ("2.0", Some("1.44")),
        ] {
            let spoken = engine.parse::<ApiVersion>().unwrap().in_common();
            assert_eq!(spoken.map(|version| version.to_string()).as_deref(), want, "{engine}");
        }
    }

    #[test]
    fn what_is_no_version_is_told() {
        for text in ["", "1", "1.", ".44", "1.44.1", "v1.44", "1.-4"] {
            assert_eq!(text.parse::<ApiVersion>(), Err(NoVersion), "{text}");
        }
    }
}
