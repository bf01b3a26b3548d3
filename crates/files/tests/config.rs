//! Where values come from.
#![allow(clippy::unwrap_used, reason = "functions that several tests share")]

use std::{collections::BTreeMap, ffi::OsString, fs, path::Path, time::Duration};

use logboom_files::{
    DataDir,
    config::{Config, ConfigError, Drain, Flags, OnTerminal, Origin, World},
};

/// What [`DataDir::discover`] and [`Config::load`] find with this environment.
fn with<T>(cwd: &Path, vars: &[(&str, &Path)], act: impl FnOnce(World<'_>) -> T) -> T {
    let vars: BTreeMap<String, OsString> =
        vars.iter().map(|(name, value)| (name.to_string(), value.as_os_str().to_owned())).collect();
    act(World { cwd, env: &|name| vars.get(name).cloned() })
}

fn discover(flag: Option<&str>, cwd: &Path, vars: &[(&str, &Path)]) -> DataDir {
    with(cwd, vars, |world| DataDir::discover(flag.map(Path::new), world).unwrap())
}

#[test]
fn the_data_dir_is_chosen_by_the_nearest_who_says_something() {
    let dir = tempfile::tempdir().unwrap();
    let (home, repo) = (dir.path().join("home"), dir.path().join("repo"));
    let deep = repo.join("a/b");
    fs::create_dir_all(&deep).unwrap();

    let vars = [("HOME", home.as_path())];
    assert_eq!(discover(None, &deep, &vars).path, home.join(".local/state/logboom"));
    let state = dir.path().join("state");
    let vars = [("HOME", home.as_path()), ("XDG_STATE_HOME", &state)];
    assert_eq!(discover(None, &deep, &vars).path, state.join("logboom"));
    let vars = [("HOME", home.as_path()), ("XDG_STATE_HOME", Path::new("relative"))];
    assert_eq!(discover(None, &deep, &vars).path, home.join(".local/state/logboom"));

    fs::write(repo.join(".git"), "gitdir: elsewhere").unwrap();
    let found = discover(None, &deep, &vars);
    assert_eq!((found.path, found.origin), (repo.join("test-activity/logs"), Origin::Repository(repo.clone())));

    fs::write(repo.join("a/logboom.toml"), "keep = 3\ndir = \"logs\"\n").unwrap();
    let found = discover(None, &deep, &vars);
    let origin = Origin::File { path: repo.join("a/logboom.toml"), line: 2 };
    assert_eq!((found.path, found.origin), (repo.join("a/logs"), origin));

    let vars = [("LOGBOOM_DIR", Path::new("env"))];
    let found = discover(None, &deep, &vars);
    assert_eq!((found.path, found.origin), (deep.join("env"), Origin::Env("LOGBOOM_DIR")));
    let found = discover(Some("../flag"), &deep, &vars);
    assert_eq!((found.path, found.origin), (deep.join("../flag"), Origin::Flag));
}

#[test]
fn an_empty_variable_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(".git")).unwrap();
    let found = discover(None, dir.path(), &[("LOGBOOM_DIR", Path::new(""))]);
    assert_eq!(found.origin, Origin::Repository(dir.path().to_owned()));
}

#[test]
fn nowhere_to_go_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = with(dir.path(), &[], |world| DataDir::discover(None, world).unwrap_err());
    assert!(matches!(error, ConfigError::NoHome) && error.to_string().contains("LOGBOOM_DIR"));
}

#[test]
fn a_wrong_file_is_an_error_unless_it_is_not_needed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("logboom.toml"), "dri = \"x\"").unwrap();
    let error = with(dir.path(), &[], |world| DataDir::discover(None, world).unwrap_err());
    assert!(matches!(error, ConfigError::UnknownKey { line: 1, .. }));
    assert_eq!(discover(Some("/x"), dir.path(), &[]).path, Path::new("/x"));
}

#[test]
fn every_value_tells_where_it_is_from() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("logboom.toml");
    fs::write(&path, "dir = \"logs\"\nolder_than = \"7d\"\nkeep = 20\nmax_bytes = \"500 MB\"\ndrain = \"forever\"\n")
        .unwrap();
    let flags = Flags { tty: Some(OnTerminal::Never), keep: Some(5), ..Flags::default() };
    let config = with(dir.path(), &[], |world| Config::load(&flags, world).unwrap());
    assert_eq!(config.limits().older_than, Duration::from_secs(7 * 86_400));
    assert_eq!((config.limits().keep, config.limits().max_bytes), (5, 500_000_000));
    assert_eq!(config.drain.value, Drain::Forever);
    let rows: Vec<String> =
        config.rows().into_iter().map(|(key, value, origin)| format!("{key} {value} {origin}")).collect();
    let file = |line| format!("{}:{line}", path.display());
    assert_eq!(rows[0], format!("dir {} {}", dir.path().join("logs").display(), file(1)));
    assert_eq!(
        rows[1..],
        [
            format!("older_than 7d {}", file(2)),
            "keep 5 command line".to_owned(),
            format!("max_bytes 500 MB {}", file(4)),
            "tty never command line".to_owned(),
            format!("drain forever {}", file(5)),
            "grace 5s default".to_owned(),
        ]
    );
}

#[test]
fn a_bad_value_names_the_key_and_what_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    for (text, want) in [
        ("older_than = \"3 parsecs\"", "`older_than`: \"3 parsecs\" is not a duration"),
        ("max_bytes = \"5\"", "`max_bytes`: \"5\" is not a size"),
        ("tty = \"maybe\"", "`tty`: \"maybe\" is none of auto, always, never"),
        ("drain = \"never\"", "or forever"),
        ("dir = \"\"", "`dir`: is empty"),
    ] {
        fs::write(dir.path().join("logboom.toml"), text).unwrap();
        let vars = [("HOME", dir.path())];
        let error = with(dir.path(), &vars, |world| Config::load(&Flags::default(), world).unwrap_err()).to_string();
        assert!(error.contains("logboom.toml:1: ") && error.contains(want), "{error}");
    }
}
