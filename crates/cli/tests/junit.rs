//! Results of tests that stand in JUnit XML: read after a run, and written as a report of a session.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::{
    fs,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use common::{Done, Logboom};
use serde_json::Value;

fn session_json(logboom: &Logboom) -> Value {
    serde_json::from_slice(&fs::read(logboom.session_file("session.json")).unwrap()).unwrap()
}

/// The tests of the latest session.
fn tests(logboom: &Logboom) -> Vec<Value> {
    session_json(logboom)["runs"][0]["tests"].as_array().cloned().unwrap_or_default()
}

/// Each as `outcome suite|test message`, and `?` where its lines are not known.
fn shown(logboom: &Logboom) -> Vec<String> {
    let word = |test: &Value, key: &str| test[key].as_str().unwrap_or_default().to_owned();
    let show = |test: &Value| {
        let lines = if test["from"] == 0 { " ?" } else { "" };
        let text = format!(
            "{} {}|{} {}",
            word(test, "outcome"),
            word(test, "suite"),
            word(test, "test"),
            word(test, "message")
        );
        text.trim_end().to_owned() + lines
    };
    tests(logboom).iter().map(show).collect()
}

/// Runs a command that prints this and writes that to `junit.xml`.
fn run_with(logboom: &Logboom, printed: &str, xml: &str) -> Done {
    fs::write(logboom.path("printed"), printed).unwrap();
    fs::write(logboom.path("xml"), xml).unwrap();
    logboom.run(["run", "--junit", "junit.xml", "--", "sh", "-c", "cat printed; cp xml junit.xml"])
}

/// The warnings that the run was given.
fn notes(logboom: &Logboom) -> String {
    logboom.text(["show", "--raw", "--stream", "system"])
}

/// What Python's own parser makes of a report.
fn by_python(report: &[u8]) -> String {
    let script = r"
import sys, xml.etree.ElementTree as E
root = E.parse(sys.stdin.buffer).getroot()
for suite in root.iter('testsuite'):
    print('suite', suite.get('name'), suite.get('tests'), suite.get('failures'), suite.get('errors'), suite.get('skipped'))
    for case in suite.findall('testcase'):
        print('case', repr(case.get('classname')), repr(case.get('name')), [part.tag for part in case])
";
    let mut python =
        Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut python.stdin.take().unwrap(), report).unwrap();
    let done: Done = python.wait_with_output().unwrap().into();
    done.expect(0).text()
}

const PYTEST: &str = "============================= test session starts ==============================
test_shop.py::TestCart::test_adds PASSED                                 [ 33%]
test_shop.py::TestCart::test_breaks FAILED                               [ 66%]

=================================== FAILURES ===================================
_____________________________ TestCart.test_breaks _____________________________
E       assert (1 + 1) == 3
=========================== short test summary info ============================
FAILED test_shop.py::TestCart::test_breaks - assert (1 + 1) == 3
========================= 1 failed, 1 passed in 0.09s ==========================
";
const PYTEST_XML: &str = r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="1" skipped="1" tests="3" time="0.106">
<testcase classname="test_shop.TestCart" name="test_adds" time="0.001" /><testcase classname="test_shop.TestCart" name="test_breaks" time="0.002"><failure message="assert (1 + 1) == 3">self = &lt;x&gt;</failure></testcase>
<testcase classname="test_shop" name="test_left_out" time="0.000"><skipped type="pytest.skip" message="not now">here</skipped></testcase></testsuite></testsuites>"#;

#[test]
fn a_test_of_the_output_and_of_the_file_is_one() {
    let logboom = Logboom::new();
    run_with(&logboom, PYTEST, PYTEST_XML).expect(0);
    let want = [
        "passed test_shop.py|TestCart::test_adds",
        "failed test_shop.py|TestCart::test_breaks assert (1 + 1) == 3",
        "skipped test_shop|test_left_out ?",
    ];
    assert_eq!(shown(&logboom), want);
    assert_eq!(tests(&logboom)[1]["duration_us"], 2_000);
    let timeline = fs::read_to_string(logboom.session_file("timeline.jsonl")).unwrap();
    assert_eq!(timeline.matches("\"event\":\"test\"").count(), 3, "{timeline}");
    assert_eq!(notes(&logboom), "");
}

