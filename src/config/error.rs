//! What is wrong with the settings, said so that it can be mended.

use std::{fmt, path::PathBuf};

use thiserror::Error;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
    /// A reload read it anew.
    Reloaded,
    /// It was there at the start, and only a restart changes it.
    Running,
}

/// Why the settings cannot be used. Never holds a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// A setting whose value is wrong.
    pub(super) fn value(key: &str, origin: &Origin, problem: &str) -> Self {
        Self(format!("setting `{key}` ({origin}): {problem}"))
    }

    /// A file that cannot be used as a whole.
    pub(super) fn file(file: &std::path::Path, problem: impl fmt::Display) -> Self {
        Self(format!("settings file {}: {problem}", file.display()))
    }

    /// A key in the file that no setting has; `nearest` is what may have been meant.
    pub(super) fn unknown_key(key: &str, file: &std::path::Path, nearest: Option<&str>) -> Self {
        let meant = nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
        Self(format!("unknown setting `{key}` (file {}){meant}", file.display()))
    }

    /// A variable that no setting has; `nearest` is what may have been meant.
    pub(super) fn unknown_variable(name: &str, nearest: Option<&str>) -> Self {
        let meant = nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"));
        Self(format!("unknown variable {name}: no setting has that name{meant}"))
    }

    /// A variable that says the same as another.
    pub(super) fn twice(key: &str, name: &str, file_name: &str) -> Self {
        Self(format!("setting `{key}`: both {name} and {file_name} are set; remove one of them"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(key) => write!(f, "flag --{key}"),
            Self::Reloaded => f.write_str("reloaded"),
            Self::Running => f.write_str("running, and changed by a restart only"),
        }
    }
}
