//! Secrets are in nothing that is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{fs, path::Path, process::Stdio};

use common::{
    Done, Logboom, Running,
    engine::{Container, IMAGE, docker},
    spec::{DAEMON, has as has_run, is_kept, runs, service, spec, test},
    wait_until,
};

const SECRET: &str = "hunter2-and-more";

/// Whether any file below has these bytes, or those of the boom files' text.
fn has(dir: &Path, secret: &str) -> bool {
    fs::read_dir(dir).unwrap().flatten().any(|entry| match entry.file_type().unwrap().is_dir() {
        true => has(&entry.path(), secret),
        false => fs::read(entry.path()).unwrap().windows(secret.len()).any(|bytes| bytes == secret.as_bytes()),
    })
}

fn expect_nothing_of_it(logboom: &Logboom) {
    assert!(!has(&logboom.data(), SECRET));
    let shown = logboom.run(["show", "--json"]).expect(0).text();
    assert!(!shown.contains("hunter2") && !shown.contains("and-more"), "{shown}");
}

fn masked(logboom: &Logboom) -> u64 {
    let session: serde_json::Value =
        serde_json::from_slice(&fs::read(logboom.session_file("session.json")).unwrap()).unwrap();
    session["runs"][0]["masked"].as_u64().unwrap_or(0)
}

#[test]
fn values_of_variables_are_masked_wherever_they_stand_and_passed_on() {
    let logboom = Logboom::new();
    let script = "echo \"all $MY_TOKEN\"; printf hunter2; sleep 0.4; printf -- '-and-'; sleep 0.4; echo more; echo \"$MY_TOKEN\" >&2";
    let word = format!("echo {SECRET}; {script}");
    let label = format!("{SECRET}={SECRET}");
    let args = ["run", "--name", SECRET, "--label", &label, "--", "sh", "-c", &word];
    let done = logboom.command(&args).env("MY_TOKEN", SECRET).output().unwrap();
    assert_eq!(
        String::from_utf8(done.stdout).unwrap(),
        format!("{SECRET}\nall {SECRET}\n{SECRET}\n"),
        "it is passed on"
    );
    expect_nothing_of_it(&logboom);
    assert_eq!(logboom.text(["show", "--raw", "--stream", "stdout"]), "***\nall ***\n***\n");
    assert_eq!(masked(&logboom), 4);
    assert!(logboom.run(["sessions", "--json"]).expect(0).text().contains("echo ***; "));
}

#[test]
fn what_is_asked_for_is_masked() {
    let logboom = Logboom::new();
    let print = format!("echo \"$PLAIN id=4711 {SECRET}\"");
    let args =
        ["run", "--mask-env", "PLAIN", "--mask", "id=[0-9]+", "--mask", "hunter2-[a-z-]+", "--", "sh", "-c", &print];
    logboom.command(&args).env("PLAIN", "plain value").output().unwrap();
    expect_nothing_of_it(&logboom);
    assert_eq!(logboom.text(["show", "--raw"]), "*** *** ***\n");
    assert_eq!(masked(&logboom), 3);
}

#[test]
fn nothing_is_masked_where_that_is_asked_for() {
    let logboom = Logboom::new();
    logboom
        .command(&["run", "--no-mask", "--", "sh", "-c", "echo $MY_TOKEN"])
        .env("MY_TOKEN", SECRET)
        .output()
        .unwrap();
    assert_eq!(logboom.text(["show", "--raw"]), format!("{SECRET}\n"));
    for (args, says) in [
        (&["--mask", "("][..], "is no pattern to mask by"),
        (&["--mask", "x*"], "would mask everything"),
        (&["--mask-env", "SHORT"], "only 4 to 65536 can be masked"),
    ] {
        let all: Vec<&str> = ["run"].iter().chain(args).chain(&["--", "echo", "not run"]).copied().collect();
        let done = logboom.command(&all).env("SHORT", "abc").output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains(says) && done.stdout.is_empty(), "{args:?}: {said}");
        assert_eq!(done.status.code(), Some(125), "{args:?}");
    }
}