#[test]
fn nextest_tells_of_retries_and_messages_in_its_file() {
    let logboom = Logboom::new();
    fs::create_dir_all(logboom.path("shop/src")).unwrap();
    fs::create_dir_all(logboom.path("shop/.config")).unwrap();
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
    fs::write(logboom.path("shop/Cargo.toml"), manifest).unwrap();
    fs::write(
        logboom.path("shop/.config/nextest.toml"),
        "[profile.default]\nretries = 1\nfail-fast = false\n[profile.default.junit]\npath = \"junit.xml\"\n",
    )
    .unwrap();
    let source = r#"#[cfg(test)] mod tests {
    #[test] fn adds() {}
    #[test] fn breaks() { assert_eq!(2, 3, "wrong sum"); }
    #[test] fn flaky() { let p = std::path::Path::new("mark"); if !p.exists() { std::fs::write(p, "").unwrap(); panic!("first time"); } }
}"#;
    fs::write(logboom.path("shop/src/lib.rs"), source).unwrap();
    let command = [
        "run",
        "--junit",
        "shop/target/nextest/**/*.xml",
        "--",
        "cargo",
        "nextest",
        "run",
        "--offline",
        "--manifest-path",
        "shop/Cargo.toml",
    ];
    let done = logboom.command(command).env("RUST_BACKTRACE", "0").env_remove("CARGO_TARGET_DIR").output().unwrap();
    Done::from(done).expect(100);
    let mut all = tests(&logboom);
    all.sort_by_key(|test| test["test"].as_str().unwrap().to_owned());
    assert_eq!(all.len(), 3, "{all:?}");
    let message = |at: usize| all[at]["message"].as_str().unwrap_or_default();
    assert!(message(1).contains("wrong sum") && message(2).contains("first time"), "{all:?}");
    assert_eq!((all[1]["outcome"].as_str(), all[2]["outcome"].as_str()), (Some("failed"), Some("passed")));
    assert_eq!((&all[1]["retries"], &all[2]["retries"]), (&Value::from(1), &Value::from(1)));
    assert!(all.iter().all(|test| test["from"].as_u64().unwrap() > 0));

    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.contains("**3 tests**: 2 passed, 1 failed, 1 passed only when run again"), "{summary}");
    assert!(summary.contains("<details><summary><code>shop tests::breaks</code> failed"), "{summary}");
    assert!(
        summary.contains("wrong sum") && summary.contains("<code>shop tests::flaky</code>: run again 1 time"),
        "{summary}"
    );
}

#[test]
fn a_test_of_which_only_a_file_tells_has_a_message_and_no_lines() {
    let logboom = Logboom::new();
    let xml = "<testsuite name='s'><testcase classname='a.B' name='c' time='60'><failure message='why \u{1b}[31mnot'>x</failure></testcase></testsuite>";
    fs::write(logboom.path("xml"), xml).unwrap();
    let script =
        "echo a line; until grep -q 'a line' \"$LOGBOOM_DIR\"/sessions/*/exec_sh.log; do :; done; cp xml junit.xml";
    logboom.run(["run", "--junit", "junit.xml", "--", "sh", "-c", script]).expect(0);
    let done = logboom.run(["show", "--test", "c"]).expect(0);
    assert_eq!(done.text(), "why not\n");
    assert!(done.stderr.contains("a.B c failed in 1m 00s") && done.stderr.contains("not known"), "{}", done.stderr);
    let around = logboom.text(["show", "--raw", "--test", "c", "--around"]);
    assert_eq!(around, "a line\n", "printed in the minute before the file");
    assert!(logboom.text(["sessions", "--json"]).contains("a.B c"));
}

#[test]
fn files_from_before_the_run_are_left_out_and_that_is_said() {
    let logboom = Logboom::new();
    let old = logboom.path("old.xml");
    fs::write(&old, PYTEST_XML).unwrap();
    fs::File::options()
        .write(true)
        .open(&old)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    let script = "echo \"<testsuite name='s'><testcase classname='n' name='new'/></testsuite>\" > new.xml";
    logboom.run(["run", "--junit", "*.xml", "--junit", "none/*.xml", "--", "sh", "-c", script]).expect(0);
    assert_eq!(shown(&logboom), ["passed n|new ?"]);
    let notes = notes(&logboom);
    assert!(notes.contains("1 file of JUnit XML from before the run left out: old.xml\n"), "{notes}");
    assert!(notes.contains("no file fits --junit none/*.xml\n"), "{notes}");
}

