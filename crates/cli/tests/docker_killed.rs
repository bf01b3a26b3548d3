//! `logboom docker` where logboom or the engine is killed, a log rotates, or a clock is put back: what the engine has kept is there once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::ops::RangeInclusive;

use common::{
    Logboom,
    engine::{self, Container, Gate, OwnEngine, Proxy, docker, follow, messages, wait_for_session},
    signal, wait_until,
};

#[test]
fn kills_at_random_moments_lose_nothing_of_many_containers() {
    const CONTAINERS: usize = 12;
    const LINES: u32 = 15_000;
    let (logboom, gate) = (Logboom::new(), Gate::new());
    let label = format!("logboom-random={}", std::process::id());
    let containers: Vec<_> = (0..CONTAINERS).map(|number| Container::named(&format!("random{number}"))).collect();
    // None ends before some kills have come.
    let script = format!("{}; {}; {}; exit 0", paced(1..=LINES / 3), gate.wait(), paced(LINES / 3 + 1..=LINES));
    let options = ["--label", &label, "--log-opt", "max-size=300k", "--log-opt", "max-file=9", "-v", &gate.volume()];
    containers.iter().for_each(|container| container.create(&options, &script));
    let names = containers.iter().map(|container| container.name.as_str());
    docker(&["start"].into_iter().chain(names).collect::<Vec<_>>());
    let args = ["--label", &label, "--until-exit", "--quiet"];
    let kills = kill_until_done(&logboom, &args, &gate);
    assert!(kills >= 6, "{kills}");
    // A kill may come before a session has its first service.
    let sessions = logboom.jsons(["sessions", "--json"]);
    let used: Vec<_> = sessions.iter().filter(|session| !session["runs"].as_array().unwrap().is_empty()).collect();
    assert_eq!(used.len(), 1, "all went on in one session: {sessions:?}");
    for container in &containers {
        let shown = logboom.run(["show", "--run", &container.name, "--raw", "--stream", "stdout"]).expect(0).lines();
        let wrong = (1..).map(|number| format!("out {number:07}")).zip(&shown).find(|(want, found)| want != *found);
        assert_eq!((wrong, shown.len()), (None, LINES as usize), "{} after {kills} kills", container.name);
    }
    logboom.run(["verify"]).expect(0);
}

/// Follows and is killed, again and again; how often, until all was there. Opens the gate when it was killed six times.
fn kill_until_done(logboom: &Logboom, args: &[&str], gate: &Gate) -> u32 {
    let (mut kills, mut random) = (0, std::process::id() as u64);
    loop {
        let mut following = follow(logboom, args);
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        // Every third gets far; the others are killed while they begin, perhaps.
        let millis = (random >> 40) % if kills % 3 == 2 { 800 } else { 150 };
        std::thread::sleep(std::time::Duration::from_millis(millis));
        if kills < 20 {
            signal("-KILL", following.id());
        }
        // A kill may come when all is done, before the end of the process.
        let has_ended = || logboom.jsons(["sessions", "--json"]).iter().any(|session| session["outcome"] == "passed");
        if following.wait().unwrap().success() || has_ended() {
            return kills;
        }
        kills += 1;
        assert!(kills < 40, "nothing is killed any more, and it never ends well");
        if kills == 6 {
            gate.open();
        }
    }
}

/// Lines of these numbers at some rate, so that an engine can be ended in the midst of them.
fn paced(lines: RangeInclusive<u32>) -> String {
    format!(
        "awk 'BEGIN {{ for (i = {}; i <= {}; i++) {{ printf \"out %07d\\n\", i; \
         if (i % 10 == 0) printf \"err %07d\\n\", i > \"/dev/stderr\"; \
         if (i % 500 == 0) {{ fflush(); system(\"sleep 0.05\") }} }} }}'",
        lines.start(),
        lines.end()
    )
}

/// Every line that the engine kept is there once, in its order. The engine itself may lose what it has read from the container and
/// not written yet when it ends; by an attached stream (not with a file) some of that may have come. Of `lines` numbered lines
/// it has nearly all.
#[track_caller]
fn expect_as_kept(logboom: &Logboom, own: &OwnEngine, host: &str, lines: u32) {
    for (stream, part) in [("stdout", "2>/dev/null"), ("stderr", "2>&1 >/dev/null")] {
        let kept = own.logs("paced", part);
        let (found, kept) = (messages(logboom, stream), kept.lines().collect::<Vec<_>>());
        assert!(found.is_sorted_by(|one, next| one < next), "{stream} of {host}: none twice, none out of its order");
        let lacks: Vec<_> =
            kept.iter().filter(|line| found.binary_search_by(|found| found[..].cmp(line)).is_err()).collect();
        assert!(
            lacks.is_empty(),
            "{stream} of {host}: {} lines, from {} to {}",
            lacks.len(),
            lacks[0],
            lacks[lacks.len() - 1]
        );
        assert!(host.starts_with("tcp") || found.len() == kept.len(), "{stream}: {} for {}", found.len(), kept.len());
        assert!(stream == "stderr" || kept.len() * 10 > lines as usize * 9, "{} of {lines} lines", kept.len());
    }
}