#[test]
fn a_secret_that_the_command_tells_is_masked_from_then_on_and_markup_becomes_events() {
    let logboom = Logboom::new();
    let script = format!(
        "echo '::add-mask::abc'; echo '::group::Build'; echo '::add-mask::{SECRET}'; echo 'it is {SECRET}'; \
         echo '::error file=src/a.rs,line=3::broke with {SECRET}'; echo '::endgroup::'"
    );
    logboom
        .run(["run", "--name", "marked", "--", "sh", "-c", &format!("{script} # of no use in the command's line")])
        .expect(0);
    let shown = logboom.text(["show", "--raw", "--stream", "stdout"]);
    let want = "::add-mask::***\n::group::Build\n::add-mask::***\nit is ***\n::error file=src/a.rs,line=3::broke with ***\n::endgroup::\n";
    assert_eq!(shown, want);
    let timeline = fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap();
    let events: Vec<serde_json::Value> = timeline.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("{timeline}"));
    assert_eq!((&of("group")["name"], &of("group")["seq"]), (&"Build".into(), &3.into()));
    assert_eq!(of("group_end")["seq"], 7);
    let told = logboom.text(["show", "--raw", "--stream", "system"]);
    assert_eq!(
        told,
        "a value that ::add-mask:: tells is not masked, or a line of it: only lines of 4 to 65536 bytes are\n"
    );
    let annotation = of("annotation");
    assert_eq!(
        (&annotation["level"], &annotation["file"], &annotation["line"]),
        (&"error".into(), &"src/a.rs".into(), &3.into())
    );
    assert_eq!(annotation["message"], "broke with ***");
}

#[test]
fn a_secret_that_is_told_in_two_halves_is_kept_in_none() {
    let logboom = Logboom::new();
    let script = "printf '::add-mask::hunter2-'; printf waiting >&2; while [ ! -e go ]; do sleep 0.05; done; \
                  echo and-more; echo it is hunter2-''and-more";
    let running = logboom.start(["run", "--quiet", "--", "sh", "-c", script]);
    let sessions = logboom.data().join("sessions");
    let log = |dir: fs::DirEntry| fs::read_to_string(dir.path().join("exec_sh.log")).unwrap_or_default();
    // What is unfinished on the other stream is written as a part by then.
    let is_late = || fs::read_dir(&sessions).is_ok_and(|dirs| dirs.flatten().any(|dir| log(dir).contains("waiting")));
    wait_until(is_late);
    fs::write(logboom.path("go"), "").unwrap();
    running.done().expect(0);
    expect_nothing_of_it(&logboom);
    assert_eq!(logboom.text(["show", "--raw", "--stream", "stdout"]), "::add-mask::***\nit is ***\n");
}

const TOKEN: &str = "tok-0123456789abcdef";

