//! `logboom completions`: what a shell needs to complete our words.

use anyhow::Result;
use clap::CommandFactory;

use crate::{args::Cli, exit::Exit, output::Out};

/// Print the completions for a shell
///
/// For bash: `logboom completions bash > ~/.local/share/bash-completion/completions/logboom`
#[derive(clap::Args)]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    /// Always exits 0.
    pub fn run(self) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "logboom", &mut script);
        Out::stdout().put(&script)?;
        Ok(Exit::Done)
    }
}
