//! logboom in a real terminal, as the person in front of it sees it.
//!
//! Scripts are files, so that the typed command never holds the words that are waited for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper may fail as the test does")]

mod common;

use std::{fs, process::Command};

use common::{terminal::Terminal, wait_until};

#[test]
fn the_summary_has_a_line_of_its_own() {
    let terminal = Terminal::with_scripts(&[("prompt", "printf 'no end'"), ("wait", "echo set up; exec sleep 100")]);
    let pane = terminal.first();
    let screen = pane.run("logboom run sh prompt");
    assert!(screen.starts_with("no end\nlogboom: passed in "), "{screen}");
    let screen = pane.run("logboom run echo whole");
    assert!(screen.starts_with("whole\nlogboom: passed in "), "{screen}");
    pane.enter("logboom run sh wait");
    pane.wait_for("set up");
    pane.press("C-c");
    pane.wait_for("\nlogboom: interrupted (SIGINT) in ");
}

#[test]
fn control_c_is_heard_once() {
    // It never sleeps, since two signals that come while it does would be heard as one.
    let script = "trap 'n=$((n+1)); echo heard $n' INT; echo set up; touch go; while [ -e go ]; do :; done; \
                  echo in all $n";
    let terminal = Terminal::with_scripts(&[("count", script)]);
    let pane = terminal.first();
    pane.enter("logboom run bash count");
    pane.wait_for("set up");
    for times in 1..=3 {
        pane.press("C-c");
        pane.wait_for(&format!("heard {times}"));
    }
    fs::remove_file(terminal.logboom.path("go")).unwrap();
    pane.wait_for("in all 3\n");
    pane.wait_for("logboom: passed in");
}

#[test]
fn control_c_ends_the_command_and_says_so() {
    let terminal = Terminal::with_scripts(&[("wait", "echo set up; exec sleep 100")]);
    let pane = terminal.first();
    pane.enter("logboom run sh wait");
    pane.wait_for("set up");
    pane.press("C-c");
    pane.wait_for("logboom: interrupted (SIGINT) in");
    pane.enter("echo code $?");
    pane.wait_for("code 130");
    assert_eq!(terminal.logboom.latest()["outcome"], "interrupted");
}

#[test]
fn control_z_stops_the_job_and_fg_goes_on_with_it() {
    let script =
        "echo $$ >pid; touch go; n=0; while [ -e go ]; do n=$((n+1)); echo line $n; sleep 0.01; done; echo last $n";
    let terminal = Terminal::with_scripts(&[("lines", script)]);
    let pane = terminal.first();
    pane.enter("logboom run bash lines");
    pane.wait_for("line 5\n");
    pane.press("C-z");
    pane.wait_for("Stopped");
    let pid = fs::read_to_string(terminal.logboom.path("pid")).unwrap();
    wait_until(|| state(pid.trim()) == 'T');
    pane.enter("fg");
    wait_until(|| state(pid.trim()) != 'T');
    fs::remove_file(terminal.logboom.path("go")).unwrap();
    pane.wait_for("last");
    pane.wait_for("logboom: passed in");
    let lines: Vec<String> = terminal.raw("stdout").lines().map(str::to_owned).collect();
    let count = lines.len() - 1;
    assert_eq!(lines[count], format!("last {count}"));
    assert!((1..=count).all(|n| lines[n - 1] == format!("line {n}")), "{lines:?}");
}

/// The letter that the kernel has for what a process does.
fn state(pid: &str) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('X')
}

#[test]
fn a_pipeline_goes_through_it() {
    let terminal = Terminal::start();
    let pane = terminal.first();
    let printed = pane.run("seq 3 | logboom run -- sed s/^/number/ | cat; echo all ${PIPESTATUS[*]}");
    let printed: Vec<&str> = printed.lines().filter(|line| !line.starts_with("logboom:")).collect();
    assert_eq!(printed, ["number1", "number2", "number3", "all 0 0 0"]);
    let printed = pane.run("logboom run yes | head -1; echo all ${PIPESTATUS[*]}");
    let printed: Vec<&str> = printed.lines().filter(|line| !line.starts_with("logboom:")).collect();
    assert_eq!(printed, ["y", "all 141 0"]);
}

#[test]
fn a_pager_after_it_has_the_keyboard() {
    let terminal = Terminal::start();
    let pane = terminal.first();
    pane.enter("seq 200 | logboom run -- sed s/^/number/ | more; echo all ${PIPESTATUS[*]}");
    pane.wait_for("--More--");
    assert!(!pane.screen().contains("number200"));
    pane.press("Space");
    pane.wait_for("number50");
    pane.press("q");
    pane.wait_until("the end", |screen| screen.contains("all 0 0 0") || screen.contains("all 0 141 0"));
    pane.enter("echo still $((40 + 2))");
    pane.wait_for("still 42");
}

