//! `logboom compose` with the real docker-compose (v1) and a real engine: compose's own lines, and every line of every service, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    env, fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use common::{
    Done, Logboom, Running,
    engine::{Container, IMAGE, docker, make_image},
    wait_until,
};
use serde_json::Value;

const NO_COMPOSE: &str = "these tests need docker-compose 1.29 (Debian's package docker-compose)";

/// A compose project of a test's own; what it made goes with the test.
struct Project {
    logboom: Logboom,
    name: String,
}

impl Project {
    /// With these services, as the compose file has them, each line but the first indented by four more.
    fn new(test: &str, services: &[(&str, &str)]) -> Project {
        make_image();
        let project = Project { logboom: Logboom::new(), name: format!("logboom{test}{}", std::process::id()) };
        let services: String = services.iter().map(|(name, rest)| format!("  {name}:\n    {rest}\n")).collect();
        fs::create_dir_all(project.bin()).unwrap();
        // Where the plugin is there it would be preferred.
        project
            .write_docker(&format!("#!/bin/sh\n[ \"$1\" != compose ] && exec {} \"$@\"\nexit 1\n", docker_program()));
        fs::write(project.file("docker-compose.yml"), format!("version: '3'\nservices:\n{services}")).unwrap();
        project
    }

    /// Its name is that of its directory, in small letters.
    fn dir(&self) -> PathBuf {
        self.logboom.path(&self.name.to_uppercase())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Where its own docker command is, which goes before that of the machine.
    fn bin(&self) -> PathBuf {
        self.file("bin")
    }

    fn path(&self) -> String {
        format!("{}:{}", self.bin().display(), env::var("PATH").unwrap())
    }

    fn write_docker(&self, script: &str) {
        fs::write(self.bin().join("docker"), script).unwrap();
        fs::set_permissions(self.bin().join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.logboom.command(["compose"].iter().chain(args));
        command.current_dir(self.dir()).env("PATH", self.path());
        command
    }

    fn compose(&self, args: &[&str]) -> Done {
        self.command(args).output().unwrap().into()
    }

    /// docker-compose itself, past logboom.
    #[track_caller]
    fn past_logboom(&self, args: &[&str]) {
        let mut command = Command::new("docker-compose");
        let output = command.args(args).current_dir(self.dir()).output().expect(NO_COMPOSE);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn meta(&self) -> Value {
        serde_json::from_slice(&fs::read(self.logboom.session_file("session.json")).unwrap()).unwrap()
    }

    /// The runs of the latest session, by name: their kind, outcome, exit code, and how many containers they had.
    fn runs(&self) -> Vec<(String, String, String, Option<i64>, usize)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |run: &Value| {
            let containers = run["containers"].as_array().map_or(0, Vec::len);
            let end = &run["end"];
            (text(&run["name"]), text(&run["kind"]), text(&end["outcome"]), end["exit_code"].as_i64(), containers)
        };
        let mut runs: Vec<_> = self.meta()["runs"].as_array().unwrap().iter().map(of).collect();
        runs.sort();
        runs
    }

    /// The messages of a text log of the latest session.
    fn log(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.logboom.session_file(name)).unwrap_or_default();
        text.lines().map(|line| line[32..].to_owned()).collect()
    }

    /// The lines of a run of the latest session, of one stream after the other: a long or slow one stands in several records.
    fn lines(&self, run: &str) -> Vec<String> {
        let of = |stream| self.logboom.text(["show", "--raw", "--run", run, "--stream", stream]);
        ["stdout", "stderr"]
            .iter()
            .flat_map(|stream| of(stream).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// The messages of all runs of the latest session that hold this.
    fn all_with(&self, part: &str) -> Vec<String> {
        let records = self.logboom.jsons(["show", "--json"]);
        let messages = records.iter().map(|record| record["message"].as_str().unwrap_or_default().to_owned());
        messages.filter(|message| message.contains(part)).collect()
    }

    fn steps(&self) -> Vec<String> {
        let timeline = fs::read_to_string(self.logboom.session_file("timeline.jsonl")).unwrap();
        let events = timeline.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter_map(|event| event["step"].as_str().map(str::to_owned)).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let mut down = Command::new("docker-compose");
        down.args(["down", "-v", "-t", "0", "--rmi", "local", "--remove-orphans"]).current_dir(self.dir());
        // What the test left of the file may be wrong; then it has made nothing.
        let _ = down.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// The docker command of the machine.
fn docker_program() -> String {
    let path = env::var_os("PATH").unwrap();
    let found = env::split_paths(&path).map(|dir| dir.join("docker")).find(|file| file.exists());
    found.expect("docker, of docker.io or docker-cli").display().to_string()
}

/// A service of the test image with this script.
fn service(script: &str) -> String {
    format!("image: {IMAGE}\n    command: {}", command(script))
}

fn command(script: &str) -> String {
    Value::from(vec!["/bin/sh", "-c", &script.replace('$', "$$")]).to_string()
}

/// Prints so many numbered lines, each tenth on stderr.
fn numbered(tag: &str, lines: u32) -> String {
    format!(
        "awk 'BEGIN {{ for (i = 1; i <= {lines}; i++) if (i % 10) print \"{tag} line\", i; \
         else print \"{tag} line\", i > \"/dev/stderr\" }}'"
    )
}

/// Each of the numbered lines once, in whatever order the streams were read.
#[track_caller]
fn expect_once(messages: Vec<String>, tag: &str, lines: usize) {
    let prefix = format!("{tag} line ");
    let mut numbers: Vec<usize> =
        messages.iter().filter_map(|message| message.split(&prefix).nth(1)?.parse().ok()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers.len(), lines, "of {tag}");
    assert!(numbers.iter().copied().eq(1..=lines), "of {tag}");
}

fn run(
    name: &str,
    kind: &str,
    outcome: &str,
    exit_code: i64,
    containers: usize,
) -> (String, String, String, Option<i64>, usize) {
    (name.to_owned(), kind.to_owned(), outcome.to_owned(), Some(exit_code), containers)
}

/// With the thousands marked.
fn human(thousands: usize) -> String {
    format!("{},{:03}", thousands / 1_000, thousands % 1_000)
}

#[test]
fn every_line_of_every_service_is_kept_once() {
    let (web, db) = (service(&numbered("web", 3_000)), service(&numbered("db", 3_000)));
    let project = Project::new("up", &[("web", &web), ("db", &db)]);
    let done = project.compose(&["--summary", "always", "up"]).expect(0);
    for tag in ["web", "db"] {
        expect_once(project.lines(tag), tag, 3_000);
        // Compose shows them as ever.
        assert!(done.text().contains(&format!("{tag} line 2999")));
    }
    let own = project.log("exec_compose.log");
    assert!(own.iter().any(|line| line.contains("Attaching to")), "{own:?}");
    assert!(own.iter().all(|line| !line.contains("line")), "{own:?}");
    assert_eq!(own.iter().filter(|line| line.contains("exited with code 0")).count(), 2, "{own:?}");
    // Of compose and of both services.
    assert!(done.stderr.contains(&format!(", {} lines, 0 errors", human(own.len() + 6_000))), "{}", done.stderr);
    let want = [
        run("compose", "command", "passed", 0, 0),
        run("db", "service", "passed", 0, 1),
        run("web", "service", "passed", 0, 1),
    ];
    assert_eq!(project.runs(), want);
    assert_eq!(project.meta()["run"]["labels"]["project"], Value::from(project.name.clone()));
    project.logboom.run(["verify"]).expect(0);
}

#[test]
fn lines_are_told_apart_also_where_the_services_name_is_taken_for_a_secret() {
    let project = Project::new("named", &[("orders-db", &service(&numbered("db", 300)))]);
    let up: Done = project.command(&["up"]).env("DB_PASSWORD", "orders-db").output().unwrap().into();
    up.expect(0);
    expect_once(project.lines("***"), "db", 300);
    let own = project.log("exec_compose.log");
    assert!(own.iter().all(|line| !line.contains("line") && !line.contains("orders-db")), "{own:?}");
    assert_eq!(own.iter().filter(|line| line.contains("exited with code 0")).count(), 1, "{own:?}");
    assert!(!project.meta().to_string().contains("orders-db"), "{}", project.meta());
}

#[test]
fn it_ends_as_compose_does() {
    let project = Project::new("code", &[("web", &service("echo no; exit 3")), ("db", &service("exec sleep 1000"))]);
    project.compose(&["--", "up", "--exit-code-from", "web", "-t", "0"]).expect(3);
    assert_eq!(project.logboom.latest()["outcome"], "failed");
    let runs = project.runs();
    assert_eq!(runs[0], run("compose", "command", "failed", 3, 0));
    assert_eq!(runs[2], run("web", "service", "failed", 3, 1));
    assert_eq!(project.log("web.log"), ["no"]);
}

/// A project of one service that is built by this `RUN`.
fn built(test: &str, step: &str) -> Project {
    let project = Project::new(test, &[("web", &format!("build: .\n    command: {}", command("echo built")))]);
    fs::write(project.file("Dockerfile"), format!("FROM {IMAGE}\nRUN {step}\n")).unwrap();
    project
}

#[test]
fn steps_of_a_build_are_on_the_timeline() {
    let project = built("build", "echo 'in | the build' # hunter2hunter2");
    let up: Done = project.command(&["up"]).env("API_TOKEN", "hunter2hunter2").output().unwrap().into();
    up.expect(0);
    let steps = [format!("Step 1/2 : FROM {IMAGE}"), "Step 2/2 : RUN echo 'in | the build' # ***".to_owned()];
    assert_eq!(project.steps(), steps);
    assert!(project.log("exec_compose.log").contains(&"in | the build".to_owned()));
    assert_eq!(project.log("web.log"), ["built"]);
}

#[test]
fn a_build_that_fails_fails_the_session() {
    let mark = format!("of test {}", std::process::id());
    let project = built("fail", &format!("echo 'no such luck' && false {mark}"));
    // Else the container of the step that fails stays behind.
    let done = project.compose(&["build", "--force-rm"]);
    assert!(done.code != Some(0) && done.stderr.contains("returned a non-zero code: 1"), "{}", done.stderr);
    assert_eq!(project.logboom.latest()["outcome"], "failed");
    let own = project.log("exec_compose.log");
    assert!(own.contains(&"no such luck".to_owned()), "{own:?}");
    assert_eq!(project.runs().len(), 1);
    let left = docker(&["ps", "-a", "--no-trunc", "--format", "{{.Command}}"]);
    assert!(!left.contains(&mark), "{left}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let project = Project::new("errors", &[("web", &service("true"))]);
    let without = project.command(&["up"]).env("PATH", project.dir()).output().unwrap();
    let without = Done::from(without).expect(127);
    assert!(without.stderr.contains("install docker's compose plugin"), "{}", without.stderr);
    // It may need no engine; here it does, and says so itself.
    let lost = project.compose(&["--host", "unix:///nowhere.sock", "up"]).expect(1);
    let says = "logboom: the services are not followed: no Docker engine at unix:///nowhere.sock: start it";
    assert!(lost.stderr.starts_with(says) && lost.stderr.lines().count() > 1, "{}", lost.stderr);
    assert_eq!(project.runs(), [run("compose", "command", "failed", 1, 0)]);
    assert!(project.log("exec_compose.log").iter().any(|line| line.contains("connect")), "{}", lost.stderr);
    fs::write(project.file("docker-compose.yml"), "services:\n  web:\n    imag: x\n").unwrap();
    let wrong = project.compose(&["up"]).expect(1);
    assert!(wrong.stderr.contains("imag"), "{}", wrong.stderr);
    assert_eq!(project.runs(), [run("compose", "command", "failed", 1, 0)]);
}

#[test]
fn a_recreated_service_goes_on_in_its_log_without_what_was_before() {
    let project = Project::new(
        "again",
        &[("web", &service("echo start; trap 'echo bye; exit' TERM; while :; do sleep 0.1; done"))],
    );
    project.past_logboom(&["up", "-d"]);
    let container = format!("{}_web_1", project.name);
    wait_until(|| docker(&["logs", &container]) == "start");
    project.compose(&["--", "up", "-d", "--force-recreate"]).expect(0);
    // What was printed before is no part of the session; what the new one prints first may come after compose has ended.
    let log = project.log("web.log");
    assert!(log.starts_with(&["bye".to_owned()]) && log.len() <= 2, "{log:?}");
    let runs = project.runs();
    assert_eq!((runs.len(), runs[1].0.as_str(), runs[1].4), (2, "web", 2), "{runs:?}");
    project.logboom.run(["verify"]).expect(0);
}

#[test]
fn containers_of_a_scaled_service_have_a_log_each() {
    let project = Project::new("scale", &[("web", &service(&numbered("web", 500)))]);
    project.compose(&["up", "--scale", "web=3"]).expect(0);
    for run in ["web", "web.2", "web.3"] {
        expect_once(project.lines(run), "web", 500);
        assert!(project.logboom.session_file(&format!("{run}.log")).exists());
    }
    assert_eq!(project.lines("compose").iter().filter(|line| line.contains("web line")).count(), 0);
}

#[test]
fn a_detached_up_leaves_the_services_running_and_says_how_to_follow_them() {
    let project = Project::new("detach", &[("web", &service("echo up; exec sleep 1000"))]);
    let done = project.compose(&["--summary", "always", "up", "-d"]).expect(0);
    let says = format!("logboom docker --project {}", project.name);
    assert!(done.stderr.contains(&says), "{}", done.stderr);
    let container = format!("{}_web_1", project.name);
    assert_eq!(docker(&["inspect", "-f", "{{.State.Status}}", &container]), "running");
    assert_eq!(project.logboom.latest()["outcome"], "passed");
    project.compose(&["down", "-t", "0"]).expect(0);
    let runs = project.runs();
    assert_eq!((runs[1].0.as_str(), runs[1].1.as_str(), runs[1].3), ("web", "service", Some(137)), "{runs:?}");
}

#[test]
fn a_one_off_run_is_composes_own_output_and_its_services_are_followed() {
    let web = format!("{}\n    depends_on: [db]", service("true"));
    let project = Project::new("oneoff", &[("web", &web), ("db", &service("echo db is up; exec sleep 1000"))]);
    let script = "echo one; echo two >&2; while [ ! -e /go ]; do sleep 0.1; done; exit 5";
    let mut command = project.command(&["run", "--rm", "-T", "web", "/bin/sh", "-c", script]);
    let running = Running::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    wait_until(|| ["one", "two"].iter().all(|line| project.all_with(line).iter().any(|message| message == line)));
    wait_until(|| project.log("db.log") == ["db is up"]);
    let of_project = format!("label=com.docker.compose.project={}", project.name);
    let one_off = || docker(&["ps", "-q", "--filter", &of_project, "--filter", "label=com.docker.compose.oneoff=True"]);
    // What it prints may come before the engine says that it runs.
    wait_until(|| !one_off().is_empty());
    docker(&["exec", &one_off(), "sh", "-c", ": > /go"]);
    let done = running.done().expect(5);
    assert!(done.text().contains("one\n"), "{}", done.text());
    for line in ["one", "two"] {
        assert_eq!(project.all_with(line).iter().filter(|message| *message == line).count(), 1, "{line}");
    }
    assert_eq!(project.log("db.log"), ["db is up"]);
    let names: Vec<String> = project.runs().into_iter().map(|run| run.0).collect();
    assert_eq!(names, ["compose", "db"]);
}

#[test]
fn ctrl_c_stops_the_services_and_their_last_lines_are_there() {
    let script = "trap 'echo last words; exit 7' TERM; echo first; while :; do sleep 0.1; done";
    let project = Project::new("ctrlc", &[("web", &service(script)), ("db", &service(script))]);
    // `script` gives it a terminal, in whose foreground it is.
    let line = format!("exec {} compose up", env!("CARGO_BIN_EXE_logboom"));
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).current_dir(project.dir()).env("LOGBOOM_DIR", project.logboom.data());
    terminal.env("PATH", project.path());
    terminal.env_remove("LOGBOOM_SESSION").env_remove("LOGBOOM_RUN").env("SHELL", "/bin/sh");
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of bsdutils");
    let mut shown = terminal.stdout.take().unwrap();
    let mut text = Vec::new();
    let both = |text: &[u8]| String::from_utf8_lossy(text).matches("first").count() == 2;
    while !both(&text) {
        let mut chunk = [0; 4_096];
        let len = shown.read(&mut chunk).unwrap();
        assert!(len > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&chunk[..len]);
    }
    let mut keys = terminal.stdin.take().unwrap();
    keys.write_all(b"\x03").unwrap();
    shown.read_to_end(&mut text).unwrap();
    terminal.wait().unwrap();
    for service in ["web", "db"] {
        assert_eq!(
            project.log(&format!("{service}.log")),
            ["first", "last words"],
            "{}",
            String::from_utf8_lossy(&text)
        );
    }
    let runs = project.runs();
    assert_eq!(runs[1..], [run("db", "service", "interrupted", 7, 1), run("web", "service", "interrupted", 7, 1)]);
    assert!(project.log("exec_compose.log").iter().all(|line| !line.contains("last words")));
    assert!(String::from_utf8_lossy(&text).contains("Stopping"), "{}", String::from_utf8_lossy(&text));
}

/// Stands in for docker's client with the plugin, which cannot be installed here: says what v2.29 was recorded to say, and makes a
/// container with the name and the labels that it gives one.
const V2: &str = r#"#!/bin/sh
case "$*" in
"compose version --short") echo 2.29.1 ;;
"compose --project-name "*" config --format json")
    [ -z "$V2_TELLS" ] || exit "$V2_TELLS"
    echo '{"name": "NAME", "services": {"web": {}}}' ;;
"compose up" | "compose --project-name "*" up")
    echo ' Container NAME-web-1  Created' >&2
    DOCKER create --name NAME-web-1 --label com.docker.compose.project=NAME --label com.docker.compose.service=web \
        --label com.docker.compose.container-number=1 --label com.docker.compose.oneoff=False \
        --label com.docker.compose.version=2.29.1 IMAGE /bin/sh -c 'echo hello; echo there' >/dev/null
    echo '#5 [web 2/3] RUN make'
    echo 'Attaching to web-1'
    DOCKER start NAME-web-1 >/dev/null
    printf '\033[36mweb-1  | \033[0mhello\n\033[36mweb-1  | \033[0mthere\n'
    code=$(DOCKER wait NAME-web-1)
    printf '\r\033[Kweb-1 exited with code %s\n' "$code"
    exit "$code" ;;
*) exit 1 ;;
esac
"#;

/// Has the project use the plugin, which makes this container.
fn with_plugin(project: &Project) -> Container {
    let script = V2.replace("DOCKER", &docker_program()).replace("NAME", &project.name).replace("IMAGE", IMAGE);
    project.write_docker(&script);
    Container { name: format!("{}-web-1", project.name) }
}

#[test]
fn a_plugin_that_does_not_tell_the_projects_name_may_have_been_told_it() {
    let project = Project::new("untold", &[("web", &service("true"))]);
    // It fails, or prints nothing.
    for tells in ["1", "0"] {
        let container = with_plugin(&project);
        let told = project.command(&["-p", &project.name, "up"]).env("V2_TELLS", tells).output().unwrap();
        Done::from(told).expect(0);
        assert_eq!(project.lines("web"), ["hello", "there"]);
        container.remove();
        let mut by_variable = project.command(&["up"]);
        by_variable.env("V2_TELLS", tells).env("COMPOSE_PROJECT_NAME", &project.name);
        Done::from(by_variable.output().unwrap()).expect(0);
        assert_eq!(project.lines("web"), ["hello", "there"]);
        container.remove();
        let unknown = Done::from(project.command(&["up"]).env("V2_TELLS", tells).output().unwrap()).expect(0);
        let says = "logboom: the services were not followed: the project's name is not known; give -p\n";
        assert_eq!(unknown.stderr.matches(says).count(), 1, "{}", unknown.stderr);
        assert_eq!(project.runs().len(), 1);
    }
}

#[test]
fn the_plugin_is_preferred_and_its_names_are_known() {
    let project = Project::new("plugin", &[("web", &service("true"))]);
    let container = with_plugin(&project);
    let done = project.compose(&["-p", &project.name, "up"]).expect(0);
    assert!(done.text().contains("web-1  | \x1b[0mhello\n"), "{}", done.text());
    assert_eq!(project.lines("web"), ["hello", "there"]);
    let own = ["#5 [web 2/3] RUN make", "Attaching to web-1", "\r\x1b[Kweb-1 exited with code 0"];
    let created = format!(" Container {}  Created", container.name);
    assert_eq!(project.lines("compose"), [own.as_slice(), &[created.as_str()]].concat());
    assert_eq!(project.steps(), [own[0]]);
    let command: Vec<Value> = project.meta()["runs"][0]["command"].as_array().unwrap().clone();
    assert_eq!(command[..2], ["docker", "compose"]);
}