#[test]
fn an_engine_that_ends_and_comes_back_is_gone_on_with() {
    let mut own = OwnEngine::start();
    for host in [own.host(), Proxy::to(own.socket()).host] {
        let logboom = Logboom::new();
        let lines = 40_000;
        own.docker(&["create", "--network", "none", "--name", "paced", engine::IMAGE, "sh", "-c", &paced(1..=lines)]);
        let mut following = follow(&logboom, &["--host", &host, "--container", "paced", "--until-exit", "--quiet"]);
        wait_for_session(&logboom);
        own.docker(&["start", "paced"]);
        let bytes = || std::fs::metadata(logboom.session_file("paced.log")).map_or(0, |log| log.len());
        for part in 1..=2 {
            wait_until(|| bytes() > part * 300_000);
            own.end("-TERM");
            own.restart();
        }
        assert_eq!(following.wait().unwrap().code(), Some(0), "{host}");
        expect_as_kept(&logboom, &own, &host, lines);
        let timeline = std::fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap();
        assert!(timeline.contains("engine_lost") && timeline.contains("engine_back"), "{timeline}");
        logboom.run(["verify"]).expect(0);
        own.docker(&["rm", "paced"]);
    }
}

#[test]
fn what_a_killed_engine_kept_is_there_once() {
    let mut own = OwnEngine::start();
    for host in [own.host(), Proxy::to(own.socket()).host] {
        let logboom = Logboom::new();
        own.docker(&["create", "--network", "none", "--name", "paced", engine::IMAGE, "sh", "-c", &paced(1..=40_000)]);
        let mut following = follow(&logboom, &["--host", &host, "--container", "paced", "--until-exit", "--quiet"]);
        wait_for_session(&logboom);
        own.docker(&["start", "paced"]);
        let bytes = || std::fs::metadata(logboom.session_file("paced.log")).map_or(0, |log| log.len());
        wait_until(|| bytes() > 300_000);
        own.end("-KILL");
        own.restart();
        assert_eq!(following.wait().unwrap().code(), Some(0), "{host}");
        expect_as_kept(&logboom, &own, &host, 1);
        logboom.run(["verify"]).expect(0);
        own.docker(&["rm", "paced"]);
    }
}

/// The numbers of the lines on stdout, in their order, each once; and how often it was told that the log had lost its beginning.
fn numbers(logboom: &Logboom) -> (Vec<u32>, usize) {
    let shown = logboom.run(["show", "--raw", "--stream", "stdout"]);
    let told = shown.stderr.matches("the engine's log lost its beginning").count();
    assert_eq!(shown.code, Some(i32::from(told > 0)), "{}", shown.stderr);
    let lines = String::from_utf8(shown.stdout).unwrap();
    let numbers: Vec<u32> = lines.lines().map(|line| line[4..11].parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "none twice, none out of its order");
    (numbers, told)
}

#[test]
fn the_logs_api_gives_every_line_once_through_kills_and_connections_that_break() {
    const LINES: u32 = 30_000;
    for (number, options) in [
        &["--log-driver", "json-file"][..],
        &["--log-opt", "max-size=300k", "--log-opt", "max-file=9"],
        &["--log-driver", "local", "--log-opt", "max-size=300k", "--log-opt", "max-file=9"],
    ]
    .into_iter()
    .enumerate()
    {
        let (logboom, container, proxy) = (Logboom::new(), Container::named(&format!("api{number}")), Proxy::start());
        let gate = Gate::new();
        // One that runs before it is followed is not attached to.
        let script = format!("{}; {}; exit 0", gate.wait(), paced(1..=LINES));
        container.run(&[options, &["-v", &gate.volume()]].concat(), &script);
        let args = ["--host", &proxy.host, "--container", &container.name, "--until-exit", "--quiet"];
        let mut following = follow(&logboom, &args);
        wait_for_session(&logboom);
        gate.open();
        for part in 1..=4_u64 {
            let log = || logboom.session_file(&format!("{}.log", container.name));
            wait_until(|| std::fs::metadata(log()).map_or(0, |log| log.len()) > part * 200_000);
            if part % 2 == 0 {
                proxy.cut_all();
                continue;
            }
            signal("-KILL", following.id());
            following.wait().unwrap();
            following = follow(&logboom, &args);
        }
        let done = following.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{options:?}: {}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(numbers(&logboom), ((1..=LINES).collect(), 0), "{options:?}");
        let records = logboom.jsons(["show", "--json", "--stream", "stderr"]);
        assert_eq!(records.len(), LINES as usize / 10, "{options:?}");
        assert!(records.iter().all(|record| record["origin_time_ns"].is_i64()), "{options:?}: {:?}", records[0]);
        logboom.run(["verify"]).expect(0);
    }
}

