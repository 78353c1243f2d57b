//! The command line: commands, and the exit codes that they end with.
//!
//! 0 is a clean end, 1 a failure at run time, 2 wrong usage or settings; the message on standard
//! error names what was wrong and never holds a password. The command tree's flags are those of
//! the table of settings ([`SETTINGS`]), the same for every command.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{ArgMatches, Command};

use crate::config::{SETTINGS, Settings, Source};

mod bench;
mod check;
mod completions;
mod dead_letters;
mod healthcheck;
mod help;
mod journal;
mod logging;
mod man;
mod migrate;
mod reload;
mod serve;
mod service;
mod store;
mod storing;
mod supervisor;
mod text;
mod top;

/// Wrong usage or settings.
const USAGE: u8 = 2;

/// Runs the command that the arguments name, to its end. The first argument is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = match command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => {
            // Help or version. Nobody is left to tell where standard output is closed.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            say(&without_logins(&error.render().to_string(), &arguments));
            return ExitCode::from(USAGE);
        }
    };
    let (name, given) = matches.subcommand().unwrap_or((serve::NAME, &matches));
    let ended = match name {
        // They tell of the command line only, whatever the settings are.
        completions::NAME => completions::run(given),
        man::NAME => man::run(given),
        _ => {
            let source = source(given);
            match source.load() {
                Ok(settings) => run_with(settings, &source, name, given),
                Err(error) => return usage(&error.to_string()),
            }
        }
    };
    ended.unwrap_or_else(|error| {
        say(&format!("error: {error:#}\n"));
        ExitCode::FAILURE
    })
}

fn run_with(settings: Settings, source: &Source, name: &str, given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let log = logging::start(&settings.log)?;
    match name {
        bench::NAME => bench::run(&settings, given),
        check::NAME => check::run(&settings, given),
        dead_letters::NAME => dead_letters::run(&settings, given),
        healthcheck::NAME => healthcheck::run(&settings),
        journal::NAME => journal::run(&settings, given),
        migrate::NAME => migrate::run(&settings, given),
        top::NAME => top::run(&settings, given),
        _ => serve::run(settings, source, &log),
    }
}

fn source(given: &ArgMatches) -> Source {
    // The settings' flags may stand behind a command's command, too.
    let given = given.subcommand().map_or(given, |(_, deeper)| deeper);
    let flags = SETTINGS.iter().filter_map(|setting| Some((setting, given.get_one::<String>(setting.key)?.clone())));
    Source::new(flags.collect(), env::vars_os(), given.get_one::<PathBuf>(help::CONFIG).cloned())
}

/// The command tree.
fn command() -> Command {
    help::program().subcommands([
        serve::command(),
        check::command(),
        top::command(),
        bench::command(),
        migrate::command(),
        journal::command(),
        dead_letters::command(),
        healthcheck::command(),
        completions::command(),
        man::command(),
    ])
}

/// Says what was wrong with the usage or the settings.
fn usage(wrong: &str) -> ExitCode {
    say(&format!("error: {wrong}\n"));
    ExitCode::from(USAGE)
}

/// The message without any argument that might be a URL with a password.
fn without_logins(message: &str, arguments: &[OsString]) -> String {
    let texts = arguments.iter().filter_map(|argument| argument.to_str());
    let logins = texts.filter(|text| text.contains("://") && text.contains('@'));
    logins.fold(message.to_owned(), |message, login| {
        let value = login.split_once('=').filter(|_| login.starts_with('-')).map_or(login, |(_, value)| value);
        message.replace(value, "***")
    })
}

/// Tells the person at the terminal.
fn say(message: &str) {
    // Where even standard error is closed, the exit code has to do.
    let _ = io::stderr().write_all(message.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn help_names_every_setting_with_its_default() {
        let help = command().term_width(1000).render_long_help().to_string();
        for setting in SETTINGS {
            assert!(help.contains(&format!("--{} <VALUE>", setting.key)), "{}", setting.key);
            assert!(help.contains(&format!("{} [default: {}]", setting.meaning, setting.default_text())), "{help}");
        }
    }

    #[test]
    fn flags_may_stand_before_and_behind_the_command() {
        for arguments in [["x", "--shards", "3", "serve"], ["x", "serve", "--shards", "3"]] {
            let matches = command().try_get_matches_from(arguments).unwrap();
            let (name, given) = matches.subcommand().unwrap();
            assert_eq!((name, given.get_one::<String>("shards").map(String::as_str)), ("serve", Some("3")));
        }
    }

    #[test]
    fn a_login_in_the_wrong_place_is_not_repeated() {
        for arguments in [
            &["x", "mysql://u:secret@h/db"][..],
            &["x", "serve", "mysql://u:secret@h/db"],
            &["x", "--stroe=mysql://u:secret@h/db"],
            &["x", "migrate", "--print=mysql://u:secret@h/db"],
        ] {
            let error = command().try_get_matches_from(arguments).unwrap_err().render().to_string();
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            let shown = without_logins(&error, &arguments);
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}
