//! The contexts of docker's client: engines under a name, one of which is the current one.
//!
//! They stand in the client's directory (`~/.docker`, or what `DOCKER_CONFIG` says): which one is current in `config.json`, each
//! context in `contexts/meta/<hash of its name>/meta.json`, its certificates in `contexts/tls/<the same hash>/`. The file has the
//! name, too, so that the hash need not be computed.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::{Host, HostError, host::USUAL_SOCKET};

/// The context that is none: the usual socket.
const DEFAULT: &str = "default";

/// A variable of the environment; `None` also where it is empty.
pub(super) fn variable(env: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}

/// The host of the context that `DOCKER_CONTEXT` or the client's configuration names; `None` if there is none but the usual one.
pub(super) fn current(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Host>, HostError> {
    let Some(dir) = client_dir(env) else { return Ok(None) };
    let named = match variable(env, "DOCKER_CONTEXT") {
        Some(name) => Some((name.to_string_lossy().into_owned(), "DOCKER_CONTEXT".to_owned())),
        None => current_name(&dir.join("config.json"))?,
    };
    named.filter(|(name, _)| name != DEFAULT).map(|(name, named_by)| host_of(&dir, name, named_by)).transpose()
}

/// The host of the context of this name; `named_by` is for people.
pub(super) fn named(
    name: &str,
    named_by: &str,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Host>, HostError> {
    let dir = client_dir(env).unwrap_or_default();
    (name != DEFAULT).then(|| host_of(&dir, name.to_owned(), named_by.to_owned())).transpose()
}

fn client_dir(env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let configured = variable(env, "DOCKER_CONFIG").map(PathBuf::from);
    configured.or_else(|| Some(PathBuf::from(variable(env, "HOME")?).join(".docker")))
}

fn current_name(config: &Path) -> Result<Option<(String, String)>, HostError> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "currentContext", default)]
        current_context: String,
    }
    let config_file: Option<Config> = read(config)?;
    let name = config_file.map(|config| config.current_context).filter(|name| !name.is_empty());
    Ok(name.map(|name| (name, config.display().to_string())))
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Endpoints", default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Endpoint {
    host: String,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

fn host_of(dir: &Path, name: String, named_by: String) -> Result<Host, HostError> {
    let contexts = dir.join("contexts");
    let Some((place, file, meta)) = find(&contexts.join("meta"), &name)? else {
        return Err(HostError::NoContext { name, named_by, dir: contexts.join("meta") });
    };
    let bad = |why: &str| HostError::BadFile { path: file.clone(), why: why.to_owned() };
    let Endpoint { host, skip_tls_verify } = meta.endpoints.docker.ok_or_else(|| bad("it has no docker endpoint"))?;
    if host.is_empty() {
        return Ok(Host::Unix(PathBuf::from(USUAL_SOCKET)));
    }
    let in_context = |source| HostError::InContext { name: name.clone(), path: file.clone(), source: Box::new(source) };
    let host: Host = host.parse().map_err(in_context)?;
    let has_certificates = contexts.join("tls").join(place).join("docker").is_dir();
    match host {
        Host::Tcp { .. } if has_certificates || skip_tls_verify => Err(HostError::ContextTls { name, host }),
        host => Ok(host),
    }
}

/// The context of this name: what its directory is called, its file, and what stands there. One that cannot be read may be the one.
fn find(dir: &Path, name: &str) -> Result<Option<(OsString, PathBuf, Meta)>, HostError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(HostError::BadFile { path: dir.to_owned(), why: error.to_string() }),
    };
    let mut unread = None;
    for entry in entries.flatten() {
        let file = entry.path().join("meta.json");
        match read::<Meta>(&file) {
            Ok(Some(meta)) if meta.name == name => return Ok(Some((entry.file_name(), file, meta))),
            Ok(_) => {}
            Err(error) => unread = Some(error),
        }
    }
    unread.map_or(Ok(None), Err)
}

