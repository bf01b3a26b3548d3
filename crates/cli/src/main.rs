//! The program `logboom`.
//!
//! All wiring: every command reads its options, asks a library, prints, and says how to end ([`exit::Exit`]). Nothing is
//! opened, read or started before the command at hand needs it, since `logboom run` stands in front of other programs.

mod args;
mod around;
mod check;
mod commands;
mod exit;
mod group;
mod highlight;
mod html;
mod human;
mod in_container;
mod join;
mod junit_files;
mod options;
mod output;
mod pager;
mod pages;
mod place;
mod reading;
mod recording;
mod render;
mod report;
mod say;
mod services;
mod shown;
mod supervise;
mod test_pick;
mod test_session;
mod visible;
mod when;
mod whole_file;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind};
use logboom_files::with_causes;
use logboom_record::Time;

use crate::{
    args::{Cli, Command},
    exit::{Exit, FAILED, WRAPPER_FAILED},
    output::OutputError,
    say::say,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let now = Time::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let failed = if cli.command.as_ref().is_some_and(Command::wraps) { WRAPPER_FAILED } else { FAILED };
    match run(cli, now) {
        Ok(exit) => exit.carry_out(),
        Err(error) if matches!(error.downcast_ref(), Some(OutputError::Closed)) => ExitCode::SUCCESS,
        Err(error) => {
            say(one_line(&with_causes(error.as_ref())));
            ExitCode::from(failed)
        }
    }
}

fn run(cli: Cli, now: Time) -> anyhow::Result<Exit> {
    let global = cli.global;
    match cli.command {
        None => commands::overview::print(&global, now),
        Some(Command::Run(command)) => command.run(&global, now),
        Some(Command::Exec(command)) => command.run(&global, now),
        Some(Command::Session(command)) => command.run(&global, now),
        Some(Command::Compose(command)) => command.run(&global, now),
        Some(Command::Docker(command)) => command.run(&global, now),
        Some(Command::Test(command)) => command.run(&global, now),
        Some(Command::KeepService(command)) => command.run(&global, now),
        Some(Command::Pipe(command)) => command.run(&global, now),
        Some(Command::Sessions(command)) => command.run(&global, now),
        Some(Command::History(command)) => command.run(&global, now),
        Some(Command::Show(command)) => command.run(&global, now),
        Some(Command::Tail(command)) => command.run(&global, now),
        Some(Command::Search(command)) => command.run(&global, now),
        Some(Command::Verify(command)) => command.run(&global, now),
        Some(Command::Export(command)) => command.run(&global, now),
        Some(Command::Import(command)) => command.run(&global),
        Some(Command::Clean(command)) => command.run(&global, now),
        Some(Command::Config(command)) => command.run(&global),
        Some(Command::Completions(command)) => command.run(),
    }
}

/// Help goes to standard output; what is wrong is one line on standard error, with where to read on.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader that goes away has read enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a subcommand is missing".to_owned(),
        _ => error.render().to_string(),
    };
    let what = text.split("\n\nUsage:").next().unwrap_or(&text).split("\n\nFor more").next().unwrap_or(&text);
    let what = one_line(&what.trim_start_matches("error: ").replace("\n\n", "; ").replace("tip: ", ""));
    let command = command_meant();
    let wraps = command.as_deref().is_some_and(|command| ["run", "exec", "compose", "test"].contains(&command));
    let words: Vec<&str> = ["logboom"].into_iter().chain(command.as_deref()).chain(["--help"]).collect();
    say(format_args!("{what} (see `{}`)", words.join(" ")));
    ExitCode::from(if wraps { WRAPPER_FAILED } else { FAILED })
}

/// The command that the arguments name, whatever else is wrong with them.
fn command_meant() -> Option<String> {
    let lenient = Cli::command().ignore_errors(true).disable_help_flag(true).disable_version_flag(true);
    let matches = lenient.try_get_matches().ok()?;
    matches.subcommand_name().map(str::to_owned)
}

fn one_line(text: &str) -> String {
    visible::plain(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}
