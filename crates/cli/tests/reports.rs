//! Reports of sessions: where they are written to, what is a test in them, and what they say of numbers that nobody knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    process::Stdio,
};

use common::{Done, Logboom, Running, wait_until};

const REPORTS: [&str; 3] = ["show --junit", "export --html", "export --bundle"];

/// Runs a script to its end; gives the file `f` that it has written.
fn written(logboom: &Logboom, script: &str) -> Vec<u8> {
    Done::from(logboom.shell(script).output().unwrap()).expect(0);
    fs::read(logboom.path("f")).unwrap()
}

/// What a report has to be.
fn wanted(logboom: &Logboom, report: &str) -> Vec<u8> {
    logboom.run(report.split(' ').chain(["-"])).expect(0).stdout
}

#[track_caller]
fn expect_between(found: &[u8], before: &str, report: &[u8], after: &str) {
    let want = [before.as_bytes(), report, after.as_bytes()].concat();
    assert!(found == want, "{} instead of {} bytes: {}", found.len(), want.len(), String::from_utf8_lossy(found));
}

#[test]
fn what_goes_to_standard_output_replaces_nothing() {
    let logboom = Logboom::new();
    logboom.run_script("seq 1000").expect(0);
    std::os::unix::fs::symlink("/dev/stdout", logboom.path("link")).unwrap();
    for report in REPORTS {
        let want = wanted(&logboom, report);
        for output in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", "link"] {
            let command = format!("{{ echo first; \"$0\" {report} {output}; echo last; }}");
            let found = written(&logboom, &format!("echo kept > f; {command} >> f"));
            expect_between(&found, "kept\nfirst\n", &want, "last\n");
            expect_between(&written(&logboom, &format!("{command} > f")), "first\n", &want, "last\n");
        }
    }
}

#[test]
fn what_goes_to_another_open_file_replaces_nothing_either() {
    let logboom = Logboom::new();
    logboom.run_script("seq 1000").expect(0);
    let want = wanted(&logboom, "show --junit");
    for (number, output) in [(2, "/dev/stderr"), (2, "/dev/fd/2"), (3, "/dev/fd/3"), (3, "/proc/self/fd/3")] {
        for redirection in [">", ">>"] {
            let script = format!(
                "echo kept > f; exec {number}{redirection}f; echo first >&{number}; \"$0\" show --junit {output}; echo last >&{number}"
            );
            let before = if redirection == ">" { "first\n" } else { "kept\nfirst\n" };
            expect_between(&written(&logboom, &script), before, &want, "last\n");
        }
    }
    // Whether another process lets its files be had depends on the system.
    let script = "echo kept > f; exec >>f; \"$0\" show --junit /proc/$$/fd/1; echo last";
    let found = String::from_utf8(written(&logboom, script)).unwrap();
    assert!(found.starts_with("kept\n") && found.ends_with("last\n"), "{found}");
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let logboom = Logboom::new();
    logboom.run_script("seq 1000").expect(0);
    for report in REPORTS {
        for output in ["-", "/dev/stdout"] {
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            let done = logboom.command(report.split(' ').chain([output])).stdout(writer).output().unwrap();
            assert_eq!(Done::from(done).expect(0).stderr, "", "{report} {output}");
        }
    }
}

#[test]
fn what_cannot_be_written_is_named() {
    let logboom = Logboom::new();
    logboom.run_script("seq 1000").expect(0);
    for report in REPORTS {
        let done = logboom.run(report.split(' ').chain(["/dev/full"])).expect(2);
        assert!(done.stderr.contains("cannot write /dev/full: No space left on device"), "{report}: {}", done.stderr);
        let done = Done::from(logboom.shell(&format!("\"$0\" {report} - > /dev/full")).output().unwrap()).expect(2);
        assert!(done.stderr.contains("cannot write standard output: No space left"), "{report}: {}", done.stderr);
    }
}

#[test]
fn a_file_that_is_replaced_keeps_its_permissions() {
    let logboom = Logboom::new();
    logboom.run_script("echo hi").expect(0);
    for report in REPORTS {
        for mode in [0o600, 0o400, 0o666, 0o755] {
            fs::write(logboom.path("f"), "before").unwrap();
            fs::set_permissions(logboom.path("f"), Permissions::from_mode(mode)).unwrap();
            logboom.run(report.split(' ').chain(["f"])).expect(0);
            assert!(fs::read(logboom.path("f")).unwrap() != b"before");
            let found = fs::metadata(logboom.path("f")).unwrap().permissions().mode() & 0o7777;
            assert_eq!(format!("{found:o}"), format!("{mode:o}"), "{report}");
            fs::remove_file(logboom.path("f")).unwrap();
        }
    }
}

/// A session that ends so, of runs with these labels, names and scripts.
fn session(logboom: &Logboom, outcome: &str, runs: &[(&str, &str, &str)]) {
    let id = logboom.text(["session", "start", "--name", "all"]).trim().to_owned();
    for (label, name, script) in runs {
        let labels = if label.is_empty() { vec![] } else { vec!["--label", label] };
        logboom.run([&["exec", "--session", &id, "--name", name], &labels[..], &["--", "sh", "-c", script]].concat());
    }
    logboom.run(["session", "end", &id, "--outcome", outcome]).expect(0);
}

const FAILED_TEST: &str = "echo running 1 test; echo test t::x ... FAILED; echo test result: FAILED; exit 1";

