//! `logboom exec --container -t -i` in a real terminal, as the person in front of it sees it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper may fail as the test does")]

mod common;

use std::process::Command;

use common::{
    engine::{Container, docker},
    signal,
    terminal::{Pane, Terminal},
    wait_until,
};

/// The modes of a terminal in which a shell waits for a line, in the words of `stty -a`.
const AS_EVER: [&str; 4] = ["icanon", "isig", "echo", "opost"];

/// A terminal, a session to add to, and a container that runs.
struct Around {
    terminal: Terminal,
    container: Container,
}

impl Around {
    fn new(test: &str) -> Around {
        let (terminal, container) = (Terminal::start(), Container::named(test));
        container.run(&[], "while :; do sleep 1000; done");
        terminal.logboom.run(["session", "start"]).expect(0);
        Around { terminal, container }
    }

    /// What is to be typed to run a script in the container.
    fn line(&self, options: &str, script: &str) -> String {
        format!("logboom exec --session latest --container {} {options} -- sh -c '{script}'", self.container.name)
    }
}

#[track_caller]
fn expect_modes(pane: &Pane<'_>) {
    let modes = pane.run("stty -a");
    AS_EVER.iter().for_each(|mode| assert!(modes.split_whitespace().any(|word| word == *mode), "{mode}: {modes}"));
}

#[test]
fn what_is_typed_is_the_commands_control_c_too() {
    let around = Around::new("tkeys");
    let pane = around.terminal.first();
    let script =
        "trap \"echo he\"\"ard; exit 3\" INT; echo set \"\"up; read word; echo go\"\"t $word; while :; do :; done";
    pane.enter(&around.line("-t -i", script));
    pane.wait_for("set up");
    pane.enter("something");
    pane.wait_for("got something");
    pane.press("C-c");
    pane.wait_for("heard");
    pane.wait_for("\nlogboom: failed (exit 3) in ");
    expect_modes(&pane);
    let kept = around.terminal.raw("stdout");
    assert!(kept.contains("something\r\ngot something\r\n") && kept.ends_with("heard\r\n"), "{kept:?}");
}

#[test]
fn the_commands_terminal_is_as_large_as_ours_and_stays_so() {
    let around = Around::new("tsize");
    let pane = around.terminal.first();
    // The size may come behind the start, as a change.
    let script = "until s=`stty size 2>/dev/null` && [ \"$s\" = \"30 110\" ]; do sleep 0.01; done; echo fir\"\"st $s; \
                  trap \"echo no\"\"w \\`stty size\\`\" WINCH; while :; do sleep 0.01; done";
    pane.enter(&around.line("-t -i", script));
    pane.wait_for("first 30 110");
    around.terminal.tmux(&["resize-window", "-x", "71", "-y", "19"]);
    pane.wait_for("now 19 71");
    pane.press("C-c");
    pane.wait_for("logboom: failed (exit 130) in ");
}

#[test]
fn the_terminal_is_as_before_whatever_ends_it() {
    let around = Around::new("tmodes");
    let pane = around.terminal.first();
    let typed =
        |program: &str| format!("logboom exec --session latest --container {} -ti -- {program}", around.container.name);
    let printed = pane.run(&typed("no-such-program"));
    assert!(printed.contains("logboom: no-such-program was not found in container "), "{printed}");
    expect_modes(&pane);
    let printed = pane.run("logboom exec --session latest --container no-such-container -ti -- true");
    assert!(printed.contains("logboom: no container no-such-container at "), "{printed}");
    expect_modes(&pane);
    // A signal from elsewhere.
    pane.enter(&around.line("-t -i", "echo set \"\"up; while :; do sleep 1; done"));
    pane.wait_for("set up");
    signal("-TERM", logboom_in(&around));
    pane.wait_for("sh may go on in container");
    expect_modes(&pane);
    // The container's end is the command's.
    pane.enter(&around.line("-t -i", "echo set \"\"up again; while :; do sleep 1; done"));
    pane.wait_for("set up again");
    docker(&["kill", &around.container.name]);
    pane.wait_for("logboom: failed (exit 137) in ");
    expect_modes(&pane);
}

/// The process that is in the foreground of the first window.
fn logboom_in(around: &Around) -> u32 {
    let shell = around.terminal.first().fact("#{pane_pid}");
    let mut found = None;
    wait_until(|| {
        let children = Command::new("pgrep").args(["-P", &shell, "logboom"]).output().unwrap();
        found = String::from_utf8_lossy(&children.stdout).trim().parse().ok();
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn the_summary_has_a_line_of_its_own() {
    let around = Around::new("tline");
    let screen = around.terminal.first().run(&around.line("-t", "printf \"no end\""));
    assert!(screen.starts_with("no end\nlogboom: passed in "), "{screen}");
}

#[test]
fn a_removed_container_takes_the_commands_end_with_it() {
    let around = Around::new("tgone");
    let pane = around.terminal.first();
    pane.enter(&around.line("-t -i", "echo set \"\"up; while :; do sleep 1; done"));
    pane.wait_for("set up");
    around.container.remove();
    let screen = pane.wait_for("\nlogboom: failed (exit 1");
    assert!(screen.contains("(exit 137)") || screen.contains("was removed while the command ran"), "{screen}");
    expect_modes(&pane);
}