#[test]
fn ctrl_c_ends_what_is_asked_for_though_there_is_always_more() {
    let (logboom, container) = (Logboom::new(), Container::named("flood"));
    let host = Proxy::start().host;
    container.run(&["--log-opt", "max-size=1m", "--log-opt", "max-file=3"], "yes 'there is always more of it'");
    let mut following = follow(&logboom, &["--host", &host, "--container", &container.name, "--quiet"]);
    wait_for_session(&logboom);
    let log = || logboom.session_file(&format!("{}.log", container.name));
    wait_until(|| std::fs::metadata(log()).map_or(0, |log| log.len()) > 1_000_000);
    signal("-INT", following.id());
    assert_eq!(following.wait().unwrap().code(), Some(0));
    container.remove();
    let shown = logboom.run(["show", "--raw"]);
    assert!(!shown.stderr.contains("in time"), "{}", shown.stderr);
}

#[test]
fn logs_that_rotate_while_they_are_asked_for_give_every_line_once() {
    const LINES: u32 = 40_000;
    let host = Proxy::start().host;
    for driver in ["json-file", "local"] {
        let (logboom, container) = (Logboom::new(), Container::named(&format!("rotated-{driver}")));
        let gate = Gate::new();
        let options = ["--log-driver", driver, "--log-opt", "max-size=200k", "--log-opt", "max-file=5"];
        // One that runs before it is followed is not attached to.
        let script = format!("{}; {}", gate.wait(), paced(1..=LINES));
        container.run(&[&options[..], &["-v", &gate.volume()]].concat(), &script);
        let args = ["--host", &host, "--container", &container.name, "--until-exit", "--quiet"];
        let mut following = follow(&logboom, &args);
        wait_for_session(&logboom);
        gate.open();
        assert_eq!(following.wait().unwrap().code(), Some(0));
        assert_eq!(numbers(&logboom), ((1..=LINES).collect(), 0), "{driver}");
        logboom.run(["verify"]).expect(0);
    }
}

#[test]
fn what_a_log_lost_while_it_was_asked_for_is_a_gap() {
    const LINES: u32 = 400_000;
    let (logboom, container) = (Logboom::new(), Container::named("overrun"));
    let host = Proxy::start().host;
    container.run(&["--log-opt", "max-size=200k", "--log-opt", "max-file=2"], &engine::numbered(LINES));
    logboom.run(["docker", "--host", &host, "--container", &container.name, "--until-exit", "--quiet"]).expect(0);
    let (numbers, told) = numbers(&logboom);
    let holes = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(numbers.last() == Some(&LINES) && 0 < holes && holes <= told, "{holes} holes, {told} told");
}

#[test]
fn a_clock_that_is_put_back_hides_nothing() {
    let (logboom, container) = (Logboom::new(), Container::named("clock"));
    let host = Proxy::start().host;
    let id = logboom.text(["session", "start", "--name", "clock"]);
    let args = ["--host", &host, "--container", &container.name, "--until-exit", "--quiet"];
    let follow = ["docker", "--session", id.trim()].into_iter().chain(args);
    container.run(&[], "for line in 1 2 3; do echo $line; echo err $line >&2; done");
    docker(&["wait", &container.name]);
    // As if the engine's clock had been ahead by then.
    let log = docker(&["inspect", "-f", "{{.LogPath}}", &container.name]);
    let kept = std::fs::read_to_string(log.trim()).unwrap();
    let year = &docker(&["inspect", "-f", "{{.Created}}", &container.name])[..4];
    std::fs::write(log.trim(), kept.replace(&format!("\"time\":\"{year}-"), "\"time\":\"2199-")).unwrap();
    for times in 1..=3 {
        logboom.run(follow.clone()).expect(0);
        let lines = logboom.text(["show", "--raw", "--stream", "stdout"]);
        assert_eq!(lines, "1\n2\n3\n".repeat(times));
        assert_eq!(messages(&logboom, "stderr").len(), 3 * times);
        container.start();
        docker(&["wait", &container.name]);
    }
}