#[test]
fn a_tear_down_is_no_test_and_neither_is_what_it_prints() {
    let logboom = Logboom::new();
    let runs = [
        ("logboom.step=set_up", "compose up", "true"),
        ("", "unit", "true"),
        ("logboom.step=tear_down", "dump", "echo dumping; exit 4"),
        ("logboom.step=tear_down", "tail", FAILED_TEST),
    ];
    session(&logboom, "passed", &runs);
    let report = logboom.text(["show", "--junit", "-"]);
    assert!(report.contains("<testsuites name=\"all\" tests=\"1\" failures=\"0\" errors=\"0\""), "{report}");
    assert_eq!(report.matches("<testcase classname=\"commands\" name=\"unit\"").count(), 1, "{report}");
    let summary = logboom.text(["show", "--summary"]);
    assert!(!summary.contains("<details>") && !summary.contains("1 failed"), "{summary}");
    assert!(summary.contains("| <code>dump</code> | failed (exit 4) |"), "it is a run: {summary}");
    assert!(logboom.latest().get("failed_tests").is_none());
}

#[test]
fn where_a_test_failed_no_step_tells_why() {
    let logboom = Logboom::new();
    session(&logboom, "failed", &[("", "unit", "exit 3"), ("logboom.step=tear_down", "dump", "echo dumping; exit 4")]);
    let report = logboom.text(["show", "--junit", "-"]);
    assert!(report.contains(" tests=\"1\" failures=\"1\"") && !report.contains("dump"), "{report}");
    let summary = logboom.text(["show", "--summary"]);
    assert_eq!(summary.matches("<details>").count(), 1, "{summary}");
    assert!(summary.contains("<summary><code>unit</code> failed (exit 3)</summary>"), "{summary}");
}

#[test]
fn where_nothing_else_tells_why_a_session_failed_a_step_does() {
    let logboom = Logboom::new();
    session(&logboom, "failed", &[("logboom.step=set_up", "compose up", "echo no such image; exit 1")]);
    let report = logboom.text(["show", "--junit", "-"]);
    assert!(report.contains(" tests=\"1\" failures=\"1\"") && report.contains("name=\"compose up\""), "{report}");
    assert!(report.contains("<system-out>no such image\n"), "{report}");
    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.contains("<summary><code>compose up</code> failed (exit 1)</summary>"), "{summary}");
    assert!(summary.contains("```text\nno such image\n"), "{summary}");
}

#[test]
fn a_label_of_that_name_with_another_value_makes_no_step() {
    let logboom = Logboom::new();
    session(&logboom, "failed", &[("step=build", "unit", "exit 3")]);
    let report = logboom.text(["show", "--junit", "-"]);
    assert!(report.contains(" tests=\"1\" failures=\"1\"") && report.contains("name=\"unit\""), "{report}");
    session(&logboom, "passed", &[("step=build", "unit", "true")]);
    assert!(logboom.text(["show", "--junit", "-"]).contains(" tests=\"1\" failures=\"0\""));
}

const THREE_LINES: &str = "echo 'ERROR: one'; echo 'ERROR: two'; echo 'WARN: three'; read go";

/// A run that has printed these, and waits.
fn printing(logboom: &Logboom, options: &[&str]) -> Running {
    let args = [&["run"], options, &["--", "sh", "-c", THREE_LINES]].concat();
    let running = Running::of(logboom.command(args).stdin(Stdio::piped()).stdout(Stdio::null()));
    wait_until(|| logboom.run(["show", "--raw", "--stream", "stdout"]).text().lines().count() == 3);
    running
}

fn page(logboom: &Logboom) -> String {
    String::from_utf8(wanted(logboom, "export --html")).unwrap()
}

#[test]
fn what_a_killed_logboom_took_with_it_is_not_known() {
    for options in [&[][..], &["--no-boom"]] {
        let logboom = Logboom::new();
        printing(&logboom, options).kill_9();
        let summary = logboom.text(["show", "--summary"]);
        assert!(summary.contains("| <code>sh</code> | lost |  | 3 | 2 | 1 | not known |\n"), "{summary}");
        let id = logboom.latest()["short"].as_str().unwrap().to_owned();
        let told = format!("**Records lost, how many is not known**: `logboom verify {id}` says");
        assert!(summary.contains(&told), "{summary}");
        let page = page(&logboom);
        assert!(page.contains("3 lines, 2 errors, 1 warning") && page.contains("<td>3<td>2<td>some<td>"), "{page}");
    }
}

#[test]
fn what_is_lost_is_only_told_where_something_is() {
    let logboom = Logboom::new();
    logboom.run_script("echo hi").expect(0);
    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.contains(" | 1 | 0 | 0 | 0 |\n") && !summary.to_lowercase().contains("records lost"), "{summary}");
}

#[test]
fn of_a_session_that_runs_the_numbers_are_those_of_now() {
    for options in [&[][..], &["--no-boom"]] {
        let logboom = Logboom::new();
        let _running = printing(&logboom, options);
        let page = page(&logboom);
        assert!(page.contains("3 lines, 2 errors, 1 warning") && page.contains("<td>3<td>2<td>0<td>"), "{page}");
        let summary = logboom.text(["show", "--summary"]);
        assert!(summary.contains("| <code>sh</code> | running |  | 3 | 2 | 1 | 0 |\n"), "{summary}");
    }
}