#[test]
fn what_the_command_has_written_is_known_by_no_clock() {
    let logboom = Logboom::new();
    let xml = |name: &str| format!("<testsuite name='s'><testcase classname='c' name='{name}'/></testsuite>");
    let write = |file: &str, name: &str, at: SystemTime| {
        fs::write(logboom.path(file), xml(name)).unwrap();
        fs::File::options().write(true).open(logboom.path(file)).unwrap().set_modified(at).unwrap();
    };
    let (past, future) = (SystemTime::now() - Duration::from_secs(3_600), SystemTime::now() + Duration::from_secs(60));
    write("before.xml", "of-another", future);
    write("old", "copied", past);
    logboom.run(["run", "--junit", "*.xml", "--", "cp", "-p", "old", "new.xml"]).expect(0);
    assert_eq!(shown(&logboom), ["passed c|copied ?"]);
    logboom.run(["run", "--junit", "*.xml", "--", "cp", "-p", "old", "before.xml"]).expect(0);
    assert_eq!(shown(&logboom), ["passed c|copied ?"]);
    logboom.run(["run", "--junit", "*.xml", "true"]).expect(0);
    assert_eq!(shown(&logboom), [""; 0]);
    assert!(notes(&logboom).contains("2 files of JUnit XML from before the run left out"), "{}", notes(&logboom));
}

#[test]
fn times_without_zone_are_utc_or_local_as_the_run_tells() {
    for (zone, written_in) in
        [("IST-5:30", "IST-5:30"), ("EST5EDT", "EST5EDT"), ("IST-5:30", "UTC0"), ("EST5EDT", "UTC0")]
    {
        let logboom = Logboom::new();
        let script = r#"
now=$(date +%s.%6N)
echo "<testsuite timestamp='$(TZ=$1 date -d @$now +%FT%T.%6N)'><testcase classname='c' name='t' time='0'/></testsuite>" > junit.xml
date -u -d @$now +%FT%T.%6NZ"#;
        let args = ["run", "--junit", "junit.xml", "--", "sh", "-c", script, "sh", written_in];
        let done: Done = logboom.command(args).env("TZ", zone).output().unwrap().into();
        assert_eq!(
            tests(&logboom)[0]["time"].as_str().unwrap(),
            done.expect(0).text().trim(),
            "{written_in} in {zone}"
        );
    }
}

#[test]
fn damaged_and_hostile_files_never_break_a_run() {
    let logboom = Logboom::new();
    let script = r#"
printf "<testsuite name='s'><testcase classname='c' name='kept'/><testcase classname='c' name='cut" > cut.xml
echo '<html><body>no</body></html>' > other.xml
: > empty.xml
head -c 100000 /dev/urandom > noise.xml
mkfifo pipe.xml; mkdir dir.xml
echo '<!DOCTYPE t [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]><testsuite><testcase classname="c" name="&b;"/></testsuite>' > bomb.xml
exit 3"#;
    logboom.run(["run", "--junit", "*.xml", "--", "sh", "-c", script]).expect(3);
    let mut all = shown(&logboom);
    all.sort();
    assert_eq!(all, ["passed c|&b; ?", "passed c|kept ?"]);
    let notes = notes(&logboom);
    for want in [
        "cut.xml: it is damaged at byte",
        "1 test kept",
        "other.xml: it is no JUnit XML: its root is \"html\"",
        "empty.xml: it is no JUnit",
        "noise.xml: it is",
        "cannot read pipe.xml: it is not a regular file",
    ] {
        assert!(notes.contains(want), "{want}: {notes}");
    }
    let refused = logboom.run(["run", "--junit", "a[", "--", "true"]).expect(125);
    assert!(refused.stderr.contains("--junit"), "{}", refused.stderr);
}

#[test]
fn a_file_that_is_too_large_is_read_as_far_as_it_may_be() {
    let logboom = Logboom::new();
    let script = r#"
{ echo "<testsuite name='s'><testcase classname='c' name='first'/><system-out>"; head -c 70000000 /dev/zero | tr '\0' 'x'; echo "</system-out><testcase name='last'/></testsuite>"; } > junit.xml"#;
    logboom.run(["run", "--junit", "junit.xml", "--", "sh", "-c", script]).expect(0);
    assert_eq!(shown(&logboom), ["passed c|first ?"]);
    let notes = notes(&logboom);
    assert!(
        notes.contains("junit.xml is too large: of its 70,000,") && notes.contains("67,108,864 were read; 1 test kept"),
        "{notes}"
    );
}

