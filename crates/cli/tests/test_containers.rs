//! `logboom run --compose` and `logboom test` with containers of a real engine: started, waited for, followed from the first line, and gone
//! at the end, however it came.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{
    Done, Logboom, Running,
    engine::{Container, IMAGE, docker, make_image},
    signal, wait_until,
};
use serde_json::Value;

/// A directory with a compose file, in which logboom runs.
struct Project {
    logboom: Logboom,
    name: String,
}

impl Project {
    fn new(test: &str, services: &str) -> Project {
        make_image();
        let project = Project { logboom: Logboom::new(), name: format!("lb{test}{}", std::process::id()) };
        fs::create_dir_all(project.dir()).unwrap();
        fs::write(project.file("compose.yml"), format!("version: '2.4'\nservices:\n{services}")).unwrap();
        project
    }

    fn dir(&self) -> PathBuf {
        self.logboom.path(&self.name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.logboom.command(args);
        command.current_dir(self.dir()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Done {
        self.command(args).output().unwrap().into()
    }

    /// What there is of the projects of this directory: containers, networks and volumes.
    fn left(&self) -> String {
        let name = format!("name={}", self.name);
        let lists = [
            docker(&["ps", "-aq", "--filter", &name]),
            docker(&["network", "ls", "-q", "--filter", &name]),
            docker(&["volume", "ls", "-q", "--filter", &name]),
            docker(&["images", "-q", &format!("{}*", self.name)]),
        ];
        lists.join("")
    }

    fn runs(&self) -> Vec<(String, String, String)> {
        let meta: Value =
            serde_json::from_slice(&fs::read(self.logboom.session_file("session.json")).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |run: &Value| (text(&run["name"]), text(&run["kind"]), text(&run["end"]["outcome"]));
        meta["runs"].as_array().unwrap().iter().map(of).collect()
    }

    #[track_caller]
    fn assert_run(&self, name: &str, kind: &str, outcome: &str) {
        let runs = self.runs();
        let is_it = |run: &&(String, String, String)| (&*run.0, &*run.1, &*run.2) == (name, kind, outcome);
        assert!(runs.iter().any(|run| is_it(&run)), "{name} {kind} {outcome}: {runs:?}");
    }

    /// The messages of a text log of the latest session.
    fn log(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.logboom.session_file(name)).unwrap_or_default();
        text.lines().map(|line| line[32..].to_owned()).collect()
    }
}

/// A service of the test image with this script.
fn service(name: &str, script: &str, more: &str) -> String {
    let command = Value::from(vec!["/bin/sh", "-c", &script.replace('$', "$$")]);
    format!("  {name}:\n    image: {IMAGE}\n    command: {command}\n    stop_grace_period: 1s\n{more}")
}

/// Prints that it was started, is healthy a little later, and ends when it is told to.
const DB: &str =
    "echo first line; trap 'echo last line; exit 0' TERM; sleep 0.5; touch /tmp/ok; while :; do sleep 0.1; done";
const HEALTH: &str = "    healthcheck: {test: ['CMD', 'test', '-e', '/tmp/ok'], interval: 300ms, retries: 30}\n";

#[test]
fn services_are_up_and_healthy_before_the_command_and_gone_after_it() {
    let project = Project::new("up", &service("db", DB, HEALTH));
    let script = "docker ps --filter health=healthy --format '{{.Names}}'; exit 7";
    let done = project.run(&["run", "--compose", "compose.yml", "--", "sh", "-c", script]).expect(7);
    assert!(done.text().contains(&project.name) && done.text().contains("db_1"), "{}", done.text());
    assert_eq!(done.stderr, "");
    assert_eq!(project.log("db.log"), ["first line", "last line"]);
    project.assert_run("logboom", "system", "failed");
    project.assert_run("db", "service", "passed");
    project.assert_run("sh", "command", "failed");
    project.assert_run("compose up", "command", "passed");
    project.assert_run("compose down", "command", "passed");
    let session = project.logboom.latest();
    assert_eq!(
        (&session["outcome"], &session["exit_code"], &session["name"]),
        (&"failed".into(), &7.into(), &"sh".into())
    );
    assert!(project.log("logboom.log").iter().any(|line| line.starts_with("db is ready (healthy) after")));
    assert_eq!(project.left(), "");
    let around = project.logboom.text(["show", "--raw"]);
    assert!(
        around.find("is ready") < around.find(&format!("{}\n", done.text().lines().next().unwrap())),
        "one timeline: {around}"
    );
}

#[test]
fn services_are_waited_for_also_where_their_names_are_taken_for_secrets() {
    let project = Project::new("named", &service("orders-db", DB, HEALTH));
    let alone = format!(
        "[[service]]\nname = \"orders-db-alone\"\nimage = \"{IMAGE}\"\ncommand = [\"/bin/sh\", \"-c\", '''{DB}''']\nwait = \"log:first line\"\n"
    );
    let spec = format!(
        "[[service]]\nname = \"stack\"\ncompose = \"compose.yml\"\n{alone}[[test]]\nname = \"unit\"\ncommand = \"true\"\n"
    );
    fs::write(project.file("logboom-test.toml"), spec).unwrap();
    let done: Done = project.command(&["test"]).env("DB_PASSWORD", "orders-db").output().unwrap().into();
    done.expect(0);
    project.assert_run("***", "service", "passed");
    project.assert_run("***-alone", "service", "passed");
    let kept = fs::read_to_string(project.logboom.session_file("session.json")).unwrap();
    assert!(!kept.contains("orders-db"), "{kept}");
    assert_eq!(project.left(), "");
}

#[test]
fn the_command_runs_as_its_options_say() {
    let project = Project::new("opts", &service("db", DB, HEALTH));
    let script = "(while [ ! -e go ]; do sleep 0.05; done; echo late) & echo early; (sleep 0.5; touch go) &";
    let run = ["run", "--compose", "compose.yml", "--drain", "forever", "--grace", "1s"];
    let done = project.run(&[&run[..], &["--", "sh", "-c", script]].concat()).expect(0);
    assert_eq!(done.text(), "early\nlate\n");
    let never = [&run[..3], &["--drain", "0s", "--", "sh", "-c", "sleep 600 & echo $!"]].concat();
    let left = project.run(&never).expect(0).text();
    signal("-KILL", left.trim().parse().unwrap());
    assert_eq!(project.left(), "");
}

#[test]
fn lines_ports_and_urls_of_services_are_waited_for() {
    let web = "echo listening soon; sleep 0.5; echo hello > /tmp/index.html; echo listening now; exec httpd -f -p 8080 -h /tmp";
    let project = Project::new("wait", &service("web", web, "    ports: ['127.0.0.1::8080']\n"));
    let waits = ["--wait", "web=log:listening now", "--wait", "web=port:8080", "--wait", "web=http:http://web:8080/"];
    let args = [&["run", "--compose", "compose.yml"][..], &waits, &["--", "true"]].concat();
    project.run(&args).expect(0);
    let told = project.log("logboom.log").join("\n");
    for part in ["(log:listening now)", "(port:8080)", "(http://web:8080/)"] {
        assert!(told.contains(&format!("web is ready {part}")), "{part}: {told}");
    }
    // It ends of SIGTERM, as it was told to.
    project.assert_run("web", "service", "interrupted");
    assert_eq!(project.left(), "");
}

#[test]
fn a_published_port_behind_which_nothing_listens_is_not_ready() {
    let project = Project::new("proxy", &service("web", "sleep 600", "    ports: ['127.0.0.1::8080']\n"));
    let args =
        ["run", "--compose", "compose.yml", "--wait", "web=port:8080", "--wait-timeout", "1s", "--", "touch", "ran"];
    let done = project.run(&args).expect(125);
    assert!(done.stderr.contains("web takes no connection (port:8080)"), "{}", done.stderr);
    assert!(!project.file("ran").exists());
    assert_eq!(project.left(), "");
}

#[test]
fn a_service_that_fails_is_told_with_its_last_lines_and_all_is_taken_down() {
    let services = service("db", "echo out of memory >&2; exit 3", "") + &service("web", "sleep 600", "");
    let project = Project::new("bad", &services);
    let args = ["run", "--compose", "compose.yml", "--wait", "db=port:1", "--", "touch", "ran"];
    let done = project.run(&args).expect(125);
    assert!(done.stderr.contains("db has exited with 3, and was waited for (port:1)"), "{}", done.stderr);
    assert!(done.stderr.contains("out of memory"), "{}", done.stderr);
    assert!(!project.file("ran").exists());
    assert_eq!(project.left(), "");
}

#[test]
fn what_compose_says_is_shown_where_it_fails() {
    let project = Project::new("wrong", "  db:\n    image: logboom-none:none\n    build: ./none\n");
    let done = project.run(&["run", "--compose", "compose.yml", "--", "touch", "ran"]).expect(125);
    assert!(done.stderr.contains("`compose up` exited with 1"), "{}", done.stderr);
    assert!(done.stderr.contains("none"), "{}", done.stderr);
    assert!(!project.file("ran").exists());
}

#[test]
fn services_of_one_s_own_are_left_alone() {
    let project = Project::new("own", &service("db", DB, HEALTH));
    let name = &project.name;
    let mine = Container::named("own");
    mine.run(&["--label", &format!("com.docker.compose.project={name}")], "sleep 600");
    let args = ["run", "--compose", "compose.yml", "--project", name, "--", "touch", "ran"];
    let done = project.run(&args).expect(125);
    assert!(done.stderr.contains("has containers already"), "{}", done.stderr);
    assert!(!project.file("ran").exists());
    assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", &mine.name]), "true");
    mine.remove();
    project.run(&args).expect(0);
    assert_eq!(project.left(), "");
}

#[test]
fn volumes_of_a_project_with_a_name_that_was_given_are_left_alone() {
    let project = Project::new("vol", &service("db", DB, &format!("{HEALTH}    volumes: ['data:/data']\n")));
    let compose = fs::read_to_string(project.file("compose.yml")).unwrap();
    fs::write(project.file("compose.yml"), format!("{compose}volumes:\n  data: {{}}\n")).unwrap();
    let volumes = || docker(&["volume", "ls", "-q", "--filter", &format!("name={}", project.name)]);
    project.run(&["run", "--compose", "compose.yml", "--", "true"]).expect(0);
    assert_eq!(volumes(), "");
    project.run(&["run", "--compose", "compose.yml", "--project", &project.name, "--", "true"]).expect(0);
    assert_eq!(volumes(), format!("{}_data", project.name));
    docker(&["volume", "rm", &format!("{}_data", project.name)]);
}

#[test]
fn a_volume_that_was_there_before_is_left_alone_and_those_of_the_session_go() {
    let project =
        Project::new("own", &service("db", DB, &format!("{HEALTH}    volumes: ['shop:/a', 'data:/b', '/c']\n")));
    let name = format!("{}-of-somebody", project.name);
    docker(&["volume", "create", &name]);
    let compose = fs::read_to_string(project.file("compose.yml")).unwrap();
    let volumes = format!("volumes:\n  shop: {{name: {name}}}\n  data: {{}}\n");
    fs::write(project.file("compose.yml"), compose + &volumes).unwrap();
    let of_container = "docker inspect -f '{{range .Mounts}}{{.Name}} {{end}}' $(docker ps -q --filter label=com.docker.compose.service=db \
                        --filter name=lbown)";
    let done = project.run(&["run", "--compose", "compose.yml", "--", "sh", "-c", of_container]).expect(0);
    let mounted: Vec<String> = done.text().split_whitespace().map(str::to_owned).collect();
    assert_eq!(mounted.len(), 3, "{mounted:?}");
    let there = docker(&["volume", "ls", "-q"]);
    let left: Vec<&String> = mounted.iter().filter(|volume| there.lines().any(|line| line == **volume)).collect();
    assert_eq!(left, [&name]);
    docker(&["volume", "rm", &name]);
    assert_eq!(project.left(), "");
}

#[test]
fn no_tear_down_that_is_for_an_engine_in_a_container_reaches_another() {
    let logboom = Logboom::new();
    let spec = "[dind]\nimage = \"logboom-test:no-such-image\"\n[[test]]\nname = \"unit\"\ncommand = \"true\"\n\
                [[tear_down]]\nname = \"prune\"\ncommand = \"touch pruned\"\n";
    fs::write(logboom.path("logboom-test.toml"), spec).unwrap();
    logboom.run(["test"]).expect(125);
    assert!(!logboom.path("pruned").exists());
    let told = fs::read_to_string(logboom.session_file("logboom.log")).unwrap();
    assert!(told.contains("the tear-down is not run"), "{told}");
}

#[test]
fn two_compose_files_of_one_directory_are_two_projects_and_secrets_of_containers_are_in_no_argument() {
    let project = Project::new("two", &service("db", "echo db up; sleep 600", ""));
    let web = service("web", "echo web up; sleep 600", "");
    fs::write(project.file("two.yml"), format!("version: '2.4'\nservices:\n{web}")).unwrap();
    let spec = format!(
        r#"
[[service]]
name = "one"
compose = "compose.yml"
wait = "db=log:db up"
[[service]]
name = "two"
compose = "two.yml"
wait = "web=log:web up"
[[service]]
name = "cache"
image = "{IMAGE}"
command = "echo $CACHE_PASSWORD; sleep 600"
env = {{ CACHE_PASSWORD = "hunter2hunter2" }}
wait = "log:*"
stop_grace = "0s"
[[test]]
name = "unit"
command = "true"
"#
    );
    fs::write(project.file("t.toml"), spec).unwrap();
    project.run(&["test", "t.toml"]).expect(0);
    assert_eq!((project.log("db.log").len(), project.log("web.log").len()), (1, 1));
    assert_eq!(project.log("cache.log"), ["*".repeat("hunter2hunter2".len())]);
    let meta = fs::read_to_string(project.logboom.session_file("session.json")).unwrap();
    assert!(meta.contains("CACHE_PASSWORD") && !meta.contains("hunter2hunter2"), "{meta}");
    assert_eq!(project.left(), "");
}

fn running(project: &Project, args: &[&str]) -> Running {
    let running = Running::of(&mut project.command(args));
    wait_until(|| fs::read_to_string(project.file("running")).is_ok_and(|pid| pid.ends_with('\n')));
    running
}

#[test]
fn services_are_taken_down_where_a_signal_or_the_time_ends_the_command() {
    let project = Project::new("sig", &service("db", DB, HEALTH));
    let script = "echo $$ > running; exec sleep 600";
    let run = ["run", "--compose", "compose.yml"];
    for (name, number) in [("-INT", 2), ("-TERM", 15)] {
        let running = running(&project, &[&run[..], &["--", "sh", "-c", script]].concat());
        signal(name, running.pid());
        assert_eq!(running.done().signal, Some(number));
        assert_eq!(project.logboom.latest()["outcome"], "interrupted");
        assert_eq!(project.log("db.log"), ["first line", "last line"]);
        assert_eq!(project.left(), "", "{name}");
        fs::remove_file(project.file("running")).unwrap();
    }
    project.run(&[&run[..], &["--timeout", "300ms", "--", "sleep", "600"]].concat()).expect(124);
    assert_eq!(project.logboom.latest()["outcome"], "timed_out");
    assert_eq!(project.left(), "");
}

#[test]
fn a_signal_while_services_come_up_takes_them_down() {
    let project = Project::new("early", &service("db", DB, ""));
    let args = ["run", "--compose", "compose.yml", "--wait", "db=log:never", "--", "touch", "ran"];
    let running = Running::of(&mut project.command(&args));
    wait_until(|| {
        project.left().len() > 12 && !docker(&["ps", "-q", "--filter", &format!("name={}", project.name)]).is_empty()
    });
    signal("-INT", running.pid());
    assert_eq!(running.done().signal, Some(2));
    assert!(!project.file("ran").exists());
    assert_eq!(project.left(), "");
}

#[test]
fn a_file_may_have_compose_projects_containers_and_programs() {
    let project = Project::new("mixed", &service("db", DB, HEALTH));
    let spec = format!(
        r#"
name = "mixed"
[[service]]
name = "cache"
image = "{IMAGE}"
command = ["sh", "-c", "echo cache $KIND; touch /tmp/index.html; exec httpd -f -p 80 -h /tmp"]
env = {{ KIND = "small" }}
wait = ["log:cache small", "port:80"]
stop_grace = "0s"

[[service]]
name = "stack"
compose = "compose.yml"
after = ["cache"]

[[service]]
name = "api"
command = "echo api up; sleep 600"
wait = "log:api up"
after = ["stack"]

[[test]]
name = "unit"
command = ["docker", "ps", "--format", "{{{{.Names}}}}"]
"#
    );
    fs::write(project.file("t.toml"), spec).unwrap();
    let done = project.run(&["test", "t.toml"]).expect(0);
    assert!(done.text().contains("db_1") && done.text().contains("-cache"), "{}", done.text());
    for (name, kind, outcome) in [
        ("cache", "service", "interrupted"),
        ("db", "service", "passed"),
        ("api", "service", "interrupted"),
        ("unit", "command", "passed"),
        ("docker run cache", "command", "passed"),
    ] {
        project.assert_run(name, kind, outcome);
    }
    assert_eq!(project.log("cache.log"), ["cache small"]);
    assert_eq!(project.left(), "");
    let session = project.logboom.latest()["id"].as_str().unwrap().to_owned();
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("label=logboom.session={session}")]), "");
}