/// logboom, following a container that has this name.
fn following(logboom: &Logboom, container: &Container) -> Running {
    let mut command = logboom.command(["docker", "--quiet", "--until-exit", "--container", &container.name]);
    command.args(["--mask", "card=[0-9]+"]).env("SHOP_TOKEN", TOKEN);
    Running::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn what_containers_print_is_masked_also_where_it_comes_in_two_halves_and_where_logboom_was_killed_between_them() {
    for driver in ["json-file", "local"] {
        let logboom = Logboom::new();
        // Also its name and its image's have the secret.
        let container = Container::named(&format!("mask{driver}-{TOKEN}"));
        let image = format!("logboom-test:{TOKEN}");
        docker(&["tag", IMAGE, &image]);
        let go = |name: &str| format!("while [ ! -e /{name} ]; do sleep 0.1; done");
        // An engine keeps a line of more than 16 KiB in pieces, and one that has no end yet not before.
        let script = format!(
            "echo card=1234 {TOKEN}; {}; head -c 16380 /dev/zero | tr '\\0' x; printf '{}'; {}; echo '{}'; echo last >&2",
            go("one"),
            &TOKEN[..4],
            go("two"),
            &TOKEN[4..]
        );
        let name = &container.name;
        docker(&["run", "-d", "--name", name, "--log-driver", driver, &image, "/bin/sh", "-c", &script]);
        let touch = |name: &str| drop(docker(&["exec", &container.name, "sh", "-c", &format!(": > /{name}")]));
        let log = || {
            let sessions = fs::read_dir(logboom.data().join("sessions")).into_iter().flatten().flatten();
            let files = sessions.flat_map(|dir| fs::read_dir(dir.path()).into_iter().flatten().flatten());
            let is_log = |file: &fs::DirEntry| file.file_name().to_string_lossy().ends_with(".log");
            files.filter(is_log).find_map(|file| fs::read_to_string(file.path()).ok()).unwrap_or_default()
        };
        let mut first = following(&logboom, &container);
        wait_until(|| log().contains("O I *** ********************\n"));
        touch("one");
        wait_until(|| log().contains("xxx"));
        first.kill_9();
        let second = following(&logboom, &container);
        touch("two");
        second.done().expect(0);
        let shown = logboom.text(["show", "--raw", "--stream", "stdout"]);
        let long = "x".repeat(16_380);
        // The driver `local` keeps no newline of a line in pieces.
        assert_eq!(shown.trim_end(), format!("*** ********************\n{long}********************"), "{driver}");
        docker(&["rmi", &image]);
        let meta: serde_json::Value =
            serde_json::from_slice(&fs::read(logboom.session_file("session.json")).unwrap()).unwrap();
        let runs = meta["runs"].as_array().unwrap();
        let [service] = &runs[..] else { panic!("{driver}: it is one service: {meta}") };
        let masked_name = container.name.replace(TOKEN, "***");
        assert_eq!(
            (&service["name"], &service["labels"]["container"], &service["containers"][0]["image"]),
            (&masked_name.clone().into(), &masked_name.into(), &"logboom-test:***".into())
        );
        let dir = logboom.session_file("");
        assert!(!has(&logboom.data(), TOKEN), "{driver}");
        assert!(!has(&dir, TOKEN) && !has(&dir, &TOKEN[..4]) && !has(&dir, "card=1234"), "{driver}");
        assert_eq!(masked(&logboom), 1, "{driver}: of what came since it was begun again");
    }
}

#[test]
fn secrets_are_kept_in_no_file_of_the_session() {
    let logboom = Logboom::new();
    let echo = "echo token=$SHOP_TOKEN card=1234; echo listening; sleep 600";
    let text = format!(
        "mask = [\"card=\\\\d+\"]\nmask_env = [\"SHOP_PIN\"]\n{}{}",
        service("api", echo, "wait = \"log:listening\""),
        test("unit", "echo pin $SHOP_PIN; echo $SHOP_TOKEN | cat", "")
    );
    spec(&logboom, &text);
    let mut command = logboom.command(["test", "--quiet"]);
    let done: Done = command.env("SHOP_TOKEN", "tok-0123456789").env("SHOP_PIN", "98765").output().unwrap().into();
    done.expect(0);
    let dir = logboom.session_file("");
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for secret in ["tok-0123456789", "98765", "card=1234"] {
            assert!(
                !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
                "{secret} in {}",
                path.display()
            );
        }
    }
    let shown = logboom.text(["show", "--raw"]);
    assert!(shown.contains("token=*** ***\n") && shown.contains("pin ***\n"), "{shown}");
}

#[test]
fn a_password_that_is_the_name_of_a_program_is_kept_unless_it_is_named() {
    let logboom = Logboom::new();
    let run = |more: &[&str]| {
        let mut command = logboom.command(["run", "--quiet"]);
        let args = more.iter().chain(&["--", "echo", "postgres is ready"]);
        Done::from(command.args(args).env("POSTGRES_PASSWORD", "postgres").output().unwrap()).expect(0);
        logboom.text(["show", "--raw"])
    };
    assert_eq!(run(&[]), "postgres is ready\n");
    assert_eq!(run(&["--mask-env", "POSTGRES_PASSWORD"]), "*** is ready\n");
}

#[test]
fn a_service_is_waited_for_also_where_its_name_is_taken_for_a_secret() {
    let logboom = Logboom::new();
    let daemon = service("orders-db", DAEMON, "wait = \"log:listening\"");
    spec(&logboom, &(daemon + &test("unit", "true", "")));
    let done = logboom.command(&["test"]).env("DB_PASSWORD", "orders-db").output().unwrap();
    Done::from(done).expect(0);
    let runs = runs(&logboom);
    assert!(has_run(&runs, "***", "service", "interrupted"), "{runs:?}");
}

#[test]
fn secrets_that_stand_in_the_file_are_kept_no_more_than_others() {
    let logboom = Logboom::new();
    let more = "wait = \"log:listening\"\nenv = { DB_PASSWORD = \"hunter2hunter2\", PIN = \"4711-4711\" }";
    let api = service("-x", "echo $DB_PASSWORD $PIN; echo listening; sleep 600", more);
    let script = "echo $API_TOKEN; echo -----BEGIN KEY; exec ./t0ken-in-a-path";
    let unit = test("unit", script, "env = { API_TOKEN = \"t0ken-in-a-path\" }");
    let script = logboom.path("t0ken-in-a-path");
    fs::write(&script, "#!/bin/sh\necho ran\n").unwrap();
    std::process::Command::new("chmod").arg("+x").arg(&script).status().unwrap();
    spec(&logboom, &format!("mask = [\"-----BEGIN.*\"]\nmask_env = [\"PIN\"]\n{api}{unit}"));
    logboom.run(["test"]).expect(0);
    for secret in ["hunter2hunter2", "4711-4711", "t0ken-in-a-path", "BEGIN KEY"] {
        assert!(!is_kept(&logboom, secret), "{secret}");
        assert!(!logboom.text(["show", "--raw"]).contains(secret), "{secret}");
    }
    let mut command = logboom.command(["run", "--quiet", "--", script.to_str().unwrap()]);
    let done: Done = command.env("API_TOKEN", "t0ken-in-a-path").output().unwrap().into();
    done.expect(0);
    assert!(!is_kept(&logboom, "t0ken-in-a-path"), "the text log's name");
    let no_mask = logboom.run(["test", "--no-mask", "--quiet"]).expect(0);
    assert_eq!(no_mask.stderr, "");
    assert!(logboom.text(["show", "--raw"]).contains("hunter2hunter2"));
}

