//! A real terminal, as the person in front of it has it.
//!
//! Each has a tmux server of its own, which ends with it; what a test waits for is on the screen or it fails. Scripts
//! are files, so that the typed command never holds the words that are waited for.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use super::{DEADLINE, Logboom, wait_until};

const PROMPT: &str = "ready>";

/// A shell that is the same for everybody.
const SHELL: &str = "bash --noprofile --rcfile rc";

/// A tmux server with one shell, in which `logboom` is the program under test.
pub struct Terminal {
    pub logboom: Logboom,
}

impl Terminal {
    pub fn start() -> Terminal {
        let terminal = Terminal { logboom: Logboom::new() };
        fs::write(terminal.logboom.path("rc"), format!("PS1='{PROMPT} '\n")).unwrap();
        terminal.tmux(&["new-session", "-d", "-x", "110", "-y", "30", SHELL]);
        terminal.first().wait_for(PROMPT);
        terminal
    }

    /// With these scripts in its working directory.
    pub fn with_scripts(scripts: &[(&str, &str)]) -> Terminal {
        let terminal = Terminal::start();
        scripts.iter().for_each(|(name, text)| fs::write(terminal.logboom.path(name), text).unwrap());
        terminal
    }

    pub fn first(&self) -> Pane<'_> {
        Pane { terminal: self, target: ":0".to_owned() }
    }

    /// A window beside the first.
    pub fn second(&self) -> Pane<'_> {
        self.tmux(&["new-window", "-d", "-t", ":1", SHELL]);
        let pane = Pane { terminal: self, target: ":1".to_owned() };
        pane.wait_for(PROMPT);
        pane
    }

    #[track_caller]
    pub fn tmux(&self, args: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        assert!(status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_logboom")).parent().unwrap().to_str().unwrap();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", "logboom", "-f", "/dev/null"]).args(args).current_dir(self.logboom.home());
        for name in ["LOGBOOM_SESSION", "LOGBOOM_RUN", "LOGBOOM_PAGER", "PAGER", "NO_COLOR", "LESS", "TMUX"] {
            command.env_remove(name);
        }
        // The socket lies in the test's own directory.
        command.env("TMUX_TMPDIR", self.logboom.home()).env("HOME", self.logboom.home()).env("PATH", path);
        command.env("LOGBOOM_DIR", self.logboom.data()).env("LC_ALL", "C.UTF-8");
        command
    }

    pub fn raw(&self, stream: &str) -> String {
        self.logboom.text(["show", "--raw", "--stream", stream])
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Fails where the server has ended already.
        let _ = self.command(&["kill-server"]).output();
    }
}

/// One window of the terminal.
pub struct Pane<'a> {
    terminal: &'a Terminal,
    target: String,
}

impl Pane<'_> {
    /// Types a line and Enter.
    pub fn enter(&self, line: &str) {
        self.terminal.tmux(&["send-keys", "-t", &self.target, "-l", "--", line]);
        self.press("Enter");
    }

    /// Presses a key by the name that tmux has for it.
    pub fn press(&self, key: &str) {
        self.terminal.tmux(&["send-keys", "-t", &self.target, key]);
    }

    /// What is on the screen and above it.
    pub fn screen(&self) -> String {
        self.terminal.tmux(&["capture-pane", "-p", "-J", "-S", "-", "-t", &self.target])
    }

    /// Only what is on the screen now.
    pub fn visible(&self) -> String {
        self.terminal.tmux(&["capture-pane", "-p", "-t", &self.target])
    }

    /// The screen with its colours, as SGR sequences.
    pub fn colored(&self) -> String {
        self.terminal.tmux(&["capture-pane", "-p", "-e", "-t", &self.target])
    }

    pub fn fact(&self, format: &str) -> String {
        self.terminal.tmux(&["display-message", "-p", "-t", &self.target, format]).trim_end().to_owned()
    }

    #[track_caller]
    pub fn wait_for(&self, words: &str) -> String {
        self.wait_until(words, |screen| screen.contains(words))
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if condition(&screen) {
                return screen;
            }
            assert!(start.elapsed() < DEADLINE, "waited in vain for {what:?}; on the screen:\n{screen}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs a command to its end; gives what it printed, without the line that was typed.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        self.press("C-l");
        wait_until(|| ended(&self.visible()).is_none());
        self.terminal.tmux(&["clear-history", "-t", &self.target]);
        self.enter(&format!("{line}; echo \"ended $?.\""));
        let screen = self.wait_until("its end", |screen| ended(screen).is_some());
        let printed = screen.split_once("ended $?.\"\n").map_or(screen.as_str(), |(_, rest)| rest);
        printed[..ended(printed).unwrap()].to_owned()
    }
}

/// Where the end of a command is told on the screen.
fn ended(screen: &str) -> Option<usize> {
    screen
        .match_indices("ended ")
        .map(|(at, _)| at)
        .find(|at| screen[at + 6..].starts_with(|c: char| c.is_ascii_digit()))
}