#[test]
fn secrets_in_files_are_masked_also_those_that_the_command_tells() {
    let logboom = Logboom::new();
    fs::write(logboom.path("printed"), "::add-mask::told-by-it\n").unwrap();
    let xml = "<testsuite><testcase classname='c' name='t hunter2222'><failure message='told-by-it key=123'/></testcase></testsuite>";
    fs::write(logboom.path("xml"), xml).unwrap();
    let args =
        ["run", "--junit", "junit.xml", "--mask", "key=[0-9]+", "--", "sh", "-c", "cat printed; cp xml junit.xml"];
    let done = logboom.command(args).env("MY_TOKEN", "hunter2222").output().unwrap();
    Done::from(done).expect(0);
    assert_eq!(shown(&logboom), ["failed c|t *** *** *** ?"]);
    for file in ["session.json", "timeline.jsonl"] {
        let text = fs::read_to_string(logboom.session_file(file)).unwrap();
        assert!(!text.contains("hunter") && !text.contains("told-by-it") && !text.contains("key=1"), "{text}");
    }
}

#[test]
fn a_report_is_read_back_as_it_was() {
    let logboom = Logboom::new();
    let printed = "running 2 tests\ntest a::adds ... ok\ntest a::breaks ... FAILED\n\nfailures:\n\n---- a::breaks stdout ----\nabout \x1b[31mto\x1b[0m break <b> & ]]> \x07\n\nfailures:\n    a::breaks\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.17s\n";
    let xml = r#"<testsuites><testsuite name="s">
<testcase classname="x.Y" name="sometimes &lt;&quot;&amp;|&#10;'&gt;" time="1.25"><flakyFailure message="first"/><flakyFailure message="second"/></testcase>
<testcase classname="x.Y" name="never"><failure message="line one">line one
line two</failure><rerunFailure message="z"/></testcase>
<testcase classname="x.Y" name="late"><failure type="test timeout" message="after 5 s"/></testcase>
<testcase classname="same" name="same" file="same"/><testcase classname="" name="alone"/>
<testcase classname="x.Y" name="out"><skipped/></testcase></testsuite></testsuites>"#;
    run_with(&logboom, printed, xml).expect(0);
    let before = shown(&logboom);
    let report = logboom.run(["show", "--junit", "-"]).expect(0).stdout;
    let text = String::from_utf8(report.clone()).unwrap();
    assert!(text.contains("about to break &lt;b&gt; &amp; ]]&gt; \u{fffd}\n"), "{text}");
    let read = by_python(&report);
    assert!(read.contains("suite x.Y 4 2 0 1\n"), "{read}");
    assert!(read.contains("case 'x.Y' 'sometimes <\"&|\\n\\'>' ['flakyFailure', 'flakyFailure']"), "{read}");

    logboom.run(["show", "--junit", "report.xml"]).expect(0);
    assert_eq!(fs::read(logboom.path("report.xml")).unwrap(), report);
    logboom.run(["run", "--junit", "copy.xml", "--", "cp", "report.xml", "copy.xml"]).expect(0);
    let mut want: Vec<String> = before.iter().map(|test| test.trim_end_matches(" ?").to_owned() + " ?").collect();
    let mut after = shown(&logboom);
    want.sort();
    after.sort();
    assert_eq!(after, want);
    let retries = |test: &str| tests(&logboom).iter().find(|one| one["test"] == test).unwrap()["retries"].as_u64();
    assert_eq!((retries("never"), retries("sometimes <\"&|\n'>")), (Some(1), Some(2)));
}

