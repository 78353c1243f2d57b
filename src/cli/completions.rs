//! `event-pipeline completions SHELL`: what a shell needs to complete commands, flags and their words.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::{Shell, generate};

use super::{
    help,
    text::{tell, unless_reader_left},
};

/// The command's name.
pub(super) const NAME: &str = "completions";

const SHELL: &str = "shell";
const HELP: &str = "For one session, source what it prints. For all of them, write it where the shell looks:
  bash        ~/.local/share/bash-completion/completions/event-pipeline
  zsh         _event-pipeline in a directory of $fpath
  fish        ~/.config/fish/completions/event-pipeline.fish
  elvish      rc.elv
  powershell  the file that $PROFILE names";
const EXAMPLES: &[&str] = &[
    "source <(event-pipeline completions bash)",
    "event-pipeline completions zsh > ~/.zfunc/_event-pipeline",
    "event-pipeline completions fish | source",
];

/// The command.
pub(super) fn command() -> Command {
    let shell = Arg::new(SHELL)
        .value_name("SHELL")
        .required(true)
        .value_parser(value_parser!(Shell))
        .help("The shell that is to complete");
    let command = Command::new(NAME).about("Prints the completions of a shell").arg(shell);
    help::with(command, HELP, EXAMPLES)
}

/// Prints the completions.
///
/// # Errors
/// Where standard output does not take them.
pub(super) fn run(given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let shell = given.get_one(SHELL).copied().unwrap_or(Shell::Bash);
    unless_reader_left(tell(script(shell).trim_end()).map(|()| ExitCode::SUCCESS))
}

fn script(shell: Shell) -> String {
    let mut command = super::command();
    let name = command.get_name().to_owned();
    // Into memory first: the library panics where a writer fails.
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8_lossy(&script);
    // The library spells a program's name with a hyphen in two ways, and nothing behind a command would be
    // completed (clap-rs/clap#6421); with the bug mended this finds nothing to change.
    script.replace("event__subcmd__pipeline", "event__pipeline")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_gets_commands_flags_and_words() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in ["dead-letters", "batch.linger", "queued"] {
                // PowerShell and Elvish are given no words for values.
                let is_given = word != "queued" || !matches!(shell, Shell::PowerShell | Shell::Elvish);
                assert!(!is_given || script.contains(word), "{shell}: {word}");
            }
        }
    }
}
