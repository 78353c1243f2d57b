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

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::config::{SETTINGS, Settings};

mod bench;
mod dead_letters;
mod healthcheck;
mod journal;
mod logging;
mod migrate;
mod serve;
mod store;
mod storing;

/// Wrong usage or settings.
const USAGE: u8 = 2;
/// The flag that names the settings file; no setting itself.
const CONFIG: &str = "config";
/// The flag of `migrate`.
const PRINT: &str = "print";

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
    let (name, given) = matches.subcommand().unwrap_or(("serve", &matches));
    // The settings' flags may stand behind a command's command, too.
    let settings = match settings(given.subcommand().map_or(given, |(_, deeper)| deeper)) {
        Ok(settings) => settings,
        Err(error) => {
            say(&format!("error: {error}\n"));
            return ExitCode::from(USAGE);
        }
    };
    let ended = logging::start(&settings.log).and_then(|()| match name {
        "migrate" => migrate::run(&settings, given.get_flag(PRINT)),
        bench::NAME => bench::run(&settings, given),
        dead_letters::NAME => dead_letters::run(&settings, given),
        healthcheck::NAME => healthcheck::run(&settings),
        journal::NAME => journal::run(&settings, given),
        _ => serve::run(settings),
    });
    ended.unwrap_or_else(|error| {
        say(&format!("error: {error:#}\n"));
        ExitCode::FAILURE
    })
}

fn settings(given: &ArgMatches) -> Result<Settings, crate::config::ConfigError> {
    let flags: Vec<_> =
        SETTINGS.iter().filter_map(|setting| Some((setting, given.get_one::<String>(setting.key)?.clone()))).collect();
    Settings::load(&flags, env::vars_os(), given.get_one::<PathBuf>(CONFIG).map(PathBuf::as_path))
}

/// The command tree.
fn command() -> Command {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .help("TOML file with settings; variables and flags go over it")
        .value_parser(value_parser!(PathBuf))
        .global(true);
    let flags = SETTINGS.iter().map(|setting| {
        Arg::new(setting.key)
            .long(setting.key)
            .value_name("VALUE")
            .help(format!("{} [default: {}]", setting.meaning, setting.default_text()))
            .help_heading("Settings")
            .global(true)
    });
    let print = Arg::new(PRINT)
        .long(PRINT)
        .action(ArgAction::SetTrue)
        .help("Only prints the SQL for the store; touches nothing");
    Command::new("event-pipeline")
        .about("Takes events over HTTP and puts every one of them into MySQL or SQLite, exactly once.")
        .after_help(
            "Every setting is also a variable (EVENT_PIPELINE_BATCH__MAX_EVENTS for batch.max_events; with _FILE at \
             its end it names a file that holds the value) and a key of the settings file. Flags go over variables, \
             those over the file.\n\nExit codes: 0 clean end, 1 failure at run time, 2 wrong usage or settings.",
        )
        .version(concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_GIT_HASH"), ")"))
        .propagate_version(true)
        .arg(config)
        .args(flags)
        .subcommand(Command::new("serve").about("Runs the service; so does no command at all"))
        .subcommand(Command::new("migrate").about("Creates or checks the table, and says what it did").arg(print))
        .subcommand(bench::command())
        .subcommand(dead_letters::command())
        .subcommand(journal::command())
        .subcommand(healthcheck::command())
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
