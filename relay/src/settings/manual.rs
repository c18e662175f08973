//! Manual pages and completions, from the definition behind `--help`.

use std::{io, path::Path};

use clap_complete::Shell;

use super::sources::command;

/// What `shell` needs to complete the command line.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), "pgevents", &mut text);
    text
}

/// Writes a page for the program and one for each subcommand: `pgevents.1`, `pgevents-producer.1`.
///
/// # Errors
///
/// A file cannot be written.
pub fn write_pages(folder: &Path) -> io::Result<()> {
    clap_mangen::generate_to(command(), folder)
}
