//! The reading commands, as a person and as a script see them.
#![allow(clippy::unwrap_used, reason = "a test's helper may fail as the test does")]

#[path = "../common/mod.rs"]
mod common;
mod search;

use std::{fs, io::Read};

use common::{Done, Logboom, Running, wait_until};
use serde_json::{Value, json};

/// A session with lines of three levels on two streams.
fn mixed() -> Logboom {
    let logboom = Logboom::new();
    let script = "echo 'INFO start'; echo 'WARN low disk' >&2; echo 'ERROR broken' >&2; echo end";
    logboom.run(&["run", "--name", "mixed", "sh", "-c", script]).expect(0);
    logboom
}

fn raw(logboom: &Logboom, args: &[&str]) -> Vec<String> {
    let mut lines = logboom.run(&[&["show", "--raw"], args].concat()).expect(0).lines();
    lines.sort();
    lines
}

#[test]
fn a_session_is_named_by_id_short_id_prefix_place_or_name() {
    let logboom = Logboom::new();
    for name in ["first", "second", "third"] {
        logboom.run(&["run", "--name", name, "echo", name]).expect(0);
    }
    let sessions = logboom.jsons(&["sessions", "--json"]);
    let (id, short) = (sessions[1]["id"].as_str().unwrap(), sessions[1]["short"].as_str().unwrap());
    for reference in [id, short, &short[..6], "@2", "second"] {
        assert_eq!(raw(&logboom, &[reference]), ["second"], "{reference}");
    }
    assert_eq!(raw(&logboom, &[]), ["third"]);
    assert_eq!(raw(&logboom, &["@3"]), ["first"]);
}

#[test]
fn failed_is_the_latest_that_failed() {
    let logboom = Logboom::new();
    logboom.run(&["run", "sh", "-c", "echo bad; exit 1"]).expect(1);
    logboom.run(&["run", "echo", "good"]).expect(0);
    assert_eq!(raw(&logboom, &["--failed"]), ["bad"]);
    let both = logboom.run(&["search", "--failed", "bad", "sh"]).expect(2).stderr;
    assert!(both.contains("--failed"), "{both}");
}

#[test]
fn a_session_that_is_not_there_is_one_line_that_says_what_to_do() {
    let logboom = Logboom::new();
    let none = logboom.run(&["show"]).expect(2).stderr;
    assert!(none.starts_with("logboom: no sessions in ") && none.lines().count() == 1, "{none}");
    logboom.run(&["run", "true"]).expect(0);
    for reference in ["nosuch", "@2", "2020-01-01_00-00-00_00000000", "@0", ""] {
        let stderr = logboom.run(&["show", reference]).expect(2).stderr;
        assert!(stderr.starts_with("logboom: ") && stderr.lines().count() == 1, "{reference}: {stderr}");
    }
}

#[test]
fn sessions_are_listed_newest_first_and_can_be_chosen() {
    let logboom = Logboom::new();
    logboom.run(&["run", "--name", "good", "sh", "-c", "echo a; echo ERROR b"]).expect(0);
    logboom.run(&["run", "--name", "bad", "sh", "-c", "exit 3"]).expect(3);
    let table = logboom.run(&["sessions"]).expect(0).lines();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&table[0]), ["ID", "AGE", "DURATION", "OUTCOME", "LINES", "ERRORS", "NAME"]);
    assert!(table[1].ends_with("  bad") && table[1].contains("failed (exit 3)"), "{}", table[1]);
    assert_eq!(words(&table[2])[4..], ["passed", "2", "1", "good"]);
    let names = |args: &[&str]| -> Vec<Value> {
        logboom.jsons(&[&["ls", "--json"], args].concat()).into_iter().map(|line| line["name"].clone()).collect()
    };
    assert_eq!(names(&["-n", "1"]), ["bad"]);
    assert_eq!(names(&["--failed"]), ["bad"]);
    assert_eq!(names(&["--name", "good"]), ["good"]);
}

#[test]
fn lines_are_chosen_by_level_stream_and_time() {
    let logboom = mixed();
    assert_eq!(raw(&logboom, &["--level", "warn"]), ["ERROR broken", "WARN low disk"]);
    assert_eq!(raw(&logboom, &["--level", "error"]), ["ERROR broken"]);
    assert_eq!(raw(&logboom, &["--stream", "stdout"]), ["INFO start", "end"]);
    assert_eq!(raw(&logboom, &["--since", "1h"]).len(), 4);
    assert_eq!(raw(&logboom, &["--until", "1h ago"]).len(), 0);
    assert_eq!(raw(&logboom, &["--since", "2020-01-01", "--until", "2099-01-01T00:00:00Z"]).len(), 4);
    let stderr = logboom.run(&["show", "--since", "yesterday"]).expect(2).stderr;
    assert!(stderr.contains("10m"), "{stderr}");
}

