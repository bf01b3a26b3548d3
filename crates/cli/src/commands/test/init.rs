//! `logboom test --init`: a file for the project that is here.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result};

/// What tells a project's tests: a file that is there, the name of the test, its command.
const TESTS: [(&str, &str, &str); 9] = [
    ("Cargo.toml", "cargo", "cargo test --no-fail-fast"),
    ("go.mod", "go", "go test -v ./..."),
    ("pyproject.toml", "pytest", "python3 -m pytest -v"),
    ("setup.py", "pytest", "python3 -m pytest -v"),
    ("pytest.ini", "pytest", "python3 -m pytest -v"),
    ("package.json", "npm", "npm test"),
    ("pom.xml", "maven", "mvn -B test"),
    ("build.gradle", "gradle", "./gradlew test"),
    ("build.gradle.kts", "gradle", "./gradlew test"),
];

/// Under which names compose looks for its file.
const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Writes the file, which must not be there.
pub fn write(file: &Path) -> Result<()> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text = text(dir);
    let mut new = OpenOptions::new().write(true).create_new(true).open(file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::anyhow!("{} is there already; it is left as it is", file.display()),
        _ => anyhow::Error::from(error).context(format!("cannot write {}", file.display())),
    })?;
    new.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

fn text(dir: &Path) -> String {
    let is_there = |name: &str| dir.join(name).is_file();
    let mut text = HEAD.to_owned();
    match COMPOSE.into_iter().find(|name| is_there(name)) {
        Some(name) => text += &format!("\n[[service]]\nname = \"stack\"\ncompose = \"{name}\"\n{COMPOSE_MORE}"),
        None => text += NO_COMPOSE,
    }
    text += SERVICES;
    let mut names: Vec<&str> = Vec::new();
    for (_, name, command) in TESTS.into_iter().filter(|(file, _, _)| is_there(file)) {
        if !names.contains(&name) && (name != "npm" || has_npm_test(dir)) {
            names.push(name);
            text += &format!("\n[[test]]\nname = \"{name}\"\ncommand = \"{command}\"\n");
        }
    }
    if names.is_empty() && has_make_test(dir) {
        names.push("make");
        text += "\n[[test]]\nname = \"make\"\ncommand = \"make test\"\n";
    }
    if names.is_empty() {
        text += "\n# No test tool was recognised here.\n[[test]]\nname = \"tests\"\ncommand = \"echo 'put the command of your tests here'; false\"\n";
    }
    text + TAIL
}

fn has_npm_test(dir: &Path) -> bool {
    let package: Option<serde_json::Value> =
        fs::read(dir.join("package.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    package.is_some_and(|package| package["scripts"]["test"].is_string())
}

fn has_make_test(dir: &Path) -> bool {
    let makefile = fs::read_to_string(dir.join("Makefile")).unwrap_or_default();
    makefile.lines().any(|line| line.starts_with("test:"))
}

const HEAD: &str = r#"# A test session of logboom: `logboom test` starts the services, waits until they are ready, runs the tests, and takes all down
# again. `logboom show` shows what everything printed, `logboom sessions --failed` which tests failed.
# Paths, and commands where they say nothing else, start from this file's directory.

# name = "checkout"           # of the session; the directory's if left out
# labels = { team = "shop" }  # facts about it; --label adds more
# timeout = "30m"             # all tests together
# wait_timeout = "60s"        # until services are ready

# mask = ["card=\\d{16}"]     # what is never kept: patterns,
# mask_env = ["SHOP_KEY"]     # and values of variables; those named like secrets are masked anyway

# [retention]                 # of sessions of this name
# keep = 50
# older_than = "30d"
# max_bytes = "2GiB"

# [dind]                      # all containers in an engine of their own
# image = "docker:dind"
# load = ["shop:latest"]      # images that it is given
"#;

const NO_COMPOSE: &str = r#"
# [[service]]
# name = "stack"
# compose = "compose.yml"     # or a list; all its services are started and followed
# wait = ["db=healthy", "web=http:http://web:8080/health"]
"#;

const COMPOSE_MORE: &str = r#"# Services with a health check are waited for; others are where it says so:
# wait = ["db=healthy", "web=port:8080", "web=log:listening", "web=http:http://web:8080/health"]
# project = "shop"            # else one of the session's own
"#;

const SERVICES: &str = r#"
# [[service]]
# name = "cache"
# image = "redis:7"           # a container of its own
# ports = ["127.0.0.1:6379:6379"]
# env = { TZ = "UTC" }
# volumes = ["./cache:/data"]
# wait = "port:6379"

# [[service]]
# name = "api"
# command = "./api --port 8080"  # a program: a text for the shell, or a list of words
# cwd = "api"
# env = { RUST_LOG = "debug" }
# wait = ["port:8080", "log:listening"]
# after = ["cache"]           # not before this one is ready
# restart = "on-failure:3"    # or no, on-failure, always
# stop_grace = "5s"           # from SIGTERM to SIGKILL
"#;

const TAIL: &str = r#"# timeout = "10m"
# retries = 1                 # run it again if it fails
# junit = "target/junit/*.xml"  # files that tell of its tests
# env = { RUST_BACKTRACE = "1" }
# cwd = "."

# [[tear_down]]               # run when the tests are over, while the services are still there
# name = "dump"
# command = "pg_dump shop > dump.sql"
"#;

#[cfg(test)]
mod tests {
    use logboom_capture::test_spec::TestSpec;

    use super::*;

    #[test]
    fn what_is_written_can_be_read_with_and_without_its_comments() {
        for files in [&[][..], &["Cargo.toml", "compose.yml"], &["go.mod", "setup.py", "pytest.ini"], &["Makefile"]] {
            let dir = tempfile::tempdir().unwrap();
            files.iter().for_each(|name| fs::write(dir.path().join(name), "test:\n\ttrue\n").unwrap());
            let file = dir.path().join("t.toml");
            write(&file).unwrap();
            let text = fs::read_to_string(&file).unwrap();
            let spec = TestSpec::read(&file).unwrap();
            assert_eq!(spec.services.len(), usize::from(files.contains(&"compose.yml")));
            assert!(!spec.tests.is_empty());
            let is_key = |line: &str| line.starts_with("# ") && (line.contains(" = ") || line.starts_with("# ["));
            let uncommented: Vec<&str> = text
                .lines()
                .map(|line| if is_key(line) { &line[2..] } else { line })
                .filter(|line| !line.starts_with("wait = [\"db=healthy\", \"web=port"))
                .collect();
            let spec = TestSpec::parse(&uncommented.join("\n"), dir.path()).unwrap();
            assert_eq!((spec.services.len(), spec.tear_down.len()), (3, 1));
            assert!(spec.dind.is_some() && spec.retention.keep == Some(50));
            write(&file).unwrap_err();
        }
    }
}
