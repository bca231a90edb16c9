//! What `man` and shells read of a program, from the definition of its command line.

use std::{fs, path::Path};

use clap::Command;

pub use clap_complete::Shell;

/// Writes man pages into a folder, which is made if it is not there: one for the program and one for each command.
///
/// # Errors
/// Names the folder, and says what the operating system said.
pub fn man(program: Command, folder: &Path) -> Result<(), String> {
    let written = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(program, folder));
    written.map_err(|error| format!("{}: {error}", folder.display()))
}

/// The script that completes commands and flags of the program in a shell.
#[must_use]
pub fn completions(mut program: Command, shell: Shell) -> String {
    let (mut script, name) = (Vec::new(), program.get_name().to_owned());
    clap_complete::generate(shell, &mut program, name, &mut script);
    String::from_utf8_lossy(&script).trim_end().to_owned()
}
