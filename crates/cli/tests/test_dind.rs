//! `logboom test` with `[dind]`: all containers in an engine of their own, within a container of the engine that is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use common::{
    Logboom,
    engine::{IMAGE, docker, make_image},
};
use serde_json::Value;

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