/// Reads a file of JSON; `None` if there is no such file.
fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, HostError> {
    let bad = |why: String| HostError::BadFile { path: file.to_owned(), why };
    match fs::read(file) {
        Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| bad(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(bad(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's directory with these contexts, by `hash name endpoint`.
    fn client(config: &str, contexts: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), config).unwrap();
        for (hash, name, endpoint) in contexts {
            let place = dir.path().join("contexts/meta").join(hash);
            fs::create_dir_all(&place).unwrap();
            let meta = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{endpoint}}}}}"#);
            fs::write(place.join("meta.json"), meta).unwrap();
        }
        dir
    }

    fn found(dir: &Path, context: Option<&str>) -> Result<Option<String>, HostError> {
        let env = |name: &str| match name {
            "DOCKER_CONFIG" => Some(dir.into()),
            "DOCKER_CONTEXT" => context.map(OsString::from),
            _ => None,
        };
        Ok(current(&env)?.map(|host| host.to_string()))
    }

    #[test]
    fn the_variable_names_a_context_before_the_configuration_does() {
        let one = ("a", "one", r#"{"Host":"unix:///one.sock","SkipTLSVerify":false}"#);
        let dir =
            client(r#"{"currentContext":"one"}"#, &[one, ("b", "two", r#"{"Host":"tcp://two:1"}"#), ("c", "no", "{}")]);
        let found = |context| found(dir.path(), context).unwrap();
        assert_eq!(found(None).as_deref(), Some("unix:///one.sock"));
        assert_eq!(found(Some("")).as_deref(), Some("unix:///one.sock"));
        assert_eq!(found(Some("two")).as_deref(), Some("tcp://two:1"));
        assert_eq!(found(Some("no")).as_deref(), Some("unix:///var/run/docker.sock"));
        assert_eq!(found(Some("default")), None);
    }

    #[test]
    fn without_a_configuration_there_is_no_context() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(found(dir.path(), None), Ok(None));
        assert_eq!(current(&|_| None), Ok(None));
        for config in ["{}", r#"{"currentContext":""}"#, r#"{"currentContext":"default","auths":{}}"#] {
            assert_eq!(found(client(config, &[]).path(), None), Ok(None), "{config}");
        }
    }

    #[track_caller]
    fn expect_words(dir: &Path, context: Option<&str>, words: &[&str]) {
        let said = found(dir, context).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(said.contains(word), "{word}: {said}"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_file() {
        let contexts =
            [("a", "ssh", r#"{"Host":"ssh://me@host"}"#), ("b", "odd", r#"{"Host":"tcp://"}"#), ("c", "none", "null")];
        let dir = client(r#"{"currentContext":"gone"}"#, &contexts);
        let path = |name: &str| dir.path().join(name).display().to_string();
        expect_words(dir.path(), None, &["no docker context \"gone\"", &path("config.json"), "`docker context ls`"]);
        expect_words(dir.path(), Some("nowhere"), &["no docker context \"nowhere\"", "DOCKER_CONTEXT"]);
        expect_words(
            dir.path(),
            Some("ssh"),
            &["\"ssh\"", &path("contexts/meta/a/meta.json"), "ssh://me@host", "ssh -NL"],
        );
        expect_words(dir.path(), Some("odd"), &[&path("contexts/meta/b/meta.json"), "the name is missing"]);
        expect_words(dir.path(), Some("none"), &[&path("contexts/meta/c/meta.json"), "no docker endpoint"]);
        fs::write(dir.path().join("contexts/meta/a/meta.json"), "{").unwrap();
        expect_words(dir.path(), Some("ssh"), &[&path("contexts/meta/a/meta.json"), "EOF"]);
        assert!(found(dir.path(), Some("odd")).is_err_and(|error| matches!(error, HostError::InContext { .. })));
        fs::write(dir.path().join("config.json"), "currentContext").unwrap();
        expect_words(dir.path(), None, &[&path("config.json"), "--host"]);
    }

    #[test]
    fn a_context_with_tls_is_refused() {
        let contexts = [
            ("a", "sure", r#"{"Host":"tcp://host:2376"}"#),
            ("b", "lax", r#"{"Host":"tcp://h:1","SkipTLSVerify":true}"#),
        ];
        let dir = client("{}", &contexts);
        assert_eq!(found(dir.path(), Some("sure")).unwrap().as_deref(), Some("tcp://host:2376"));
        fs::create_dir_all(dir.path().join("contexts/tls/a/docker")).unwrap();
        for (name, host) in [("sure", "tcp://host:2376"), ("lax", "tcp://h:1")] {
            expect_words(dir.path(), Some(name), &[name, host, "TLS", "ssh -NL", "--host unix:///tmp/docker.sock"]);
        }
    }
}