#[test]
fn a_run_is_chosen_by_name_or_id_and_named_before_its_lines() {
    let logboom = Logboom::new();
    let id = logboom.run(&["session", "start"]).expect(0).text();
    for name in ["web", "db"] {
        logboom.run(&["exec", "--session", id.trim(), "--name", name, "echo", "hello"]).expect(0);
    }
    let shown = logboom.run(&["show"]).expect(0).lines();
    assert_eq!((&shown[0][28..], &shown[1][28..]), ("O I [web] hello", "O I [db] hello"));
    let run = logboom.latest()["runs"][1]["id"].clone();
    for reference in ["db", run.as_str().unwrap()] {
        let records = logboom.jsons(&["show", "--json", "--run", reference]);
        assert_eq!((records.len(), &records[0]["run"]), (1, &run));
    }
    logboom.run(["session", "end", id.trim()]).expect(0);
    assert!(logboom.run(["show", "--run", "cache"]).expect(2).stderr.ends_with(" has no run cache; it has web, db\n"));
}

#[test]
fn a_run_is_chosen_as_its_lines_name_it() {
    let logboom = Logboom::new();
    let id = logboom.run(&["session", "start"]).expect(0).text();
    for word in ["one", "two"] {
        logboom.run(&["exec", "--session", id.trim(), "echo", word]).expect(0);
    }
    logboom.run(["session", "end", id.trim()]).expect(0);
    let shown = logboom.run(&["show"]).expect(0).lines();
    assert_eq!((&shown[0][28..], &shown[1][28..]), ("O I [echo] one", "O I [echo.2] two"));
    let run = logboom.latest()["runs"][1]["id"].as_str().unwrap().to_owned();
    for reference in ["echo.2", &run[run.len() - 8..]] {
        assert_eq!(raw(&logboom, &["--run", reference]), ["two"], "{reference}");
    }
    assert_eq!(raw(&logboom, &["--run", "echo"]), ["one", "two"]);
    let stderr = logboom.run(["show", "--run", "echo.3"]).expect(2).stderr;
    assert!(stderr.ends_with(" has no run echo.3; it has echo, echo.2\n"), "{stderr}");
}

#[test]
fn a_line_is_one_line_however_long_it_is() {
    let logboom = Logboom::new();
    let script = "head -c 6000000 /dev/zero | tr '\\0' x; echo; echo next";
    logboom.run(&["run", "--quiet", "sh", "-c", script]).expect(0);
    let lines = |args: &[&str]| -> Vec<usize> { logboom.run(args).expect(0).lines().iter().map(String::len).collect() };
    assert_eq!(lines(&["show"]), [6_000_032, 36]);
    assert_eq!(lines(&["tail", "-n", "2"]), [6_000_032, 36]);
    assert_eq!(lines(&["search", "xxx"]), [6_000_032]);
}

#[test]
fn json_has_every_member_that_was_promised() {
    let logboom = Logboom::new();
    logboom.run_script("printf 'plain\\n\\377\\n'; printf 'open'").expect(0);
    let records = logboom.jsons(&["show", "--json"]);
    let run = logboom.latest()["runs"][0]["id"].clone();
    let time = |record: &Value| record["time"].clone();
    assert_eq!(
        records[0],
        json!({"run": run, "seq": 1, "time": time(&records[0]), "stream": "stdout", "level": "info", "message": "plain", "level_guessed": true})
    );
    assert_eq!((&records[1]["message"], &records[1]["message_base64"]), (&json!("\u{fffd}"), &json!("/w==")));
    let open: Vec<&Value> = records[2..].iter().collect();
    assert!(open.iter().any(|record| record["continued"] == true || record["no_newline"] == true), "{open:?}");
    let stamp = time(&records[0]);
    assert_eq!(stamp.as_str().unwrap().len(), "2026-01-02T03:04:05.123456Z".len());
}

