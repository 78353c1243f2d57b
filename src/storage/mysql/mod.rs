//! MySQL and MariaDB.

use std::{fmt, ops::Range, str::FromStr, sync::Arc};

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::{Batch, Limits, Migration, Storage, StoreError, Stored, StoredEvent, TargetError};

/// Where the servers are and how to log in. `Debug` and `Display` leave the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct MySqlUrl {}

impl fmt::Debug for MySqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for MySqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mysql://")
    }
}

impl FromStr for MySqlUrl {
    type Err = TargetError;

    fn from_str(_text: &str) -> Result<Self, TargetError> {
        Err(TargetError("not yet".into()))
    }
}

/// The store on MySQL or MariaDB.
#[derive(Debug)]
pub struct MySql {}

impl MySql {
    /// A store on these servers; connects when first used.
    pub fn new(_url: MySqlUrl) -> Self {
        Self {}
    }
}

impl Storage for MySql {
    fn store<'a>(&'a self, _batch: &'a Arc<Batch>, _rows: Range<usize>) -> BoxFuture<'a, Result<Stored, StoreError>> {
        unreachable!()
    }

    fn fetch(&self, _id: Uuid) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>> {
        unreachable!()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable!()
    }

    fn migrate(&self) -> BoxFuture<'_, Result<Migration, StoreError>> {
        unreachable!()
    }

    fn limits(&self) -> Limits {
        Limits { rows_max: 4096, bytes_max: 4 << 20, in_flight: 2 }
    }
}
