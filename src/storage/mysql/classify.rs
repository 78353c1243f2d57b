//! From a server's error code or a driver's error to a [`StoreError`]: one table.
//!
//! An error that is not in the table is waited out: nothing is ever dropped because of a code
//! that is not known. Only a code that speaks of a value makes a bad row.

use mysql_async::{DriverError, Error, IoError};

use super::super::{BadRow, StoreError};

/// Longest text of a server that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 512;

/// How far a call has come: what an error leaves in the store depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No command was sent that stores anything for good.
    Nothing,
    /// Such a command was sent, its answer is not there yet.
    Sent,
    /// The server said that it is stored.
    Stored,
}

/// What becomes of the connection that an error came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is proven fine: the server answered, and the answer was about rows or locks.
    Keep,
    /// It is closed, and with it whatever state it was in.
    Close,
    /// It is closed, and another host is tried next: this one cannot write.
    Leave,
}

/// An error, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) error: StoreError,
    pub(super) fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Locks: the same connection may go on.
    Retry,
    /// Busy, or a state of the connection that a new one does not have.
    Reconnect,
    /// The server is up but cannot write.
    ReadOnly,
    /// The server went away in the middle: whether it committed is not known.
    Lost,
    /// A value in a row.
    BadRow,
    /// A packet that the server does not read, after which it closes the connection.
    TooLarge,
    /// Rights, schema, login.
    Misconfigured,
}

fn class(code: u16) -> Class {
    match code {
        // Deadlock (in Galera also a failed certification), lock wait.
        1213 | 1205 => Class::Retry,
        // Record changed, too many connections (all, of a user, by a quota), query interrupted,
        // error during COMMIT, transaction rolled back by the group.
        1020 | 1040 | 1203 | 1226 | 1317 | 1180 | 3101 => Class::Reconnect,
        // Prepared statement unknown, to be prepared again, too many of them.
        1243 | 1615 | 1461 => Class::Reconnect,
        // Read-only by option, mode or transaction; InnoDB or the table opened read-only; Galera
        // non-primary; refused by the group; table full, disk full.
        1290 | 1836 | 1792 | 1874 | 1036 | 1047 | 3100 | 1114 | 1021 => Class::ReadOnly,
        // Server gone, connection lost, shutdown in progress, connection killed.
        2006 | 2013 | 1053 | 1927 => Class::Lost,
        // Too long, out of range, truncated (ENUM), wrong value, wrong string, NULL; JSON: text,
        // charset, key too long, too deep; CHECK on MySQL and on MariaDB.
        1406 | 1264 | 1265 | 1292 | 1366 | 1048 | 3140 | 3141 | 3151 | 3157 | 3819 | 4025 => Class::BadRow,
        // Packet larger than max_allowed_packet, too many placeholders.
        1153 | 1390 => Class::TooLarge,
        // Access: to the database, by password, by none, from this host, host blocked, to a
        // table, to a column, to a statement; password expired; account locked; plugins; TLS.
        1044 | 1045 | 1698 | 1130 | 1129 | 1142 | 1143 | 1227 | 1820 | 1862 | 3118 | 4151 | 1251 | 1524 | 3159 => {
            Class::Misconfigured
        }
        // Database, column or table unknown; syntax; a column without default; a variable or its
        // value unknown.
        1049 | 1054 | 1064 | 1146 | 1364 | 1193 | 1231 => Class::Misconfigured,
        _ => Class::Reconnect,
    }
}

/// Judges an error by its code and by how far the call had come.
pub(super) fn judge(error: &Error, progress: Progress) -> Verdict {
    let (class, code, message) = describe(error);
    let transient = || StoreError::Transient { code: code.clone(), message: message.clone() };
    let (error, fate) = match class {
        Class::Retry => (transient(), Fate::Keep),
        Class::Reconnect => (transient(), Fate::Close),
        Class::ReadOnly => (transient(), Fate::Leave),
        Class::Lost if progress == Progress::Nothing => (transient(), Fate::Close),
        Class::Lost => (StoreError::Ambiguous { code: code.clone(), message: message.clone() }, Fate::Close),
        Class::BadRow | Class::TooLarge => {
            let row = BadRow { row: None, code: code.clone(), message: message.clone() };
            (StoreError::BadRow(row), if class == Class::BadRow { Fate::Keep } else { Fate::Close })
        }
        Class::Misconfigured => {
            (StoreError::Misconfigured { code: code.clone(), message: message.clone() }, Fate::Close)
        }
    };
    // What is stored stays stored, whatever went wrong afterwards.
    let error = if progress == Progress::Stored { StoreError::Ambiguous { code, message } } else { error };
    Verdict { error, fate }
}

/// The verdict where our own limit ran out.
pub(super) fn timed_out(what: &str, progress: Progress) -> Verdict {
    let (code, message) = ("timeout".to_owned(), what.to_owned());
    let error = match progress {
        Progress::Nothing => StoreError::Transient { code, message },
        Progress::Sent | Progress::Stored => StoreError::Ambiguous { code, message },
    };
    Verdict { error, fate: Fate::Close }
}