#[test]
fn tail_shows_the_last_lines_in_order() {
    let logboom = Logboom::new();
    logboom.run(&["run", "--quiet", "seq", "1", "5000"]).expect(0);
    assert_eq!(logboom.run(&["tail", "--raw", "-n", "3"]).expect(0).lines(), ["4998", "4999", "5000"]);
    assert_eq!(logboom.run(&["tail", "--raw"]).expect(0).lines().len(), 10);
    assert_eq!(logboom.run(&["tail", "--raw", "-n", "0"]).expect(0).lines().len(), 0);
    let many = logboom.run(&["tail", "--raw", "-n", "2500"]).expect(0).lines();
    assert_eq!((many.len(), many[0].as_str(), many[2499].as_str()), (2500, "2501", "5000"));
    assert_eq!(logboom.run(&["tail", "--raw", "-n", "9999"]).expect(0).lines().len(), 5000);
}

#[test]
fn tail_follows_to_the_end_of_the_session() {
    let (logboom, numbers) = (Logboom::new(), (2..=2_000).map(|number| format!("{number}\n")).collect::<String>());
    let script = "echo one; until [ -e go ]; do sleep 0.01; done; seq 2 2000; echo last";
    let running = logboom.start(&["run", "--", "sh", "-c", script]);
    wait_until(|| logboom.run(&["show", "--raw"]).text() == "one\n");
    let shown = logboom.path("shown");
    let follower = Running::of(logboom.command(["tail", "-f", "--raw"]).stdout(fs::File::create(&shown).unwrap()));
    wait_until(|| fs::read(&shown).unwrap() == b"one\n");
    fs::write(logboom.path("go"), "").unwrap();
    running.done().expect(0);
    follower.done().expect(0);
    assert_eq!(fs::read_to_string(shown).unwrap(), format!("one\n{numbers}last\n"));
}

#[test]
fn tail_ends_when_nobody_reads_it_though_nothing_is_printed() {
    let logboom = Logboom::new();
    let running = logboom.start(&["run", "--", "sh", "-c", "echo one; exec sleep 1000"]);
    wait_until(|| logboom.run(&["show", "--raw"]).text() == "one\n");
    let mut follower = logboom.start(&["tail", "-f", "--raw"]);
    let mut shown = [0; 4];
    let mut stdout = follower.0.stdout.take().unwrap();
    stdout.read_exact(&mut shown).unwrap();
    drop(stdout);
    assert_eq!(follower.done().expect(0).stderr, "");
    drop(running);
}

#[test]
fn tail_says_when_the_writer_was_killed() {
    let logboom = Logboom::new();
    let mut running = logboom.start(&["run", "--", "sh", "-c", "echo one; exec sleep 1000"]);
    wait_until(|| logboom.run(&["show", "--raw"]).text() == "one\n");
    let follower = logboom.start(&["tail", "-f"]);
    running.kill_9();
    let done = follower.done().expect(1);
    assert!(done.stderr.contains("was killed"), "{}", done.stderr);
    assert!(done.lines()[1].contains("lost seq 2-: writer was killed"), "{}", done.text());
    assert_eq!(logboom.latest()["outcome"], "lost");
}

#[test]
fn verify_says_what_is_there_and_exits_by_it() {
    let logboom = mixed();
    assert_eq!(logboom.jsons(&["verify", "--json"]), [json!({"records": 4, "lost": 0, "gaps": [], "damaged": []})]);
    assert!(logboom.run(&["verify"]).expect(0).text().contains("whole: 4 records, 0 lost"));
    let boom = logboom.session_file("records.boom");
    let mut bytes = fs::read(&boom).unwrap();
    bytes[200] ^= 1;
    fs::write(&boom, bytes).unwrap();
    let report = logboom.json(&["verify", "--json"]);
    assert_eq!(report["damaged"].as_array().unwrap().len(), 1, "{report}");
    logboom.run(&["verify"]).expect(1);
    logboom.run(&["verify", "--all"]).expect(1);
}

#[test]
fn verify_repair_completes_the_text_log() {
    let logboom = mixed();
    let text = logboom.session_file("exec_sh.log");
    let whole = fs::read(&text).unwrap();
    fs::write(&text, &whole[..50]).unwrap();
    let report = logboom.json(&["verify", "--repair", "--json"]);
    assert_eq!(report["repaired"][0]["bytes_before"], 50);
    assert_eq!(fs::read(&text).unwrap(), whole);
}

#[test]
fn verify_repairs_what_it_can_and_says_what_it_cannot() {
    let logboom = Logboom::new();
    for name in ["one", "two"] {
        logboom.run(&["run", "--quiet", "--name", name, "seq", "100"]).expect(0);
        fs::write(logboom.session_file("exec_seq.log"), "").unwrap();
    }
    fs::create_dir(logboom.session_file("exec_seq.log.tmp")).unwrap();
    let done = logboom.run(&["verify", "--all", "--repair", "--json"]).expect(1);
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["repaired"].as_array().unwrap().len(), 1, "{report}");
    assert!(report["damaged"][0]["what"].as_str().unwrap().contains("exec_seq.log.tmp"), "{report}");
}