#[test]
fn every_session_gives_a_report() {
    let logboom = Logboom::new();
    logboom.run_script("for i in $(seq 100000); do echo \"line $i\"; done; echo the end; exit 3").expect(3);
    let report = logboom.run(["show", "--junit", "-"]).expect(0);
    let read = by_python(&report.stdout);
    assert_eq!(read, "suite commands 1 1 0 0\ncase 'commands' 'sh' ['failure', 'system-out']\n");
    let text = report.text();
    assert!(
        text.contains("<failure message=\"failed (exit 3)\">") && text.contains("line 100000\nthe end\n</system-out>")
    );
    assert!(text.contains(" lines before this; logboom show ") && text.len() < 70 << 10, "{} bytes", text.len());

    logboom.run_script("true").expect(0);
    let read = by_python(&logboom.run(["show", "--junit", "-"]).expect(0).stdout);
    assert_eq!(read, "suite commands 1 0 0 0\ncase 'commands' 'sh' []\n");
    let id = logboom.text(["session", "start", "--name", "empty <&>"]);
    let read = by_python(&logboom.run(["show", "--junit", "-", id.trim()]).expect(0).stdout);
    assert_eq!(read, "");
    let failed = logboom.run(["show", "--junit", "no/such/dir/x.xml"]).expect(2);
    assert!(failed.stderr.contains("cannot write the report to no/such/dir/x.xml"), "{}", failed.stderr);
}

#[test]
fn a_summary_shows_what_failed_and_nothing_of_it_is_markup() {
    let logboom = Logboom::new();
    let hostile = "running 1 test\ntest a|b<img>`c` ... FAILED\n\nfailures:\n\n---- a|b<img>`c` stdout ----\n``````\n</details><script>\x1b[2Jx\n\nfailures:\n    a|b<img>`c`\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
    fs::write(logboom.path("printed"), hostile).unwrap();
    logboom.run(["run", "--name", "n|<b>\n# x", "--", "sh", "-c", "cat printed; exit 1"]).expect(1);
    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.starts_with("### <code>n&#124;&#60;b&#62; &#35; x</code>: failed (exit 1) in "), "{summary}");
    assert!(summary.contains("<code>a&#124;b&#60;img&#62;&#96;c&#96;</code> failed"), "{summary}");
    assert!(summary.contains("\n```````text\n") && summary.contains("\n``````\n</details><script>x\n"), "{summary}");
    assert!(!summary.contains('\x1b'), "{summary}");
    assert!(summary.contains("| <code>n&#124;&#60;b&#62; &#35; x</code> | failed (exit 1) | "), "{summary}");
}

#[test]
fn a_summary_of_a_command_without_tests_has_its_last_lines() {
    let logboom = Logboom::new();
    logboom.run_script("for i in $(seq 100); do echo \"line $i\"; done; exit 3").expect(3);
    let summary = logboom.text(["show", "--summary"]);
    assert!(
        summary.contains("60 lines before these:\n\n```text\nline 61\n") && summary.contains("line 100\n```\n"),
        "{summary}"
    );
    logboom.run_script("true").expect(0);
    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.contains("passed (exit 0) in ") && !summary.contains("```"), "{summary}");
}

#[test]
fn a_line_without_end_hides_none_of_the_others() {
    let logboom = Logboom::new();
    logboom.run_script("echo before; head -c 3000000 /dev/zero | tr '\\0' y; echo; echo after; exit 1").expect(1);
    let report = logboom.text(["show", "--junit", "-"]);
    assert!(
        report.contains(">before\nyyyy") && report.contains(" bytes more") && report.contains("\nafter\n"),
        "{} bytes",
        report.len()
    );
    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.contains("text\nbefore\nyyyy") && summary.contains("yyy …\nafter\n"), "{summary}");
}

#[test]
fn a_summary_is_never_larger_than_a_step_may_have() {
    let logboom = Logboom::new();
    let case = |number: usize| {
        format!("<testcase classname='c' name='t{number}'><failure>{}</failure></testcase>", "m".repeat(2_000))
    };
    let xml: String = (0..2_000).map(case).collect();
    run_with(&logboom, "", &format!("<testsuite>{xml}</testsuite>")).expect(0);
    let summary = logboom.text(["show", "--summary"]);
    assert!(summary.len() <= 60 << 10, "{}", summary.len());
    assert!(
        summary.contains("failed tests left out here") && summary.contains("**2,000 tests**"),
        "{} bytes",
        summary.len()
    );
}

