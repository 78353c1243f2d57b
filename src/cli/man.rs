//! `event-pipeline man`: the manual, made of the same texts as `--help`.
//!
//! One page for the program, with all settings, and one for each command, without them.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{
    help::{self, SETTINGS_HEADING},
    text::{tell, unless_reader_left},
};

/// The command's name.
pub(super) const NAME: &str = "man";

const DIR: &str = "dir";
const HELP: &str = "Without --dir it prints the program's own page, which has all settings. Where `man` finds the pages \
without being told where they are depends on the system; /usr/local/share/man/man1 is common.";
const EXAMPLES: &[&str] = &["event-pipeline man | man -l -", "event-pipeline man --dir /usr/local/share/man/man1"];

/// What the program's own page has besides its help.
const ENVIRONMENT: &[&str] = &[
    "Each setting is also a variable: EVENT_PIPELINE_ and its key in capitals, with __ in place of the point, such as \
     EVENT_PIPELINE_BATCH__MAX_EVENTS; with _FILE behind it, it names a file that holds the value. Flags go over \
     variables, those over the settings file.",
    "NO_COLOR, where it is not empty, keeps colours out of log and terminal.",
];
const STATUS: [(&str, &str); 3] =
    [("0", "clean end"), ("1", "failure at run time"), ("2", "wrong usage or settings; the message names them")];

/// The command.
pub(super) fn command() -> Command {
    let dir = Arg::new(DIR)
        .long(DIR)
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::DirPath)
        .help("Writes the pages of all commands into this directory, which is made where it is missing");
    let command = Command::new(NAME).about("Prints the manual page, or writes the pages of all commands").arg(dir);
    help::with(command, HELP, EXAMPLES)
}

/// Prints or writes the pages.
///
/// # Errors
/// Where they cannot be written.
pub(super) fn run(given: &ArgMatches) -> anyhow::Result<ExitCode> {
    let pages = pages().context("the manual cannot be made")?;
    let Some(dir) = given.get_one::<PathBuf>(DIR) else {
        let program = pages.first().map(|(_, page)| page.trim_end()).unwrap_or_default();
        return unless_reader_left(tell(program).map(|()| ExitCode::SUCCESS));
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (file, page) in &pages {
        let path = dir.join(file);
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    tell(&format!("wrote {} pages to {}", pages.len(), dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Names and texts of all pages, the program's own first.
fn pages() -> anyhow::Result<Vec<(String, String)>> {
    let mut program = super::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    let mut left = vec![program];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().cloned());
        let name = page_name(&command);
        pages.push((format!("{name}.1"), page(command, pages.is_empty())?));
    }
    Ok(pages)
}

/// `event-pipeline-journal-inspect`.
fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: Command, is_program: bool) -> anyhow::Result<String> {
    let mut command = command.mut_args(|arg| {
        let is_setting = arg.get_help_heading() == Some(SETTINGS_HEADING);
        // Short help is what is shown of an option here.
        arg.hide(is_setting && !is_program).hide_short_help(false)
    });
    let title = page_name(&command).to_uppercase();
    let usage = command.render_usage().to_string();
    let long = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let (more, examples) = long.split_once(help::EXAMPLES).unwrap_or((&long, ""));
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let commands: Vec<Command> = command.get_subcommands().cloned().collect();
    // The program says the rest in sections of its own.
    let more = if is_program { "" } else { more };
    // No date, but not an empty one, which would be left out and shift what follows.
    let source = concat!("event-pipeline ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).title(title).date(" ").source(source).manual("Commands");

    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut roff = Roff::default();
    roff.control("SH", ["SYNOPSIS"]);
    roff.control("nf", []);
    roff.text([roman(usage.trim_start_matches("Usage:").trim())]);
    roff.control("fi", []);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in std::iter::once(about.as_str()).chain(more.split("\n\n")).map(str::trim).filter(|p| !p.is_empty())
    {
        roff.control("PP", []);
        for line in paragraph.lines() {
            roff.text([roman(line)]);
        }
    }
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::default();
    if !commands.is_empty() {
        roff.control("SH", ["COMMANDS"]);
        for command in &commands {
            roff.control("TP", []);
            roff.text([bold(page_name(command)), roman("(1)")]);
            roff.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
        }
    }
    if is_program {
        roff.control("SH", ["ENVIRONMENT"]);
        for paragraph in ENVIRONMENT {
            roff.control("PP", []);
            roff.text([roman(*paragraph)]);
        }
        roff.control("SH", ["EXIT STATUS"]);
        for (status, meaning) in STATUS {
            roff.control("TP", []);
            roff.text([bold(status)]);
            roff.text([roman(meaning)]);
        }
    }
    roff.control("SH", ["EXAMPLES"]);
    roff.control("nf", []);
    for example in examples.lines().map(str::trim).filter(|example| !example.is_empty()) {
        roff.text([roman(example)]);
    }
    roff.control("fi", []);
    if !is_program {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold("event-pipeline"), roman("(1), which has all settings: each is a flag of this command, too")]);
    }
    roff.to_writer(&mut page)?;
    // By name, for not every formatter reads other letters than ASCII's.
    let name = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    Ok(String::from_utf8(page)?.chars().map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SETTINGS;

    #[test]
    fn every_command_has_a_page_and_only_the_program_lists_the_settings() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[0], "event-pipeline.1");
        for name in ["event-pipeline-top.1", "event-pipeline-journal.1", "event-pipeline-dead-letters-retry.1"] {
            assert!(names.contains(&name), "{names:?}");
        }
        for (index, (name, page)) in pages.iter().enumerate() {
            for setting in SETTINGS {
                // Hyphens and the like are escaped; the first word is none.
                let meaning = setting.meaning.split(' ').next().unwrap_or_default();
                assert!(index > 0 || page.contains(setting.key) && page.contains(meaning), "{}: {page}", setting.key);
            }
            assert_eq!(page.contains("a shard flushes at this many events"), index == 0, "{name}: {page}");
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
                assert!(page.contains(&format!(".SH {section}\n")), "{name} has no {section}: {page}");
            }
        }
    }
}
