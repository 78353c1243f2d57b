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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_store_is_read_and_shown() {
        for (text, target) in [
            ("sqlite", Target::Sqlite(None)),
            ("sqlite:events.db", Target::Sqlite(Some("events.db".into()))),
            ("sqlite:/var/lib/a b:c.db", Target::Sqlite(Some("/var/lib/a b:c.db".into()))),
            ("discard", Target::Discard),
        ] {
            assert_eq!(text.parse(), Ok(target.clone()));
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn a_mysql_store_is_shown_without_its_password() {
        let target: Target = "mysql://event:secret@db/eventdb".parse().unwrap();
        assert_eq!(target.to_string(), "mysql://event:***@db:3306/eventdb");
        assert!(!format!("{target:?}").contains("secret"), "{target:?}");
    }

    #[test]
    fn what_names_no_store_is_refused_without_being_repeated() {
        for text in
            ["", "SQLITE", "sqlite:", "sqlite ", "discard:x", "mysql:secret", "mysql://secret", "pg://u:secret@h/d"]
        {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