#[test]
fn a_new_window_size_reaches_the_command() {
    let script = "exec 3>&1 4>&2; touch go; trap 'echo now $(stty size <&3) $(stty size <&4)' WINCH; \
                  echo first $(stty size <&3); while [ -e go ]; do sleep 0.01; done";
    let terminal = Terminal::with_scripts(&[("size", script)]);
    let pane = terminal.first();
    pane.enter("logboom run bash size");
    pane.wait_for("first 30 110");
    terminal.tmux(&["resize-window", "-x", "71", "-y", "19"]);
    pane.wait_for("now 19 71 19 71");
    fs::remove_file(terminal.logboom.path("go")).unwrap();
    pane.wait_for("logboom: passed in");
}

#[test]
fn colours_stay_and_so_do_the_streams() {
    let script = r"[ -t 1 ] && printf '\033[31mred\033[0m\n'; [ -t 2 ] && printf '\033[32mgreen\033[0m\n' >&2";
    let terminal = Terminal::with_scripts(&[("colors", script)]);
    let pane = terminal.first();
    pane.run("logboom run sh colors");
    let colored = pane.colored();
    assert!(colored.contains("\x1b[31mred") && colored.contains("\x1b[32mgreen"), "{colored:?}");
    let dir = terminal.logboom.latest()["dir"].as_str().unwrap().to_owned();
    let log = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let log = log
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .map(|path| fs::read_to_string(path).unwrap());
    let log = log.collect::<String>();
    let tagged =
        |tag: &str, word: &str| log.lines().any(|line| line.contains(word) && line.split(' ').any(|part| part == tag));
    assert!(tagged("O", "red") && tagged("E", "green") && !tagged("E", "red"), "{log}");
}

#[test]
fn pty_gives_one_full_terminal() {
    let script = "tty; tty <&1; tty <&2; read word </dev/tty; echo got $word; echo err >&2";
    let terminal = Terminal::with_scripts(&[("full", script)]);
    let pane = terminal.first();
    pane.enter("logboom run --pty sh full");
    pane.wait_until("three terminals", |screen| screen.matches("/dev/pts/").count() == 3);
    pane.enter("something");
    pane.wait_for("got something");
    pane.wait_for("logboom: passed in");
    let lines: Vec<String> = terminal.raw("stdout").lines().map(|line| line.trim_end().to_owned()).collect();
    assert!(lines[0] == lines[1] && lines[1] == lines[2], "{lines:?}");
    assert_eq!(lines[3..], ["something", "got something", "err"]);
    assert_eq!(terminal.raw("stderr"), "");
    assert!(pane.run("stty -a").contains(" icanon "), "our terminal has its modes back");
}

#[test]
fn the_summary_is_for_a_person_only() {
    let script = "echo fine; echo 'error: broken' >&2; exit 101";
    let terminal = Terminal::with_scripts(&[("fail", script)]);
    let pane = terminal.first();
    let printed = pane.run("logboom run sh fail");
    let summary = printed.lines().last().unwrap();
    let short = terminal.logboom.latest()["short"].as_str().unwrap().to_owned();
    assert!(summary.starts_with("logboom: failed (exit 101) in "), "{printed}");
    assert!(summary.ends_with(&format!(" s, 2 lines, 1 error, 0 lost; logboom show {short}")), "{printed}");
    let printed = pane.run("logboom run sh fail 2>stderr");
    assert_eq!(printed, "fine\n");
    assert_eq!(fs::read_to_string(terminal.logboom.path("stderr")).unwrap(), "error: broken\n");
}

#[test]
fn show_pages() {
    let terminal = Terminal::start();
    terminal.logboom.run_script("seq -f number%g 200").expect(0);
    let pane = terminal.first();
    pane.enter("LOGBOOM_PAGER=more logboom show; echo code $?");
    pane.wait_for("--More--");
    assert!(pane.visible().contains("number5\n") && !pane.visible().contains("number200"));
    pane.press("q");
    pane.wait_for("code 0");
}

#[test]
fn without_a_pager_show_goes_straight_to_the_terminal() {
    let terminal = Terminal::start();
    terminal.logboom.run_script("seq -f number%g 200").expect(0);
    let printed = terminal.first().run("LOGBOOM_PAGER=no-such-pager logboom show");
    assert_eq!(printed.lines().filter(|line| line.contains("number")).count(), 200);
}

/// Prints numbered lines until the file `go` is gone, which the test's end takes away, too.
const NUMBERS: &str = "echo $PPID >ppid; touch go; n=0; while [ -e go ]; do n=$((n+1)); echo line $n; sleep 0.02; done";

#[test]
fn tail_follows_a_run_in_another_window_to_its_end() {
    let terminal = Terminal::with_scripts(&[("numbers", NUMBERS)]);
    let (pane, other) = (terminal.first(), terminal.second());
    pane.enter("logboom run bash numbers");
    pane.wait_for("line 2\n");
    other.enter("logboom tail -f; echo code $?");
    other.wait_for("line 30\n");
    fs::remove_file(terminal.logboom.path("go")).unwrap();
    pane.wait_for("logboom: passed in");
    let screen = other.wait_for("code 0");
    let last = terminal.raw("stdout").lines().last().unwrap().to_owned();
    assert!(screen.contains(&format!("{last}\n")), "{last} is missing:\n{screen}");
}

