//! Help: what every command says of itself, and the flags that all of them have.
//!
//! `-h` shows what the command itself takes, and examples; `--help` also all settings, each of which is a flag
//! of every command. Both end with examples, for that is what is seen last.

use std::{ffi::OsStr, path::PathBuf};

use clap::{
    Arg, Command, ValueHint,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
    value_parser,
};

use crate::config::{SETTINGS, Setting};

/// The flag that names the settings file; no setting itself.
pub(super) const CONFIG: &str = "config";
/// What the settings stand under.
pub(super) const SETTINGS_HEADING: &str = "Settings";
/// Begins the examples in a command's long help.
pub(super) const EXAMPLES: &str = "Examples:";

/// Ends the help of the program itself.
const PROGRAM: &str =
    "Every setting is also a variable (EVENT_PIPELINE_BATCH__MAX_EVENTS for batch.max_events; with _FILE at \
its end it names a file that holds the value) and a key of the settings file. Flags go over variables, those over the \
file.

Exit codes: 0 clean end, 1 failure at run time, 2 wrong usage or settings.";
const PROGRAM_EXAMPLES: &[&str] = &[
    "event-pipeline",
    "event-pipeline --listen 0.0.0.0:8080 --store mysql://user:password@db/eventdb",
    "event-pipeline check --config settings.toml",
    "event-pipeline top",
];

/// The program without its commands: its name, its version and the flags that every command has.
pub(super) fn program() -> Command {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .help("TOML file with settings; variables and flags go over it")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::FilePath)
        .global(true);
    let command = Command::new("event-pipeline")
        .about("Takes events over HTTP and puts every one of them into MySQL or SQLite, exactly once.")
        .version(concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_GIT_HASH"), ")"))
        .propagate_version(true)
        .arg(config)
        .args(SETTINGS.iter().map(flag));
    with(command, PROGRAM, PROGRAM_EXAMPLES)
}

/// The command with what its flags do not say (in `--help` only; may be empty), and examples.
pub(super) fn with(command: Command, more: &str, examples: &[&str]) -> Command {
    let mut shown = String::from(EXAMPLES);
    for example in examples {
        shown.extend(["\n  ", example]);
    }
    let more = if more.is_empty() { String::new() } else { format!("{more}\n\n") };
    command
        .after_help(format!("{shown}\n\nThe settings, such as --listen and --store, are flags too: --help lists them."))
        .after_long_help(format!("{more}{shown}"))
}

fn flag(setting: &'static Setting) -> Arg {
    let hint = if setting.key == "data_dir" { ValueHint::DirPath } else { ValueHint::Unknown };
    Arg::new(setting.key)
        .long(setting.key)
        .value_name("VALUE")
        .help(format!("{} [default: {}]", setting.meaning, setting.default_text()))
        .help_heading(SETTINGS_HEADING)
        .value_parser(Text { words: setting.words() })
        .value_hint(hint)
        .hide_possible_values(true)
        .hide_short_help(true)
        .global(true)
}

/// Any text, of which shells may complete some words. What is right is for the table of settings to say:
/// it knows all layers, and gives one error for each of them.
#[derive(Clone, Copy, Debug)]
struct Text {
    words: &'static [&'static str],
}

impl TypedValueParser for Text {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        (!self.words.is_empty())
            .then(|| -> Box<dyn Iterator<Item = PossibleValue>> { Box::new(self.words.iter().map(PossibleValue::new)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    /// Every command of the program, with all names before its own.
    fn every(command: Command, found: &mut Vec<(String, Command)>, before: &str) {
        let name = format!("{before}{}", command.get_name());
        for deeper in command.get_subcommands() {
            every(deeper.clone(), found, &format!("{name} "));
        }
        found.push((name, command));
    }

    fn all() -> Vec<(String, Command)> {
        let mut root = cli::command().disable_help_subcommand(true);
        root.build();
        let mut found = Vec::new();
        every(root, &mut found, "");
        found
    }

    #[test]
    fn every_command_ends_its_help_with_examples_of_itself() {
        let all = all();
        assert!(all.len() > 15, "{}", all.len());
        for (name, command) in all {
            for help in [command.clone().render_help(), command.clone().render_long_help()] {
                let help = help.to_string();
                let (_, examples) = help.rsplit_once("Examples:\n").unwrap_or_else(|| panic!("{name}: {help}"));
                assert!(examples.contains(&format!("  {name}")), "{name}: {help}");
            }
        }
    }

    #[test]
    fn the_examples_fit_a_terminal_and_are_understood() {
        for (name, command) in all() {
            // A line each, however long.
            let help = command.clone().term_width(1000).render_long_help().to_string();
            let (_, examples) = help.rsplit_once("Examples:\n").unwrap();
            for example in examples.lines().filter(|line| line.contains("event-pipeline")) {
                let words = example.split_whitespace().take_while(|word| !["|", ">", "<"].contains(word));
                let words = words.map(|word| word.trim_matches(['<', '(', ')']));
                let words = words.skip_while(|word| *word != "event-pipeline");
                assert!(example.len() <= 80, "{name}: {example}");
                cli::command().try_get_matches_from(words).unwrap_or_else(|error| panic!("{name}: {example}: {error}"));
            }
        }
    }

    #[test]
    fn the_short_help_has_the_own_flags_and_the_long_one_the_settings_too() {
        for (name, mut command) in all() {
            let (short, long) = (command.render_help().to_string(), command.render_long_help().to_string());
            assert!(!short.contains("--batch.linger") && !short.contains("Settings:"), "{name}: {short}");
            assert!(short.contains("--help lists them") && short.contains("--config"), "{name}: {short}");
            assert!(long.contains("Settings:") && long.contains("--batch.linger"), "{name}: {long}");
            let own = command.get_arguments().filter(|arg| arg.get_help_heading().is_none());
            for flag in own.filter_map(Arg::get_long) {
                assert!(short.contains(&format!("--{flag}")), "{name}: {flag}: {short}");
            }
        }
    }
}
