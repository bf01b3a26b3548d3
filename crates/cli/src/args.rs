//! The command line: every command, and the options that several share. The doc comments are the help texts.

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use logboom_files::config::OnTerminal;
use logboom_record::{Level, Stream};

use crate::{commands, when::When};

/// Keep everything your runs print, and read it back.
///
/// Put `logboom run` before a command: what it prints is shown as before, and kept by session, in text files a person can read
/// and in a boom file that can be searched.
#[derive(Parser)]
#[command(name = "logboom", version, max_term_width = 100, subcommand_value_name = "COMMAND")]
#[command(
    after_help = "SESSION is a session id, its 8 hex digits or the first few of them, @1 (the latest), @2 (the one \
    before), or a name; the latest if left out.\nExit codes: 0 done; 1 the answer is no; 2 wrong usage or failure. run, exec, compose and test end \
    as their command does."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Args)]
pub struct Global {
    /// Data dir [else LOGBOOM_DIR, logboom.toml, or test-activity/logs of the repository]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub dir: Option<PathBuf>,
    /// When to colour (auto: on a terminal, unless NO_COLOR is set)
    #[arg(long, global = true, value_name = "WHEN", value_parser = on_terminal(), default_value = "auto", help_heading = "Everywhere")]
    pub color: OnTerminal,
}

/// What logboom can do.
#[derive(Subcommand)]
pub enum Command {
    /// Run a command and keep all it prints, in a session of its own
    Run(commands::run::Run),
    /// Run a command as part of a started session
    Exec(commands::exec::Exec),
    /// Start or end a session to which several commands add
    #[command(subcommand)]
    Session(commands::session::Session),
    /// Run the tests of a file, with the services that they need
    Test(commands::test::Test),
    /// Run docker compose and keep what it and its services print
    Compose(commands::compose::Compose),
    /// Follow what containers print
    Docker(commands::docker::Docker),
    /// Keep a program of a test session running
    #[command(hide = true)]
    KeepService(commands::keep_service::KeepService),
    /// Keep what comes in on standard input
    Pipe(commands::pipe::Pipe),
    /// List the sessions, newest first
    #[command(visible_alias = "ls")]
    Sessions(commands::sessions::Sessions),
    /// Show how sessions of the same name went, and their tests
    History(commands::history::History),
    /// Show what a session printed
    Show(commands::show::Show),
    /// Show the last lines of a session, and follow it while it runs
    Tail(commands::tail::Tail),
    /// Find lines in a session, or in all of them
    Search(commands::search::Search),
    /// Check every checksum and number of a session
    Verify(commands::verify::Verify),
    /// Write a session into one file: a bundle for logboom, or a page of HTML
    Export(commands::export::Export),
    /// Get back a session that was exported as a bundle
    Import(commands::import::Import),
    /// Delete sessions that the retention does not keep
    Clean(commands::clean::Clean),
    /// Print each setting and where it comes from
    Config(commands::config::Config),
    /// Print the completions for a shell
    Completions(commands::completions::Completions),
}

impl Command {
    /// Whether it ends as another program does, so that a failure of logboom's own needs an exit code of its own.
    pub fn wraps(&self) -> bool {
        matches!(self, Command::Run(_) | Command::Exec(_) | Command::Compose(_) | Command::Test(_))
    }
}

/// Which session to read.
#[derive(Args, Clone)]
pub struct Which {
    /// Session: id, its 8 hex digits or the first of them, @2 (the one before the latest), or name [the latest]
    pub session: Option<String>,
    /// The latest session that failed
    #[arg(long, conflicts_with = "session")]
    pub failed: bool,
}

/// Which records of a session to read.
#[derive(Args, Clone)]
pub struct Filter {
    /// Only this run of the session: its name as it stands before the lines, its id, or the last 8 digits of that
    #[arg(long = "run", value_name = "RUN", help_heading = "Which lines")]
    pub runs: Vec<String>,
    /// Only lines at least this serious
    #[arg(long, value_name = "LEVEL", value_parser = one_of(&Level::ALL, Level::as_str), help_heading = "Which lines")]
    pub level: Option<Level>,
    /// Only this stream (may be given more than once)
    #[arg(long = "stream", value_name = "STREAM", value_parser = one_of(&Stream::ALL, Stream::as_str), help_heading = "Which lines")]
    pub streams: Vec<Stream>,
    /// Only lines from this time on: 2026-01-02T03:04:05Z, 2026-01-02, or how long ago: 10m
    #[arg(long, value_name = "TIME", help_heading = "Which lines")]
    pub since: Option<When>,
    /// Only lines before this time
    #[arg(long, value_name = "TIME", help_heading = "Which lines")]
    pub until: Option<When>,
}

/// How to print records.
#[derive(Args, Clone, Copy)]
pub struct Format {
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "raw", help_heading = "How")]
    pub json: bool,
    /// Print exactly the bytes that were printed, without time and stream
    #[arg(long, help_heading = "How")]
    pub raw: bool,
}

/// Reads the name of one of these.
fn one_of<T: Copy + Send + Sync>(all: &'static [T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T> {
    let named = move |word: String| all.iter().copied().find(|one| name(*one) == word).ok_or(word);
    PossibleValuesParser::new(all.iter().map(|one| name(*one))).try_map(named)
}

/// Reads when to do something.
pub fn on_terminal() -> impl TypedValueParser<Value = OnTerminal> {
    one_of(&OnTerminal::ALL, OnTerminal::as_str)
}

/// A `KEY=VALUE` pair.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("use KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_label_needs_a_key() {
        assert_eq!(label("k=v=w"), Ok(("k".into(), "v=w".into())));
        assert!(label("=v").is_err() && label("k").is_err());
    }
}
