//! Which store to use: the setting `store`, read, and shown without its password.

use std::{fmt, path::PathBuf, str::FromStr};

use thiserror::Error;

use super::mysql::MySqlUrl;

/// A store, named by the setting `store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `sqlite` (in the data directory) or `sqlite:PATH`.
    Sqlite(Option<PathBuf>),
    /// `mysql://user:password@host:3306/database[,host2:3307…]`.
    MySql(MySqlUrl),
    /// `discard`: for benchmarks.
    Discard,
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct TargetError(pub String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        match text {
            "sqlite" => Ok(Self::Sqlite(None)),
            "discard" => Ok(Self::Discard),
            _ => {
                if let Some(path) = text.strip_prefix("sqlite:") {
                    if path.is_empty() {
                        return Err(TargetError("sqlite: needs a path after the colon".into()));
                    }
                    return Ok(Self::Sqlite(Some(PathBuf::from(path))));
                }
                if text.starts_with("mysql://") {
                    return text.parse().map(Self::MySql);
                }
                Err(TargetError("is none of sqlite, sqlite:PATH, mysql://…, discard".into()))
            }
        }
    }
}

impl fmt::Display for Target {
    /// The store without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(None) => f.write_str("sqlite"),
            Self::Sqlite(Some(path)) => write!(f, "sqlite:{}", path.display()),
            Self::MySql(url) => url.fmt(f),
            Self::Discard => f.write_str("discard"),
        }
    }
}
