//! `logboom.toml`: read strictly, every value with its line.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{ConfigError, Origin, Setting};

/// Every key that the file may have.
pub(super) const KEYS: [&str; 7] = ["dir", "older_than", "keep", "max_bytes", "tty", "drain", "grace"];

const NAME: &str = "logboom.toml";

/// The keys and values of the nearest file; empty where there is none.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    path: PathBuf,
    values: Vec<Value>,
}

#[derive(Debug)]
struct Value {
    key: &'static str,
    line: usize,
    raw: Raw,
}

#[derive(Debug)]
enum Raw {
    Text(String),
    WholeNumber(u64),
    Other,
}

impl ConfigFile {
    /// Reads the first `logboom.toml` from `cwd` upwards.
    pub(super) fn nearest(cwd: &Path) -> Result<ConfigFile, ConfigError> {
        for dir in cwd.ancestors() {
            let path = dir.join(NAME);
            match fs::read_to_string(&path) {
                Ok(text) => return ConfigFile::parse(path, &text),
                Err(error) if is_absent(&error) => {}
                Err(source) => return Err(ConfigError::Unreadable { file: path, source }),
            }
        }
        Ok(ConfigFile::default())
    }

    fn parse(path: PathBuf, text: &str) -> Result<ConfigFile, ConfigError> {
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = line_at(text, error.span().map_or(0, |span| span.start));
                return Err(ConfigError::Syntax { file: path, line, why: error.message().to_owned() });
            }
        };
        let mut values = Vec::new();
        for (name, value) in table {
            let line = line_at(text, name.span().start);
            let Some(key) = KEYS.into_iter().find(|key| *key == name.get_ref()) else {
                return Err(ConfigError::UnknownKey { file: path, line, key: name.into_inner().into_owned() });
            };
            values.push(Value { key, line, raw: raw(value.into_inner()) });
        }
        Ok(ConfigFile { path, values })
    }

    /// The value of a key that is a string, understood by `parse`.
    pub(super) fn text<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<Setting<T>>, ConfigError> {
        self.read(key, |raw| match raw {
            Raw::Text(text) => parse(text),
            _ => Err("must be a string in quotes".to_owned()),
        })
    }

    /// The value of a key that is a whole number.
    pub(super) fn whole_number(&self, key: &str) -> Result<Option<Setting<u64>>, ConfigError> {
        self.read(key, |raw| match raw {
            Raw::WholeNumber(number) => Ok(*number),
            _ => Err("must be a whole number, 0 or more".to_owned()),
        })
    }

    fn read<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&Raw) -> Result<T, String>,
    ) -> Result<Option<Setting<T>>, ConfigError> {
        let Some(Value { key, line, raw }) = self.values.iter().find(|value| value.key == key) else {
            return Ok(None);
        };
        match parse(raw) {
            Ok(value) => Ok(Some(Setting { value, origin: Origin::File { path: self.path.clone(), line: *line } })),
            Err(why) => Err(ConfigError::BadValue { file: self.path.clone(), line: *line, key, why }),
        }
    }

    /// The directory that relative paths in the file start from.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn raw(value: DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.into_owned()),
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).map_or(Raw::Other, Raw::WholeNumber)
        }
        _ => Raw::Other,
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
        ConfigFile::parse("/p/logboom.toml".into(), text)
    }

    #[test]
    fn every_value_knows_its_line() {
        let file = parse("# ours\n\ntty = \"never\"\nkeep = 1_000\n").unwrap();
        let keep = file.whole_number("keep").unwrap().unwrap();
        assert_eq!((keep.value, keep.origin), (1_000, Origin::File { path: "/p/logboom.toml".into(), line: 4 }));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_known_ones() {
        let error = parse("keep = 1\nolder-than = \"3d\"\n").unwrap_err().to_string();
        assert!(
            error.starts_with("/p/logboom.toml:2: unknown key `older-than`; known are dir, older_than,"),
            "{error}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_what_is_allowed() {
        let error = parse("keep = -1").unwrap().whole_number("keep").unwrap_err().to_string();
        assert_eq!(error, "/p/logboom.toml:1: `keep`: must be a whole number, 0 or more");
        let error = parse("dir = 3").unwrap().text("dir", |text| Ok(text.to_owned())).unwrap_err().to_string();
        assert_eq!(error, "/p/logboom.toml:1: `dir`: must be a string in quotes");
    }

    #[test]
    fn what_is_not_toml_is_named_with_its_line() {
        let error = parse("keep = 1\nkeep\n").unwrap_err().to_string();
        assert!(error.starts_with("/p/logboom.toml:2: "), "{error}");
    }
}
