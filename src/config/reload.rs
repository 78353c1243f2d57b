//! Settings that are read again while the service runs: what is taken over at once, and what waits
//! for a restart.
//!
//! All or nothing: where a layer is wrong, or the new values do not go together with those that only a
//! restart can change, nothing is taken over. Flags and variables are those of the start; files are read
//! anew.

use std::{ffi::OsString, path::PathBuf};

use super::{
    ConfigError, Reload, SETTINGS, Setting, Settings,
    error::Origin,
    load::{by_key, check},
};

/// Where the settings come from.
#[derive(Debug)]
pub struct Source {
    flags: Vec<(&'static Setting, String)>,
    environment: Vec<(OsString, OsString)>,
    file: Option<PathBuf>,
}

/// A setting whose value is another now; neither value shows a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which one.
    pub key: &'static str,
    /// The value that it has.
    pub old: String,
    /// The value that was read.
    pub new: String,
}

/// What reading the settings again brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// What the service is to run with from now on.
    pub settings: Settings,
    /// What is taken over, in the table's order.
    pub changed: Vec<Change>,
    /// What a restart would take over.
    pub needs_restart: Vec<Change>,
}

impl Source {
    /// `flags` over `environment` over `file` over the defaults.
    pub fn new(
        flags: Vec<(&'static Setting, String)>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<PathBuf>,
    ) -> Self {
        Self { flags, environment: environment.into_iter().collect(), file }
    }

    /// Reads all layers.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load(&self) -> Result<Settings, ConfigError> {
        Settings::load(&self.flags, self.environment.iter().cloned(), self.file.as_deref())
    }

    /// Reads all layers again, for a service that runs with `running`.
    ///
    /// # Errors
    /// As [`Settings::load`], and where what can be taken over does not go together with what runs on:
    /// then nothing is to be taken over.
    pub fn reload(&self, running: &Settings) -> Result<Reloaded, ConfigError> {
        let read = self.load()?;
        let (mut settings, mut changed, mut needs_restart) = (running.clone(), Vec::new(), Vec::new());
        for setting in SETTINGS {
            let mut one = running.clone();
            setting.copy(&mut one, &read);
            // Not what is shown: of a password, that is always the same.
            if one == *running {
                continue;
            }
            let change = Change { key: setting.key, old: setting.show(running), new: setting.show(&read) };
            match setting.reload {
                Reload::Live => {
                    setting.copy(&mut settings, &read);
                    changed.push(change);
                }
                Reload::Restart => needs_restart.push(change),
            }
        }
        check(&mut settings, &|key| match by_key(key).map(|setting| setting.reload) {
            Some(Reload::Restart) => Origin::Running,
            _ => Origin::Reloaded,
        })?;
        Ok(Reloaded { settings, changed, needs_restart })
    }
}