#[test]
fn without_a_boom_file_the_text_log_is_read() {
    let logboom = Logboom::new();
    logboom.run(&["run", "--no-boom", "--quiet", "seq", "1", "3000"]).expect(0);
    assert!(!logboom.session_file("records.boom").exists());
    assert_eq!(logboom.run(&["show", "--raw"]).expect(0).lines().len(), 3000);
    assert_eq!(logboom.run(&["search", "-c", "299"]).expect(0).text(), "13\n");
    assert_eq!(logboom.jsons(&["verify", "--json"]), [json!({"records": 3000, "lost": 0, "gaps": [], "damaged": []})]);
}

#[test]
fn a_gap_is_said_by_raw_output_and_gives_1() {
    let logboom = Logboom::new();
    let mut running = logboom.start(&["run", "--", "sh", "-c", "echo one; exec sleep 1000"]);
    wait_until(|| logboom.run(&["show", "--raw"]).text() == "one\n");
    running.kill_9();
    let done = logboom.run(&["show", "--raw", "--stream", "stdout"]).expect(1);
    assert_eq!(done.text(), "one\n");
    assert!(done.stderr.contains("lost seq 2-: writer was killed"), "{}", done.stderr);
    let report = logboom.json(&["verify", "--json"]);
    assert_eq!(
        (&report["lost"], &report["damaged"], &report["gaps"][0]["to"]),
        (&json!(null), &json!([]), &json!(null))
    );
}

#[test]
fn clean_deletes_what_is_too_much_and_nothing_that_lives() {
    let logboom = Logboom::new();
    let _running = logboom.start(&["run", "--name", "live", "sleep", "1000"]);
    wait_until(|| logboom.jsons(&["sessions", "--json"]).iter().any(|line| line["outcome"] == "running"));
    for name in ["a", "b", "c"] {
        logboom.run(&["run", "--name", name, "true"]).expect(0);
    }
    let names = || -> Vec<Value> {
        logboom.jsons(&["sessions", "--json"]).into_iter().map(|line| line["name"].clone()).collect()
    };
    assert!(
        logboom.run(&["clean", "--keep", "1", "--dry-run"]).expect(0).text().contains("2 sessions would be deleted")
    );
    assert_eq!(names().len(), 4);
    assert!(logboom.run(&["clean", "--keep", "1"]).expect(0).text().contains("2 sessions deleted"));
    assert_eq!((names().len(), &names()[1]), (2, &json!("live")));
    assert!(logboom.run(&["clean", "--keep", "many"]).expect(2).stderr.lines().count() == 1);
}

#[test]
fn a_run_applies_the_retention_and_clean_removes_what_was_left_behind() {
    let logboom = Logboom::new();
    fs::write(logboom.home().join("logboom.toml"), "keep = 0\n").unwrap();
    logboom.run(&["run", "true"]).expect(0);
    assert!(logboom.jsons(&["sessions", "--json"]).is_empty());
    let trash = logboom.data().join("sessions/.trash-2025-01-02_03-04-05_00000000");
    fs::create_dir_all(&trash).unwrap();
    logboom.run(&["clean", "--dry-run"]).expect(0);
    assert!(trash.exists());
    logboom.run(&["clean"]).expect(0);
    assert!(!trash.exists());
}

#[test]
fn config_says_where_each_value_comes_from() {
    let logboom = Logboom::new();
    fs::write(logboom.home().join("logboom.toml"), "keep = 7\n").unwrap();
    let config = logboom.json(&["config", "--json"]);
    assert_eq!(config["keep"]["value"], "7");
    assert!(config["keep"]["from"].as_str().unwrap().ends_with("logboom.toml:1"), "{config}");
    assert_eq!(config["dir"]["from"], "environment, LOGBOOM_DIR");
    assert!(logboom.run(&["config"]).expect(0).text().contains("older_than  30d"));
}

#[test]
fn an_unknown_key_in_the_configuration_is_an_error() {
    let logboom = Logboom::new();
    fs::write(logboom.home().join("logboom.toml"), "keeep = 7\n").unwrap();
    assert!(logboom.run(&["config"]).expect(2).stderr.contains("unknown key `keeep`"));
    logboom.run(&["run", "touch", "made"]).expect(125);
    assert!(!logboom.home().join("made").exists());
}