#[test]
fn a_summary_of_long_names_is_not_larger_either() {
    let logboom = Logboom::new();
    let name = "|".repeat(3_000);
    let case = |number: usize| {
        format!("<testcase classname='{name}' name='{number}' time='{number}'><flakyFailure message='x'/></testcase>")
    };
    let xml: String = (0..30).map(case).collect();
    run_with(&logboom, "", &format!("<testsuite>{xml}</testsuite>")).expect(0);
    let id = logboom.text(["session", "start"]).trim().to_owned();
    for _ in 0..20 {
        logboom
            .run(["exec", "--session", &id, "--name", &name, "--junit", "junit.xml", "--", "touch", "junit.xml"])
            .expect(0);
    }
    let summary = logboom.text(["show", "--summary", &id]);
    assert!(summary.len() <= 60 << 10, "{}", summary.len());
    assert!(summary.contains(" runs more\n") && summary.contains("All of it: "), "{} bytes", summary.len());
}

#[test]
fn a_report_is_written_in_few_large_pieces() {
    let logboom = Logboom::new();
    let case = |number: usize| format!("<testcase classname='c' name='t{number}'/>");
    let xml: String = (0..2_000).map(case).collect();
    run_with(&logboom, "", &format!("<testsuite>{xml}</testsuite>")).expect(0);
    // Each write(2) to such a socket is a message of its own.
    let (here, there) = UnixDatagram::pair().unwrap();
    here.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut child = logboom.command(["show", "--junit", "-"]).stdout(OwnedFd::from(there)).spawn().unwrap();
    let (mut buffer, mut bytes, mut count) = (vec![0; 1 << 20], 0, 0);
    loop {
        let ended = child.try_wait().unwrap();
        match here.recv(&mut buffer) {
            Ok(length) if length > 0 => (bytes, count) = (bytes + length, count + 1),
            _ if ended.is_some() => break,
            _ => {}
        }
    }
    assert!(bytes > 100 << 10 && count <= bytes / (32 << 10) + 1, "{bytes} bytes in {count} pieces");
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_one_before_it() {
    let logboom = Logboom::new();
    logboom.run_script("seq 100000; exit 1").expect(1);
    fs::write(logboom.path("report.xml"), "the one before").unwrap();
    let id = logboom.latest()["short"].as_str().unwrap().to_owned();
    let script = format!("ulimit -f 8; trap '' XFSZ; exec \"$0\" show --junit report.xml {id}");
    let done: Done = logboom.shell(&script).output().unwrap().into();
    let done = done.expect(2);
    assert!(done.stderr.contains("cannot write the report to report.xml"), "{}", done.stderr);
    assert_eq!(fs::read_to_string(logboom.path("report.xml")).unwrap(), "the one before");
}

#[test]
fn times_without_end_are_added_up_as_far_as_it_goes() {
    let logboom = Logboom::new();
    let xml = "<testsuite><testcase classname='c' name='a' time='1e30'/><testcase classname='c' name='b' time='1e30'/></testsuite>";
    run_with(&logboom, "", xml).expect(0);
    let file = logboom.session_file("session.json");
    let mut session = session_json(&logboom);
    for test in session["runs"][0]["tests"].as_array_mut().unwrap() {
        test["duration_us"] = u64::MAX.into();
    }
    fs::write(file, session.to_string()).unwrap();
    assert!(logboom.text(["show", "--junit", "-"]).contains(" time=\"18446744073709.551615\""));
}

#[test]
fn a_report_is_of_the_whole_session() {
    let logboom = Logboom::new();
    logboom.run_script("true").expect(0);
    for filter in [["--run", "sh"], ["--level", "error"], ["--stream", "stdout"], ["--since", "1m"], ["--until", "1m"]]
    {
        for report in [&["--summary"][..], &["--junit", "-"]] {
            let refused = logboom.run([&["show"], report, &filter].concat()).expect(2);
            assert!(refused.stderr.contains("cannot be used with"), "{}", refused.stderr);
        }
    }
}

#[test]
fn a_page_has_the_messages_of_what_failed() {
    let logboom = Logboom::new();
    let xml = "<testsuite><testcase classname='c' name='t'><failure message='why &lt;b>&amp;'>why &lt;b>&amp;\nline two</failure></testcase></testsuite>";
    run_with(&logboom, "", xml).expect(0);
    logboom.run(["export", "--html", "page.html"]).expect(0);
    let page = fs::read_to_string(logboom.path("page.html")).unwrap();
    assert!(page.contains("<td class=\"message\" colspan=\"4\">why &lt;b&gt;&amp;"), "{page}");
}