#[test]
fn a_secret_that_a_test_tells_is_masked_in_all_that_the_session_keeps_from_then_on() {
    let logboom = Logboom::new();
    let api = "echo listening; while [ ! -e login ]; do sleep 0.05; done; sleep 0.5; echo Bearer $(cat login); echo done; sleep 600";
    fs::write(logboom.path("secret"), SECRET).unwrap();
    let login = test("login", "echo \" ::Add-Mask::$(cat secret)\"; cp secret login", "");
    let waits = "while ! grep -q done $LOGBOOM_DIR/sessions/*/api.log; do sleep 0.05; done";
    let next = format!("[[test]]\nname = \"next\"\ncommand = [\"echo\", \"--token={SECRET}\"]\n");
    let fails = test(&format!("use {SECRET}"), "exit 3", "retries = 1");
    let text = [service("api", api, "wait = \"log:listening\""), login, test("wait", waits, ""), next, fails].concat();
    spec(&logboom, &text);
    logboom.run(["test", "--quiet"]).expect(3);
    let shown = logboom.text(["show", "--raw"]);
    assert!(
        shown.contains("::add-mask::***\n") && shown.contains("Bearer ***\n") && shown.contains("--token=***\n"),
        "{shown}"
    );
    let kept = fs::read_to_string(logboom.session_file("session.json")).unwrap();
    let meta: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let runs = meta["runs"].as_array().unwrap();
    let next = runs.iter().find(|run| run["name"] == "next").unwrap();
    assert_eq!(next["command"][1], "--token=***");
    assert!(shown.contains("use ***: failed (exit 3); it is run again\n"), "{shown}");
    let files = fs::read_dir(logboom.session_file("")).unwrap().flatten();
    for file in files.filter(|file| file.path().extension().is_some_and(|extension| extension != "boom")) {
        assert!(!fs::read_to_string(file.path()).unwrap().contains(SECRET), "{}", file.path().display());
    }
}

#[test]
fn a_logboom_within_masks_what_the_one_around_it_does() {
    let logboom = Logboom::new();
    let program = env!("CARGO_BIN_EXE_logboom");
    let inner = format!("{program} run --mask 'id=[0-9]+' -- sh -c 'echo card=1234567 id=42 $PLAIN'");
    let args = ["run", "--mask", r"card=\d+", "--mask-env", "PLAIN", "--", "sh", "-c", &inner];
    let done: Done = logboom.command(&args).env("PLAIN", "plain value").output().unwrap().into();
    done.expect(0);
    assert_eq!(runs(&logboom).len(), 2);
    for secret in ["card=1234567", "plain value"] {
        assert!(!is_kept(&logboom, secret) && !logboom.text(["show", "--raw"]).contains(secret), "{secret}");
    }
    assert!(logboom.text(["show", "--raw", "--run", "sh.2"]).contains("*** *** ***\n"));
    let bare: Done = logboom.command(&args).env_remove("PLAIN").output().unwrap().into();
    let said = bare.expect(0).stderr;
    assert!(said.contains("nothing is masked for PLAIN: there is no such variable"), "{said}");
}

#[test]
fn names_and_labels_of_a_session_to_which_others_add_are_masked() {
    let logboom = Logboom::new();
    let label = format!("url=https://x:{SECRET}@host");
    let args = ["session", "start", "--name", SECRET, "--label", &label];
    let done: Done = logboom.command(&args).env("API_TOKEN", SECRET).output().unwrap().into();
    done.expect(0);
    expect_nothing_of_it(&logboom);
    assert_eq!(logboom.latest()["labels"]["url"], "https://x:***@host");
}