#[test]
fn logboom_alone_prints_six_examples_and_the_latest_session() {
    let logboom = mixed();
    let lines = logboom.run([""; 0]).expect(0).lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("  ") && line.contains("logboom")).count(), 6);
    assert!(lines.last().unwrap().ends_with("  mixed"), "{lines:?}");
}

#[test]
fn help_and_completions_know_every_command() {
    let logboom = Logboom::new();
    let help = logboom.run(&["help"]).expect(0).text();
    let completions = logboom.run(&["completions", "bash"]).expect(0).text();
    for command in [
        "run",
        "exec",
        "session",
        "pipe",
        "sessions",
        "show",
        "tail",
        "search",
        "verify",
        "clean",
        "config",
        "completions",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        assert!(completions.contains(command), "{command}");
        logboom.run(&["help", command]).expect(0);
    }
}

#[test]
fn wrong_usage_is_one_line_and_2() {
    let logboom = Logboom::new();
    for args in [
        &["nonsense"][..],
        &["show", "--bogus"],
        &["tail", "-n", "x"],
        &["search"],
        &["session", "end"],
        &["show", "a", "b"],
    ] {
        let done = logboom.run(args).expect(2);
        assert!(done.stderr.starts_with("logboom: ") && done.stderr.lines().count() == 1, "{}", done.stderr);
    }
}

#[test]
fn colours_are_on_demand_and_terminals_get_no_commands() {
    let logboom = Logboom::new();
    logboom.run_script("printf '\\033[31mERROR\\033[0m \\033[2Jx\\r\\n'").expect(0);
    let shown = |args: &[&str]| logboom.run(&[&["show"], args].concat()).expect(0).text();
    assert!(shown(&["--color", "always"]).ends_with("\x1b[31mERROR\x1b[0m ^[[2Jx^M\x1b[0m\n"));
    assert!(shown(&[]).ends_with("\x1b[31mERROR\x1b[0m \x1b[2Jx\r\n"));
    let found = logboom.run(&["search", "--color", "always", "RR"]).expect(0).text();
    assert!(found.ends_with("\x1b[31mE\x1b[1;31mRR\x1b[0m\x1b[31mOR\x1b[0m ^[[2Jx^M\x1b[0m\n"), "{found:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let logboom = Logboom::new();
    logboom.run(&["run", "--quiet", "seq", "1", "200000"]).expect(0);
    let mut reading = logboom.start(&["show"]);
    drop(reading.0.stdout.take());
    let done = reading.done().expect(0);
    assert_eq!(done.stderr, "");
}

#[test]
fn hostile_names_stay_names() {
    let logboom = Logboom::new();
    let name = "../../etc/pass\nwd \x1b[2J$(reboot)";
    logboom.run(&["run", "--name", name, "--label", "a\nb=c\u{7}", "echo", "hi"]).expect(0);
    assert_eq!(logboom.latest()["name"], name);
    let table = logboom.run(&["sessions", "--color", "always"]).expect(0);
    assert_eq!(table.lines().len(), 2);
    assert!(table.text().contains("../../etc/pass^Jwd ^[[2J$(reboot)"), "{}", table.text());
    logboom.run(&["show", name]).expect(0);
}

#[test]
fn metadata_half_written_by_another_tool_are_named_and_the_records_are_still_read() {
    let logboom = Logboom::new();
    logboom.run(&["run", "echo", "kept"]).expect(0);
    fs::write(logboom.session_file("session.json"), "{\"format\": 1, \"id").unwrap();
    assert!(logboom.run(["sessions"]).expect(0).stderr.contains("session.json:1:"));
    let latest = logboom.latest();
    assert!(latest["damage"].as_str().unwrap().contains("session.json:1:"), "{latest}");
    assert_eq!(logboom.run(&["show", "--raw"]).expect(0).text(), "kept\n");
    logboom.run(&["verify"]).expect(1);
}

#[test]
fn a_session_directory_copied_elsewhere_is_complete() {
    let logboom = Logboom::new();
    logboom.run(&["run", "echo", "kept"]).expect(0);
    let from = logboom.session_file("");
    let to = logboom.home().join("copy/sessions").join(from.file_name().unwrap());
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    fs::remove_dir_all(from).unwrap();
    assert_eq!(logboom.run(&["show", "--raw", "--dir", "copy"]).expect(0).text(), "kept\n");
    logboom.run(&["verify", "--dir", "copy"]).expect(0);
}
