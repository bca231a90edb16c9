//! `consort completions` and `consort man`: what shells and `man` read, from the definition of the command line.

use std::path::PathBuf;

use clap::CommandFactory as _;
use consort_node::manual::{self, Shell};

use super::{Failure, println};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort completions bash > ~/.local/share/bash-completion/completions/consort\n      from the next shell on, the tab key completes commands and flags\n  consort completions zsh > ~/.zfunc/_consort\n      the same for zsh, where ~/.zfunc is in fpath"
)]
pub(super) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> Result<(), Failure> {
    println(&manual::completions(super::Arguments::command(), arguments.shell));
    Ok(())
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort man ~/.local/share/man/man1\n      then `man consort` and `man consort-submit` work"
)]
pub(super) struct ManArguments {
    /// The folder, which is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    manual::man(super::Arguments::command(), &arguments.folder).map_err(Failure::Failed)
}
