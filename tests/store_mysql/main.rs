//! The MySQL store against a real server, MySQL or MariaDB: what it stores, what it says of
//! duplicates and bad rows, and what it does when server or network fail.
//!
//! `TEST_MYSQL_URL=$(scripts/mariadb start DIR) cargo test --test store_mysql`

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[expect(dead_code, reason = "the tests of the whole service use more of it")]
#[path = "../kit/mysql.rs"]
mod mysql;
#[expect(dead_code, reason = "the tests of the whole service use more of it")]
#[path = "../kit/proxy.rs"]
mod proxy;
#[path = "../kit/pages.rs"]
mod suite;

mod bad_rows;
mod duplicates;
mod faults;
mod pages;
mod setup;
mod stored;