const DIND: &str = "logboom-test:dind";

/// What an engine is made of, as Debian has it, and where that is looked for.
const PROGRAMS: [&str; 7] =
    ["dockerd", "docker-proxy", "containerd", "containerd-shim-runc-v2", "runc", "iptables", "busybox"];
const DIRS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// An image of this machine's engine, made once.
fn make_dind_image() {
    if !docker(&["images", "-q", DIND]).is_empty() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let script = r#"
        set -e
        root=$1; shift
        mkdir -p "$root"/usr/bin "$root"/usr/sbin "$root"/etc "$root"/tmp "$root"/var/run "$root"/proc "$root"/sys "$root"/dev
        ln -s usr/bin "$root/bin"; ln -s usr/sbin "$root/sbin"; ln -s usr/lib "$root/lib"; ln -s usr/lib64 "$root/lib64"
        mkdir -p "$root/usr/lib" "$root/usr/lib64"
        libs=/usr/lib/$(uname -m)-linux-gnu/xtables
        for file in "$@" "$libs"/*.so; do
            [ -e "$file" ] || continue
            mkdir -p "$root$(dirname "$file")"
            cp -L "$file" "$root$file"
            ldd "$file" 2>/dev/null | grep -o '/[^ )]*' | while read -r lib; do
                [ -e "$root$lib" ] || { mkdir -p "$root$(dirname "$lib")"; cp -L "$lib" "$root$lib"; }
            done
        done
        for name in sh mount umount mkdir rm ls cat ps kill sleep; do ln -sf busybox "$root/usr/bin/$name"; done
    "#;
    let find = |name: &&str| DIRS.iter().map(|dir| format!("{dir}/{name}")).find(|path| Path::new(path).exists());
    let missing: Vec<&&str> = PROGRAMS.iter().filter(|name| find(name).is_none()).collect();
    assert!(missing.is_empty(), "this test needs {missing:?}: Debian's docker.io, iptables and busybox-static");
    let files = PROGRAMS.iter().filter_map(find);
    let made = Command::new("sh").args(["-c", script, "sh"]).arg(root.path()).args(files).status().unwrap();
    assert!(made.success());
    let mut tar =
        Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
    let change = "ENV PATH=/usr/sbin:/usr/bin";
    let import = Command::new("docker")
        .args(["import", "--change", change, "-", DIND])
        .stdin(tar.stdout.take().unwrap())
        .output();
    assert!(tar.wait().unwrap().success() && import.unwrap().status.success());
}

#[test]
fn containers_of_a_session_are_in_an_engine_of_its_own_and_are_captured_as_any_others() {
    make_image();
    make_dind_image();
    let logboom = Logboom::new();
    let command =
        Value::from(vec!["/bin/sh", "-c", "echo inner line; touch /tmp/index.html; exec httpd -f -p 80 -h /tmp"]);
    let compose = format!(
        "version: '2.4'\nservices:\n  web:\n    image: {IMAGE}\n    command: {command}\n    ports: ['8080:80']\n    stop_grace_period: 0s\n"
    );
    fs::write(logboom.path("compose.yml"), compose).unwrap();
    let spec = format!(
        r#"
wait_timeout = "120s"
[dind]
image = "{DIND}"
load = ["{IMAGE}"]
[[service]]
name = "stack"
compose = "compose.yml"
wait = ["web=log:inner line", "web=port:80"]
[[test]]
name = "ps"
command = ["docker", "ps", "--format", "{{{{.Image}}}} {{{{.Names}}}}"]
"#
    );
    fs::write(logboom.path("logboom-test.toml"), spec).unwrap();
    let done = logboom.run(["test"]).expect(0);
    let seen = done.text();
    assert!(
        seen.starts_with(IMAGE) && seen.contains("web_1") && seen.lines().count() == 1,
        "the inner engine alone: {seen}"
    );
    let meta: Value = serde_json::from_slice(&fs::read(logboom.session_file("session.json")).unwrap()).unwrap();
    let kind_of = |name: &str| {
        let runs = meta["runs"].as_array().unwrap();
        runs.iter().find(|run| run["name"] == name).map(|run| run["kind"].as_str().unwrap().to_owned())
    };
    assert_eq!((kind_of("dind").as_deref(), kind_of("web").as_deref()), (Some("service"), Some("service")));
    let shown = logboom.text(["show", "--raw", "--run", "web"]);
    assert_eq!(shown, "inner line\n");
    assert!(logboom.text(["show", "--raw", "--run", "dind"]).contains("API listen on"), "the engine's own lines");
    let session = format!("label=logboom.session={}", logboom.latest()["id"].as_str().unwrap());
    assert_eq!(docker(&["ps", "-aq", "--filter", &session]), "");
}
