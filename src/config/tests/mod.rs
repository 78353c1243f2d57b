//! The settings, layer by layer, and the data directory.

use std::{ffi::OsString, path::Path};

use super::{ConfigError, SETTINGS, Setting, Settings};

mod data_dir;
mod layers;
mod links;
mod reload;
mod values;

fn setting(key: &str) -> &'static Setting {
    SETTINGS.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("no setting {key}"))
}

fn load(flags: &[(&str, &str)], environment: &[(&str, &str)], file: Option<&Path>) -> Result<Settings, ConfigError> {
    let flags: Vec<_> = flags.iter().map(|(key, value)| (setting(key), (*value).to_owned())).collect();
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Settings::load(&flags, environment, file)
}

/// The settings with one flag given.
fn flag(key: &str, value: &str) -> Result<Settings, String> {
    load(&[(key, value)], &[], None).map_err(|error| error.to_string())
}

/// What is said about one flag's value.
fn refusal(key: &str, value: &str) -> String {
    flag(key, value).expect_err(&format!("{key} = {value} should be refused"))
}