#[test]
fn tail_says_that_the_writer_was_killed() {
    let terminal = Terminal::with_scripts(&[("numbers", NUMBERS)]);
    let (pane, other) = (terminal.first(), terminal.second());
    pane.enter("logboom run bash numbers");
    pane.wait_for("line 2\n");
    other.enter("logboom tail -f; echo code $?");
    other.wait_for("line 3\n");
    let pid = fs::read_to_string(terminal.logboom.path("ppid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    other.wait_for("was killed; what it had not yet written is lost");
    other.wait_for("code 1");
    assert_eq!(terminal.logboom.latest()["outcome"], "lost");
}

#[test]
fn tail_says_which_run_it_waits_for_and_has_all_of_it() {
    let terminal = Terminal::start();
    let (pane, logboom) = (terminal.first(), &terminal.logboom);
    let id = logboom.text(["session", "start"]);
    let exec = |args: &[&str]| logboom.run([&["exec", "--session", id.trim(), "--"], args].concat()).expect(0);
    exec(&["seq", "1"]);
    pane.enter("logboom tail -f --raw --run seq.2; echo code $?");
    pane.wait_for(" has no run seq.2 yet; waiting for it\n");
    let silent = logboom.start(["tail", "-f", "--raw", "--run", "seq.2"]);
    exec(&["seq", "101", "130"]);
    pane.wait_for("\n130\n");
    logboom.text(["session", "end", id.trim()]);
    let screen = pane.wait_for("code 0");
    let numbers: String = (101..=130).map(|number| format!("{number}\n")).collect();
    assert!(screen.contains(&numbers) && screen.matches(" yet; ").count() == 1, "{screen}");
    assert_eq!(silent.done().expect(0).stderr, "", "only a terminal is told");
}

#[test]
fn tail_says_that_the_run_it_waited_for_never_came() {
    let terminal = Terminal::start();
    let (pane, logboom) = (terminal.first(), &terminal.logboom);
    let id = logboom.text(["session", "start"]);
    logboom.run(["exec", "--session", id.trim(), "--", "true"]).expect(0);
    pane.enter("logboom tail -f --run true.2; echo code $?");
    pane.wait_for(" has no run true.2 yet; waiting for it\n");
    logboom.text(["session", "end", id.trim()]);
    pane.wait_for(" has no run true.2; it has true\ncode 2\n");
}

#[test]
fn what_would_move_the_terminal_is_shown_and_colours_are_colours() {
    let script = r"printf 'clear\033[2J bell\007 title\033]0;stolen\007 \033[31mred\033[0m end\n'";
    let terminal = Terminal::start();
    terminal.logboom.run_script(script).expect(0);
    let pane = terminal.first();
    let title = pane.fact("#{pane_title}");
    for command in
        ["LOGBOOM_PAGER= logboom show", "LOGBOOM_PAGER='more -e' logboom show", "logboom tail", "logboom search clear"]
    {
        let printed = pane.run(command);
        assert!(printed.contains("clear^[[2J bell^G title^[]0;stolen^G red end"), "{command}:\n{printed}");
        assert!(pane.colored().contains("\x1b[31mred"), "{command}: {:?}", pane.colored());
        assert_eq!((pane.fact("#{pane_title}"), pane.fact("#{window_bell_flag}")), (title.clone(), "0".to_owned()));
    }
}

#[test]
fn no_color_means_no_colours() {
    let terminal = Terminal::start();
    terminal.logboom.run_script(r"printf '\033[31merror: red\033[0m\n'; exit 1").expect(1);
    let pane = terminal.first();
    for command in ["logboom show --no-pager", "logboom tail", "logboom sessions", "logboom search red", "logboom"] {
        pane.run(command);
        assert!(pane.colored().contains('\x1b'), "{command} has colours");
        pane.run(&format!("NO_COLOR=1 {command}"));
        assert!(!pane.colored().contains('\x1b'), "{command}: {:?}", pane.colored());
    }
}

#[test]
fn alone_it_gives_six_examples_and_the_latest_session() {
    let terminal = Terminal::start();
    let pane = terminal.first();
    assert!(pane.run("logboom").contains("There are no sessions in "));
    terminal.logboom.run_script("exit 7").expect(7);
    let printed = pane.run("logboom");
    let examples = printed.lines().filter(|line| line.starts_with("  ") && line.contains("logboom ")).count();
    let short = terminal.logboom.latest()["short"].as_str().unwrap().to_owned();
    assert_eq!(examples, 6, "{printed}");
    assert!(printed.contains(&short) && printed.contains("failed (exit 7)"), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 110), "{printed}");
}
