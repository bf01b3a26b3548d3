//! The options that several commands share.

use std::{
    io::{IsTerminal, stderr},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use logboom_capture::{
    command::{self, PassThrough, TimeLimit},
    engine::{Host, HostError},
};
use logboom_files::{
    config::{Config, Drain, Flags, OnTerminal},
    session::Counts,
    units::parse_duration,
};
use logboom_record::{RunEnd, SessionId, Time};

use crate::{
    args::{Global, label, on_terminal},
    human,
    say::say,
};

/// What the run is called.
#[derive(Args, Clone)]
pub struct Naming {
    /// What to call it [the command's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Note a fact about it (may be given more than once)
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Write the session's id to this file as soon as there is one
    #[arg(long, value_name = "FILE")]
    pub id_file: Option<PathBuf>,
}

/// Which engine.
#[derive(Args, Clone)]
pub struct EngineAt {
    /// The engine: unix://PATH or tcp://HOST:PORT [DOCKER_HOST, else docker's context, else unix:///var/run/docker.sock]
    #[arg(long, value_name = "URL")]
    pub host: Option<String>,
}

impl EngineAt {
    /// The one that is meant.
    pub fn host(&self) -> Result<Host, HostError> {
        match &self.host {
            Some(host) => Host::given(host, &|name| std::env::var_os(name)),
            None => Host::from_environment(),
        }
    }
}

/// What is kept, and what is said at the end.
#[derive(Args, Clone)]
pub struct Keeping {
    /// Only capture the output, do not pass it on
    #[arg(short, long)]
    pub quiet: bool,
    /// Keep the text log alone, no boom file: less work now, slower search later
    #[arg(long)]
    pub no_boom: bool,
    /// Say on standard error how it went (auto: if that is a terminal)
    #[arg(long, value_name = "WHEN", value_parser = on_terminal(), default_value = "auto")]
    pub summary: OnTerminal,
}

impl Keeping {
    /// Standard error is the command's; logboom speaks there only to a person.
    pub fn may_speak(&self) -> bool {
        match self.summary {
            OnTerminal::Auto => stderr().is_terminal(),
            OnTerminal::Always => true,
            OnTerminal::Never => false,
        }
    }

    /// Says how it went, and where to read it.
    pub fn summarize(&self, session: &SessionId, started_at: Time, end: &RunEnd, counts: &Counts) {
        if self.may_speak() {
            let took = human::between(started_at, end.ended_at);
            say(format_args!("{}; logboom show {}", human::summary(end, took, counts), session.short()));
        }
    }
}

/// How the command runs.
#[derive(Args, Clone)]
pub struct Running {
    /// Give the command terminals of its own (auto: for each stream that is one)
    #[arg(long, value_name = "WHEN", value_parser = on_terminal())]
    tty: Option<OnTerminal>,
    /// Give the command one full terminal; both streams become one
    #[arg(long, conflicts_with = "tty")]
    pty: bool,
    /// End the command and all its descendants after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How long after SIGTERM to send SIGKILL [5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    grace: Option<Duration>,
    /// Go on capturing when nobody reads the output any more
    #[arg(long)]
    detach_output: bool,
    /// How long to read on when descendants keep the output open after the command's end [2s]; or forever
    #[arg(long, value_name = "TIME")]
    drain: Option<Drain>,
}

impl Running {
    /// What these options say to the configuration.
    pub fn flags(&self, global: &Global) -> Flags {
        Flags { dir: global.dir.clone(), tty: self.tty, drain: self.drain, grace: self.grace, ..Flags::default() }
    }

    /// How to run a command.
    pub fn apply(&self, config: &Config, quiet: bool, spec: &mut command::Spec) {
        spec.tty = match config.tty.value {
            _ if self.pty => command::Tty::Full,
            OnTerminal::Auto => command::Tty::Auto,
            OnTerminal::Always => command::Tty::Always,
            OnTerminal::Never => command::Tty::Never,
        };
        spec.pass_through = match (quiet, self.detach_output) {
            (true, _) => PassThrough::Quiet,
            (false, true) => PassThrough::Detachable,
            (false, false) => PassThrough::Attached,
        };
        spec.time_limit = self.timeout.map(|after| TimeLimit { after, grace: config.grace.value });
        spec.drain = config.drain.value;
    }
}
