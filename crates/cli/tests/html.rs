//! `export --html`, as chromium shows the page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helper may fail as the test does")]

mod common;

use std::{
    fs,
    process::{Command, Stdio},
};

use common::{Done, Logboom, Running};

/// Everything a page could fall for; each would set `pwned` on the document if it were not only shown.
const HOSTILE: &str = r##"
cat <<'E'
</script><script>document.documentElement.dataset.pwned=1</script>
</span></p></div></main><script>document.documentElement.dataset.pwned=2</script>
<img src=x onerror="document.documentElement.dataset.pwned=3">
<svg onload="document.documentElement.dataset.pwned=4"><style>*{display:none}</style>
<!-- <a href="javascript:document.documentElement.dataset.pwned=5">click</a>
" onmouseover='document.documentElement.dataset.pwned=6' x="&lt;b&gt;
E
printf 'nul \000 bell \007 esc \033[2J\033]8;;javascript:alert(1)\033\\link invalid \377\376 \342\200\256turned\342\201\251\n'
printf '\033[1;31mred\033[0m \033[38;5;208morange\033[m \033[48;2;0;128;0mgreen\033[0m plain\n'
echo 'ERROR: it broke' >&2
exit 3
"##;

/// The document after half a second of its own time, as chromium writes it out.
fn dom(logboom: &Logboom, file: &str) -> String {
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--virtual-time-budget=500"])
        .arg(format!("--user-data-dir={}", logboom.path("chromium").display()))
        .args(["--dump-dom", &format!("file://{}", logboom.path(file).display())])
        .env("HOME", logboom.home())
        .output();
    Done::from(output.expect("chromium: see scripts/need test")).expect(0).text()
}

fn export(logboom: &Logboom) -> String {
    logboom.run(["export", "--html", "page.html"]).expect(0);
    fs::read_to_string(logboom.path("page.html")).unwrap()
}

/// The hostile lines, in a session whose name, labels and command are hostile, too.
fn hostile() -> Logboom {
    let logboom = Logboom::new();
    let name = "</title><script>document.documentElement.dataset.pwned=7</script>";
    let label = "k\"><script>document.documentElement.dataset.pwned=8</script>=v\u{202e}'<b>";
    logboom.run(["run", "--name", name, "--label", label, "--", "sh", "-c", HOSTILE]).expect(3);
    logboom
}

#[test]
fn nothing_that_was_printed_runs_and_all_of_it_is_seen() {
    let logboom = hostile();
    let page = export(&logboom);
    for control in (0..32u8).chain([127]).map(char::from).filter(|c| *c != '\n') {
        assert!(!page.contains(control), "{control:?} is in the page");
    }
    assert!(!page.contains('\u{202e}') && !page.contains('\u{2069}'));
    assert_eq!(page.matches("<script").count(), 1, "its own");
    let dom = dom(&logboom, "page.html");
    assert!(dom.contains(" lines</output>"), "its own script ran: {dom}");
    assert!(!dom.contains("data-pwned"), "{dom}");
    assert_eq!(dom.matches("<script").count(), 1);
    assert!(!dom.contains("<img") && !dom.contains("<svg") && !dom.contains("<!--"));
    let seen = [
        "&lt;img src=x onerror=",
        "<i>^@</i>",
        "<i>^G</i>",
        "<i>^[</i>[2J",
        "U+202E",
        "\u{fffd}\u{fffd}",
        "failed (exit 3)",
    ];
    for seen in seen {
        assert!(dom.contains(seen), "{seen}: {dom}");
    }
    let colours =
        "<span class=\"f1 b\">red</span> <span class=\"f208\">orange</span> <span class=\"g28\">green</span> plain";
    assert!(dom.contains(colours), "{dom}");
}

#[test]
fn nothing_but_the_pages_own_script_could_run() {
    let logboom = hostile();
    let page = export(&logboom);
    let inject = "<script>document.documentElement.dataset.pwned=1</script><img src=\"data:,\" \
        onerror=\"document.documentElement.dataset.pwned=2\"><p id=\"injected\">x</p></body>";
    fs::write(logboom.path("page.html"), page.replace("</body>", inject)).unwrap();
    let dom = dom(&logboom, "page.html");
    assert!(dom.contains("id=\"injected\""), "it was put into the page");
    assert!(!dom.contains("data-pwned"), "the policy lets it not run: {dom}");
    let head = page.split("</head>").next().unwrap();
    for loads in ["src=", "http:", "https:", "url(", "@import", "<link"] {
        assert!(!head.contains(loads), "{loads}");
    }
}

