//! Files of `logboom test` whose services are programs, and what became of them.

use std::fs;

use serde_json::Value;

use super::Logboom;

/// Prints its process id to a file and that it is ready, and then does nothing until it is ended.
pub const DAEMON: &str = "echo $$ >> pids; echo listening; while :; do sleep 0.1; done";

pub fn spec(logboom: &Logboom, text: &str) {
    fs::write(logboom.path("logboom-test.toml"), text).unwrap();
}

pub fn service(name: &str, script: &str, more: &str) -> String {
    format!("[[service]]\nname = \"{name}\"\ncommand = '''{script}'''\n{more}\n")
}

pub fn test(name: &str, script: &str, more: &str) -> String {
    format!("[[test]]\nname = \"{name}\"\ncommand = '''{script}'''\n{more}\n")
}

/// The runs of the latest session: name, kind, outcome.
pub fn runs(logboom: &Logboom) -> Vec<(String, String, String)> {
    let meta: Value = serde_json::from_slice(&fs::read(logboom.session_file("session.json")).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |run: &Value| (text(&run["name"]), text(&run["kind"]), text(&run["end"]["outcome"]));
    meta["runs"].as_array().unwrap().iter().map(of).collect()
}

pub fn has(runs: &[(String, String, String)], name: &str, kind: &str, outcome: &str) -> bool {
    runs.iter().any(|run| (run.0.as_str(), run.1.as_str(), run.2.as_str()) == (name, kind, outcome))
}

/// Whether a file of the latest session, or its name, has these bytes.
pub fn is_kept(logboom: &Logboom, secret: &str) -> bool {
    fs::read_dir(logboom.session_file("")).unwrap().flatten().any(|file| {
        let bytes = fs::read(file.path()).unwrap();
        file.file_name().to_string_lossy().contains(secret)
            || bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
    })
}