/// The row, counted from 1, that a server's message names.
pub(super) fn named_row(message: &str) -> Option<usize> {
    let (_, after) = message.rsplit_once(" at row ")?;
    let digits = after.find(|c: char| !c.is_ascii_digit()).map_or(after, |end| &after[..end]);
    digits.parse().ok()
}

fn describe(error: &Error) -> (Class, String, String) {
    match error {
        Error::Server(error) => (class(error.code), error.code.to_string(), clean(&error.message)),
        Error::Io(IoError::Io(error)) => (Class::Lost, "io".to_owned(), clean(&error.to_string())),
        Error::Io(IoError::Tls(error)) => (Class::Misconfigured, "tls".to_owned(), clean(&error.to_string())),
        Error::Driver(error) => {
            let (class, code) = match error {
                DriverError::PacketTooLarge => (Class::TooLarge, "packet_too_large"),
                DriverError::UnknownAuthPlugin { .. }
                | DriverError::MysqlOldPasswordDisabled
                | DriverError::CleartextPluginDisabled
                | DriverError::NoClientSslFlagFromServer
                | DriverError::NoKeyFound => (Class::Misconfigured, "login"),
                _ => (Class::Lost, "driver"),
            };
            (class, code.to_owned(), clean(&error.to_string()))
        }
        Error::Url(_) | Error::Other(_) => (Class::Lost, "driver".to_owned(), clean(&error.to_string())),
    }
}

/// A server's text, bounded and without control characters: it ends in logs.
fn clean(message: &str) -> String {
    let mut text = String::new();
    for (count, c) in message.chars().enumerate() {
        if count == MESSAGE_CHARS_MAX {
            text.push('…');
            break;
        }
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    fn server(code: u16, progress: Progress) -> Verdict {
        let error = ServerError { code, message: "a\nb at row 7".into(), state: "HY000".into() };
        judge(&Error::Server(error), progress)
    }

    fn kind(error: &StoreError) -> &'static str {
        match error {
            StoreError::Transient { .. } => "transient",
            StoreError::Ambiguous { .. } => "ambiguous",
            StoreError::BadRow(_) => "bad row",
            StoreError::Misconfigured { .. } => "misconfigured",
        }
    }

    #[test]
    fn each_code_has_its_answer() {
        for (codes, expected, fate) in [
            (&[1213_u16, 1205][..], "transient", Fate::Keep),
            (&[1020, 1040, 1203, 1226, 1317, 1180, 3101, 1243, 1615, 1461], "transient", Fate::Close),
            (&[1290, 1836, 1792, 1047, 3100, 1114, 1021], "transient", Fate::Leave),
            (&[2006, 2013, 1053, 1927], "ambiguous", Fate::Close),
            (&[1406, 1264, 1265, 1292, 1366, 1048, 3140, 3141, 3151, 3157, 3819, 4025], "bad row", Fate::Keep),
            (&[1153, 1390], "bad row", Fate::Close),
            (&[1044, 1045, 1049, 1054, 1064, 1142, 1146, 1227, 1820, 3118], "misconfigured", Fate::Close),
            (&[1, 1105, 9999, u16::MAX], "transient", Fate::Close),
        ] {
            for code in codes {
                let verdict = server(*code, Progress::Sent);
                assert_eq!((kind(&verdict.error), verdict.fate), (expected, fate), "{code}");
                assert_eq!(verdict.error.code(), code.to_string());
            }
        }
    }

    #[test]
    fn a_lost_answer_is_ambiguous_only_where_something_may_be_stored() {
        let lost = Error::Io(IoError::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert_eq!(kind(&judge(&lost, Progress::Nothing).error), "transient");
        assert_eq!(kind(&judge(&lost, Progress::Sent).error), "ambiguous");
        assert_eq!(kind(&timed_out("late", Progress::Nothing).error), "transient");
        assert_eq!(kind(&timed_out("late", Progress::Sent).error), "ambiguous");
    }

    #[test]
    fn what_is_stored_is_never_said_not_to_be() {
        for code in [1213, 1040, 1290, 1406, 1142] {
            assert_eq!(kind(&server(code, Progress::Stored).error), "ambiguous", "{code}");
        }
    }

    #[test]
    fn a_packet_that_the_driver_refuses_is_a_bad_row() {
        let verdict = judge(&Error::Driver(DriverError::PacketTooLarge), Progress::Sent);
        assert_eq!((kind(&verdict.error), verdict.fate), ("bad row", Fate::Close));
    }

    #[test]
    fn the_row_is_read_from_the_end_of_the_message() {
        assert_eq!(named_row("Data too long for column 'user_id' at row 3"), Some(3));
        assert_eq!(named_row("value 'x at row 9' for column `d`.`t`.`c` at row 12."), Some(12));
        assert_eq!(named_row("CONSTRAINT `t.c` failed"), None);
        assert_eq!(named_row("at row "), None);
    }

    #[test]
    fn messages_are_bounded_and_hold_no_control_characters() {
        let Verdict { error: StoreError::BadRow(bad), .. } = server(1406, Progress::Sent) else { panic!() };
        assert_eq!(bad.message, "a\\nb at row 7");
        assert_eq!(clean(&"é".repeat(600)).chars().count(), MESSAGE_CHARS_MAX + 1);
        assert_eq!(clean("\u{1b}[31m"), "\\u{1b}[31m");
    }
}