/// What the page says of its lines, and how many it shows, once a filter was set by a script that its policy would not let run.
fn filtered(logboom: &Logboom, page: &str, (id, value): (&str, &str)) -> (String, usize) {
    let (before, after) = page.split_once("<meta http-equiv").unwrap();
    let after = after.split_once("form-action 'none'\">").unwrap().1;
    let script = format!(
        "<script>addEventListener('load', () => {{ document.getElementById('{id}').value = '{value}'; \
         document.getElementById('filters').dispatchEvent(new Event('input')) }})</script></body>"
    );
    fs::write(logboom.path("filtered.html"), before.to_owned() + &after.replace("</body>", &script)).unwrap();
    let dom = dom(logboom, "filtered.html");
    let count = dom.split("aria-live=\"polite\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let rows = dom.split("<p id=").skip(1).map(|row| row.split('>').next().unwrap());
    (count, rows.filter(|row| !row.contains("hidden")).count())
}

#[test]
fn the_script_filters_by_text_run_stream_and_level() {
    let logboom = Logboom::new();
    let id = logboom.text(["session", "start"]).trim().to_owned();
    for (name, script) in [("web", "echo one; echo 'ERROR two' >&2"), ("db", "seq 300")] {
        logboom.run(["exec", "--session", &id, "--name", name, "--", "sh", "-c", script]).expect(0);
    }
    logboom.run(["session", "end", &id]).expect(0);
    let page = export(&logboom);
    for filter in [("text", "error TWO"), ("level", "4"), ("stream", "1")] {
        assert_eq!(filtered(&logboom, &page, filter), ("1 of 302 lines".to_owned(), 1), "{filter:?}");
    }
    let web = page
        .split("<select id=\"run\">")
        .nth(1)
        .unwrap()
        .split(">web")
        .next()
        .unwrap()
        .rsplit("value=")
        .next()
        .unwrap();
    assert_eq!(filtered(&logboom, &page, ("run", web.trim_matches('"'))), ("2 of 302 lines".to_owned(), 2));
    assert_eq!(filtered(&logboom, &page, ("text", "")), ("302 lines".to_owned(), 302));
}

#[test]
fn tests_that_failed_come_first_and_lead_to_their_lines() {
    let logboom = Logboom::new();
    let script = "echo 'running 2 tests'; echo 'test a ... ok'; echo 'test b ... FAILED'; printf '\\nfailures:\\n\\n---- b stdout ----\\nwhy\\n\\n\
        failures:\\n    b\\n\\ntest result: FAILED.\\n'; exit 101";
    logboom.run(["run", "--", "sh", "-c", script]).expect(101);
    let page = export(&logboom);
    let tests = page.split("<h2 id=\"tests\">").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(tests.contains("1 passed, 1 failed"), "{tests}");
    assert!(tests.find(">b</a>").unwrap() < tests.find(">a</a>").unwrap(), "{tests}");
    let link = tests.split("href=\"#").nth(1).unwrap().split('"').next().unwrap();
    let line = page.split(&format!("<p id=\"{link}\"")).nth(1).unwrap().split("</p>").next().unwrap();
    assert!(line.contains("---- b stdout ----"), "{line}");
    for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "{link} leads nowhere");
    }
}

#[test]
fn of_many_lines_the_first_and_the_last_are_kept_and_the_rest_is_said() {
    let logboom = Logboom::new();
    logboom.run(["run", "-q", "--", "seq", "1000"]).expect(0);
    let done = logboom.run(["export", "--html", "page.html", "--lines", "11"]).expect(0);
    assert!(done.stderr.contains("989 of 1,000 lines are not in the page"), "{}", done.stderr);
    let page = fs::read_to_string(logboom.path("page.html")).unwrap();
    let message = |row: &str| row.split("<span>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let lines: Vec<String> = page.split("<p id=").skip(1).map(message).collect();
    assert_eq!(lines, ["1", "2", "3", "4", "5", "6", "996", "997", "998", "999", "1000"]);
    assert!(page.contains("989 lines left out here"));
    let none = logboom.run(["export", "--html", "-", "--lines", "0"]).expect(0);
    assert!(none.stdout.ends_with(b"</html>\n") && !none.text().contains("<p id="));
}

#[test]
fn a_session_without_lines_and_a_lost_one_are_pages_too() {
    let logboom = Logboom::new();
    logboom.run(["run", "true"]).expect(0);
    assert!(export(&logboom).contains("<p>Nothing was printed.</p>"));

    let mut running = Running::of(logboom.command(["run", "--", "sh", "-c", "echo a; read go"]).stdin(Stdio::piped()));
    common::wait_until(|| logboom.run(["show", "--raw"]).text() == "a\n");
    running.kill_9();
    let page = export(&logboom);
    assert!(page.contains("<strong class=\"lost\">lost</strong>") && page.contains("<h2 id=\"lost\">"), "{page}");
    assert!(page.contains("lost seq 2-: writer was killed"), "{page}");
}

#[test]
fn a_huge_line_is_cut_and_says_so() {
    let logboom = Logboom::new();
    logboom.run(["run", "-q", "--", "sh", "-c", "head -c 9000000 /dev/zero | tr '\\0' x; echo; echo after"]).expect(0);
    let page = export(&logboom);
    assert!(page.len() < 200_000 && page.contains("… 8,967,232 more bytes") && page.contains("<span>after</span>"));
}
