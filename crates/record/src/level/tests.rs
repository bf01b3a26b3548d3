use super::Level::{Debug, Error, Info, Trace, Warn};
use super::*;

#[track_caller]
fn tells(level: Level, lines: &[&str]) {
    for line in lines {
        assert_eq!(guess(line.as_bytes()), Some(level), "{line}");
    }
}

#[track_caller]
fn says_nothing(lines: &[&str]) {
    for line in lines {
        assert_eq!(guess(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn words_inside_sentences_and_names_say_nothing() {
    says_nothing(&[
        "0 errors",
        "0 errors, 0 warnings",
        "0 failed, 12 passed",
        "error-free",
        "errors: 0",
        "Errors: 0, Warnings: 0",
        "Errors found: 0",
        "error: 0",
        "no error",
        "No error: all is well",
        "no errors were found",
        "Error handling is enabled",
        "error handling is enabled",
        "error rate is 3 %",
        "error codes are listed below",
        "Errors are sent to stderr",
        "warning_count=0",
        "ERROR_COUNT=0",
        "ERROR = 5",
        "error.rs",
        "error::Error is a type",
        "src/error.rs",
        "   Compiling thiserror v2.0.12",
        "   Compiling proc-macro-error v1.0.4",
        "test error_is_reported ... ok",
        "test result: ok. 3 passed; 0 failed; 0 ignored",
        "PASS src/error.test.js",
        "ok 3 - reports errors",
        "not ok 4 - known # TODO",
        "the error is in line 3",
        "This is an error in judgement, not in code",
        "it was a fatal mistake",
        "we warn: do not do this at home, error prone",
        "Debugging enabled",
        "Information about the project",
        "Warnings are treated like everything else",
        "informational messages follow",
        "tests/test_errors.py::test_error PASSED [ 10%]",
        "GET /error 200 in 3 ms",
        "10.0.0.7 - - [02/Jan/2026:15:04:05 +0000] \"GET /error HTTP/1.1\" 500 12",
        "[webpack] asset error.js 3 KiB [emitted]",
        "{\"msg\":\"level\\\":\\\"error\\\"\",\"count\":0}",
        "{\"user\":{\"level\":\"error\"},\"msg\":\"x\"}",
        "{\"error\":\"none\",\"ok\":true}",
        "msg=\"level=error\" count=0",
        "2026-01-02 15:04:05 error budget is untouched",
        "Tests:       2 passed, 2 total",
        "Tests run: 3, Failures: 0, Errors: 0, Skipped: 0",
        "100% tests passed, 0 tests failed out of 3",
        "  12: core::panicking::panic_fmt",
        "    at Error.captureStackTrace (node:internal:1:2)",
        "\tat java.base/java.lang.Error.<init>(Error.java:71)",
        "fine",
        "config: debug",
        "F",
        "E",
        "",
        " ",
        "<div>error</div>",
        "\u{1b}[31mred text about an error\u{1b}[0m",
    ]);
}

#[test]
fn a_level_at_the_start_tells() {
    tells(
        Error,
        &[
            "ERROR x",
            "ERROR: x",
            "error: x",
            "Error: x",
            "FATAL x",
            "CRITICAL: x",
            "SEVERE: x",
            "fatal: no repository",
            "panic: x",
        ],
    );
    tells(
        Error,
        &["error - x", "error Command failed", "ERROR", "error", "FAILED (failures=1)", "FAIL\texample.com/x\t0.1s"],
    );
    tells(Warn, &["WARN x", "WARNING:root:x", "warning: x", "Warning: x", "warn  - x", "DEPRECATED: x"]);
    tells(Info, &["INFO:     Started", "info: 0 errors", "NOTICE: x", "LOG: x"]);
    tells(Debug, &["DEBUG x", "debug: x", "FINE: x", "verbose: x"]);
    tells(Trace, &["TRACE x", "trace: x", "FINEST: x", "silly: x"]);
}

#[test]
fn colours_around_a_level_do_not_hide_it() {
    tells(
        Error,
        &[
            "\u{1b}[1m\u{1b}[31merror\u{1b}[0m\u{1b}[1m: x",
            "\u{1b}[31mERROR\u{1b}[0m x",
            "  \u{1b}[41m FAIL \u{1b}[49m a.test.js",
        ],
    );
    tells(
        Error,
        &[
            "[\u{1b}[1;31mERROR\u{1b}[m] x",
            "\u{1b}[01m\u{1b}[Kb.c:3:7:\u{1b}[m\u{1b}[K \u{1b}[01;31m\u{1b}[Kerror: \u{1b}[m\u{1b}[Kx",
        ],
    );
    tells(
        Warn,
        &[
            "\u{1b}[33mWARN\u{1b}[0m[0000] slow",
            "\u{1b}[2m2026-01-02T15:04:05.1Z\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m app: x",
        ],
    );
}

#[test]
fn a_level_behind_any_date_tells() {
    for date in [
        "2026-01-02T15:04:05Z",
        "2026-01-02T15:04:05.123456789+01:00",
        "2026-01-02 15:04:05,123",
        "2026-01-02 15:04:05.123 UTC",
        "2026-01-02 15:04:05 +0000",
        "2026/01/02 15:04:05",
        "20260102 15:04:05",
        "15:04:05.123",
        "3:04PM",
        "[15:04:05]",
        "[2026-01-02 15:04:05 +0000]",
        "[Fri Jan 02 15:04:05.123456 2026]",
        "[   12.345678]",
        "Jan  2 15:04:05",
        "Jan 02, 2026 3:04:05 PM",
        "02-Jan-2026 15:04:05.123",
        "01-02 15:04:05.123",
        "1767366245.123",
    ] {
        let line = |rest: &str| [date, rest].concat();
        tells(
            Error,
            &[
                &line(" ERROR x"),
                &line(" [error] x"),
                &line(" - ERROR - x"),
                &line(" app: error: x"),
                &line(" [main] ERROR a.B - x"),
            ],
        );
        tells(Warn, &[&line("  WARN x"), &line(" | WARNING  | x"), &line(" name - WARNING - x")]);
        tells(Debug, &[&line("\tDEBUG\tmain.go:3\tx")]);
        says_nothing(&[&line(" started without error"), &line(" host app[3]: finished, errors: 0")]);
    }
}

#[test]
fn a_level_in_brackets_tells() {
    tells(
        Error,
        &[
            "[ERROR] x",
            "[error] x",
            "[ERROR ] x",
            "[E] x",
            "[core:error] [pid 1] x",
            "[Server thread/ERROR]: x",
            "[12:34:56 ERR] x",
        ],
    );
    tells(
        Error,
        &[
            "[2026-01-02 15:04:05,123: ERROR/MainProcess] x",
            "[2026-01-02T15:04:05Z ERROR app] x",
            "[FAILED] Failed to start x",
            "[  FAILED  ] A.B (0 ms)",
        ],
    );
    tells(Info, &["[  INFO ] x", "[2026-01-02 15:04:05 +0000] [123] [INFO] Starting"]);
    tells(Debug, &["[watchdog:debug] [pid 1] x", "[D 15:04:05 app] x"]);
    says_nothing(&["[1/4] Resolving packages...", "[main] started", "[  OK  ] Started x", "[       OK ] A.B (0 ms)"]);
}

#[test]
fn priorities_and_letters_tell() {
    tells(
        Error,
        &["<3>x", "<11>1 2026-01-02T15:04:05Z h a - - - x", "E0102 15:04:05.000000    12 f.go:3] x", "E/Tag( 123): x"],
    );
    tells(
        Error,
        &[
            "01-02 15:04:05.123  12  34 E Tag: x",
            "E, [2026-01-02T15:04:05.123456 #12] ERROR -- : x",
            "E: Unable to locate package x",
            "e: file:///a.kt x",
        ],
    );
    tells(Error, &["E       assert 1 == 2"]);
    tells(Warn, &["<4>x", "W0102 15:04:05.000000    12 f.go:3] x", "W/Tag: (x)", "w: a.kt: (1, 2): x"]);
    tells(Info, &["<6>x", "I0102 15:04:05.000000    12 f.go:3] x"]);
    says_nothing(&["<999>x", "<3 things", "I am here", "A/B testing (new)"]);
}

#[test]
fn keys_tell() {
    tells(
        Error,
        &[
            "{\"level\":\"error\",\"msg\":\"x\"}",
            "{ \"msg\": \"a \\\" b\", \"severity\": \"ERROR\" }",
            "{\"level\":50,\"msg\":\"x\"}",
            "{\"levelno\": 40}",
        ],
    );
    tells(
        Error,
        &[
            "level=error msg=x",
            "time=\"2026-01-02T15:04:05Z\" level=error msg=x",
            "ts=1 msg=\"a b\" lvl=eror",
            "PRIORITY=3 level=err",
        ],
    );
    tells(
        Warn,
        &[
            "{\"a\":{\"level\":\"error\"},\"b\":[1,{\"c\":2}],\"level\":\"warn\"}",
            "time=2026-01-02 15:04:05,123 level=WARNING x",
        ],
    );
    tells(
        Info,
        &["{\"level\":30,\"msg\":\"error\"}", "level=info error=none", "{\"message\":\"error\",\"@level\":\"info\"}"],
    );
    tells(Trace, &["{\"level\":10}", "level=trace"]);
    says_nothing(&[
        "{\"level\":",
        "{\"level",
        "{",
        "{}",
        "{\"a\"",
        "{\"a\\",
        "{\"a\\\"",
        "level=",
        "level=\"",
        "a=",
        "a=\"",
        "{\"level\":{}}",
        "{\"level\":\"loud\"}",
    ]);
}

#[test]
fn compilers_and_linters_tell() {
    tells(
        Error,
        &[
            "src/x.c:10:5: error: x",
            "x.ts(10,3): error TS2322: x",
            "src/a.ts:3:5 - error TS2322: x",
            "error[E0308]: x",
            "error TS5023: x",
            "Foo.java:3: error: x",
        ],
    );
    tells(
        Error,
        &[
            "./main.go:5:2: undefined: x",
            "l.c:(.text+0xa): undefined reference to `x'",
            "/usr/bin/ld: cannot find -lx",
            "collect2: error: ld returned 1 exit status",
            "cc1: fatal error: x.c: No such file or directory",
        ],
    );
    tells(
        Error,
        &[
            "  3:7  error  x is unused  no-unused-vars",
            "2 errors generated.",
            "1 error",
            "CMake Error at CMakeLists.txt:3",
            "make: *** [Makefile:2: all] Error 2",
            "x.c:3:4: runtime error: overflow",
        ],
    );
    tells(
        Warn,
        &[
            "x.py:3: DeprecationWarning: x",
            "x.py:3:5: F841 local variable",
            "x.py:3:5: W0613: Unused argument",
            "CMake Warning (dev) at CMakeLists.txt:3",
            "4 warnings",
            "OpenJDK 64-Bit Server VM warning: x",
        ],
    );
}

#[test]
fn test_runners_tell() {
    tells(
        Error,
        &[
            "test a::b ... FAILED",
            "test src/lib.rs - f (line 3) ... FAILED",
            "test result: FAILED. 1 passed; 1 failed",
            "FAILED tests/x.py::test_y - assert 1",
            "tests/x.py::test_y FAILED [ 10%]",
        ],
    );
    tells(
        Error,
        &[
            "--- FAIL: TestX (0.00s)",
            "    --- FAIL: TestX/a (0.00s)",
            "=== 1 failed, 2 passed in 0.1s ===",
            "=== FAILURES ===",
            "Tests:       1 failed, 2 total",
            "Test Suites: 1 failed, 2 total",
            "  1 failing",
        ],
    );
    tells(
        Error,
        &[
            "not ok 3 - adds",
            "  \u{2715} adds (3 ms)",
            "FAIL src/x.test.js",
            "Tests run: 3, Failures: 1, Errors: 0",
            "test_x (a.B.test_x) ... ERROR",
            "2/3 Test #2: b ....***Failed 0.00 sec",
        ],
    );
}

#[test]
fn crashes_and_exceptions_tell() {
    tells(
        Error,
        &[
            "thread 'main' panicked at src/main.rs:3:5:",
            "thread 'a b' (12) panicked at x",
            "Traceback (most recent call last):",
            "ValueError: x",
            "KeyError",
            "json.decoder.JSONDecodeError: x",
        ],
    );
    tells(
        Error,
        &[
            "java.lang.IllegalStateException: x",
            "Exception in thread \"main\" java.lang.Error",
            "Caused by: java.io.IOException: x",
            "TypeError [ERR_X]: x",
            "Segmentation fault (core dumped)",
            "==12==ERROR: AddressSanitizer: x",
        ],
    );
    tells(Warn, &["(node:12) Warning: x", "(node:12) [DEP0005] DeprecationWarning: x", "PHP Warning:  x"]);
    tells(
        Error,
        &[
            "PHP Fatal error:  Uncaught x",
            "terminate called after throwing an instance of 'x'",
            "fatal error: all goroutines are asleep",
        ],
    );
}

#[test]
fn tools_tell() {
    tells(
        Error,
        &[
            "npm ERR! code E404",
            "npm error code E404",
            "::error file=x::y",
            "##[error]Process completed",
            "> Task :a FAILED",
            "#7 1.23 npm ERR! x",
            "#7 ERROR: x",
            "web-1  | ERROR x",
        ],
    );
    tells(
        Error,
        &[
            "bash: line 3: foo: command not found",
            "sh: 1: foo: not found",
            "ls: cannot access 'x': No such file or directory",
            "git: error: x",
            "Error response from daemon: x",
            " ! [rejected]        a -> b",
        ],
    );
    tells(
        Warn,
        &[
            "npm WARN deprecated x",
            "npm warn deprecated x",
            "::warning::x",
            "##[warning]x",
            "1:M 02 Jan 2026 15:04:05.123 # x",
            "Makefile:4: warning: x",
        ],
    );
    tells(Info, &["npm notice x", "1:M 02 Jan 2026 15:04:05.123 * x"]);
    tells(Trace, &["npm sill x"]);
}

#[test]
fn symbols_tell() {
    tells(
        Error,
        &["❌ broke", "✗ broke", "✖ 2 problems", "× a > b", "🚨 down", "💥 x", "│ Error: Invalid", "✘ [ERROR] x"],
    );
    tells(Warn, &["⚠️ careful", "⚠ careful", "▲ [WARNING] x"]);
    tells(Info, &["✅ done, 0 errors", "✓ reports errors", "ℹ️ error codes"]);
    tells(Debug, &["🐛 x"]);
    says_nothing(&["✖ 0 problems", "• a list", "└─ error@1.0.0", "é", "\u{ff}"]);
}

#[test]
fn any_bytes_and_any_cut_are_survived() {
    for line in [
        "[2026-01-02 15:04:05,123: ERROR/Main] x",
        "{\"a\":\"\\\"\",\"level\":\"error\"}",
        "\u{1b}[31mx.c:3:5: error: ⚠️",
        "thread 'a' (3) panicked",
    ] {
        let cuts: Vec<_> = (0..=line.len()).map(|end| guess(&line.as_bytes()[..end])).collect();
        assert_eq!((cuts[0], cuts[line.len()]), (None, Some(Error)), "{line}");
    }
    assert!((0..=255).all(|byte| guess(&[byte; 200]).is_none_or(|level| level == Info)));
    assert_eq!(guess(&[b'\t'; 1_000]), None);
}

#[test]
fn levels_are_read_back_from_number_letter_and_name() {
    for level in Level::ALL {
        assert_eq!(Level::from_u8(level as u8), Some(level));
        assert_eq!(Level::from_letter(level.letter()), Some(level));
        assert_eq!(level.as_str().parse(), Ok(level));
        assert_eq!(level.to_string().to_uppercase().parse(), Ok(level));
    }
    assert_eq!((Level::from_u8(5), Level::from_letter(b'e')), (None, None));
}

#[test]
fn other_names_of_levels_are_read_and_nonsense_is_named() {
    assert_eq!(
        ["Warning", "ERR", "fatal", "Critical", "panic"].map(|name| name.parse::<Level>().unwrap()),
        [Warn, Error, Error, Error, Error]
    );
    assert_eq!(
        "loud".parse::<Level>().unwrap_err().to_string(),
        "\"loud\" is not a level; use trace, debug, info, warn or error"
    );
    assert!(["", "error ", "info2"].iter().all(|name| name.parse::<Level>().is_err()));
}
