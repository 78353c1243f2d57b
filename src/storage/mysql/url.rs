//! Where the servers are and how to log in, as the setting `store` says it.
//!
//! Nothing that is shown (`Debug`, `Display`, errors) holds the password, nor any text that
//! might be a part of it in a URL that is written wrongly.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use super::super::TargetError;

const SCHEME: &str = "mysql://";
const PORT: u16 = 3306;
const FORM: &str = "the form is mysql://user:password@host:3306/database";

/// One to many servers of one database, with the login for all of them:
/// `mysql://user:password@host:3306/database`.
///
/// More hosts follow after commas, behind the first host (`mysql://u:p@h1:3306,h2/db`) or
/// behind the database (`mysql://u:p@h1:3306/db,h2`); they are tried in this order. A host
/// without a port has 3306, an IPv6 address stands in brackets. In user, password and
/// database, characters that mean something in a URL are percent-encoded.
///
/// Parameters: `?ssl-mode=disabled` (default), `required` (encrypted, whoever the server is)
/// or `verify_identity` (its certificate must be valid for its host name); `ssl-ca=PATH` adds a
/// certificate authority. Any other is an error.
#[derive(Clone, PartialEq, Eq)]
pub struct MySqlUrl {
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) hosts: Vec<Host>,
    pub(super) database: String,
    pub(super) tls: Tls,
    pub(super) authority: Option<PathBuf>,
}

/// The address of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// A name or an IP address, without brackets.
    pub(super) name: String,
    pub(super) port: u16,
}

/// How much of TLS is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    Disabled,
    Required,
    VerifyIdentity,
}

impl FromStr for MySqlUrl {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| error("does not begin with mysql://"))?;
        // The last one, so that a password with an unencoded @ is still cut off as a whole.
        let (login, place) = rest.rsplit_once('@').ok_or_else(|| error("names no user"))?;
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decode(password, "password")?)),
            None => (login, None),
        };
        let user = decode(user, "user")?;
        if user.is_empty() {
            return Err(error("names no user"));
        }
        let (place, parameters) = place.split_once('?').unwrap_or((place, ""));
        let (first, rest) = place.split_once('/').ok_or_else(|| error("names no database"))?;
        let (database, more) = match rest.split_once(',') {
            Some((database, more)) => (database, Some(more)),
            None => (rest, None),
        };
        let database = decode(database, "database")?;
        if database.is_empty() {
            return Err(error("names no database"));
        }
        let hosts = first.split(',').chain(more.into_iter().flat_map(|more| more.split(',')));
        let mut url = Self {
            user,
            password: password.filter(|password| !password.is_empty()),
            hosts: hosts.map(host).collect::<Result<_, _>>()?,
            database,
            tls: Tls::Disabled,
            authority: None,
        };
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            url.set(parameter)?;
        }
        if url.authority.is_some() && url.tls != Tls::VerifyIdentity {
            return Err(error("has an ssl-ca, which nothing is checked against without ssl-mode=verify_identity"));
        }
        Ok(url)
    }
}

impl MySqlUrl {
    /// Whether all its servers are reached over this machine's loopback, so that they share its processor with us.
    pub fn is_local(&self) -> bool {
        self.hosts.iter().all(|host| {
            host.name.eq_ignore_ascii_case("localhost")
                || host.name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }

    fn set(&mut self, parameter: &str) -> Result<(), TargetError> {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "ssl-mode" => {
                self.tls = match value.to_ascii_lowercase().as_str() {
                    "disabled" => Tls::Disabled,
                    "required" => Tls::Required,
                    "verify_identity" => Tls::VerifyIdentity,
                    _ => return Err(error("has an ssl-mode that is none of disabled, required, verify_identity")),
                };
            }
            "ssl-ca" => self.authority = Some(PathBuf::from(decode(value, "ssl-ca")?)),
            _ => {
                let name = name.escape_default();
                return Err(error(format!("has the unknown parameter {name}: there are ssl-mode and ssl-ca")));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

impl fmt::Display for MySqlUrl {
    /// The URL with `***` in place of the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        encode(&self.user, f)?;
        if self.password.is_some() {
            f.write_str(":***")?;
        }
        for (index, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { '@' } else { ',' })?;
        }
        f.write_str("/")?;
        encode(&self.database, f)?;
        f.write_str(match self.tls {
            Tls::Disabled => "",
            Tls::Required => "?ssl-mode=required",
            Tls::VerifyIdentity => "?ssl-mode=verify_identity",
        })?;
        if let Some(path) = &self.authority {
            f.write_str("&ssl-ca=")?;
            encode(&path.to_string_lossy(), f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for MySqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn error(what: impl fmt::Display) -> TargetError {
    TargetError(format!("the store's URL {what}; {FORM}"))
}

fn host(text: &str) -> Result<Host, TargetError> {
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (name, port) = rest.split_once(']').ok_or_else(|| error("has a [ without its ]"))?;
        if name.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(error("has something else than an IPv6 address in brackets"));
        }
        (name, if port.is_empty() { None } else { Some(port.strip_prefix(':').unwrap_or_default()) })
    } else {
        match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        }
    };
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if name.is_empty() || !name.chars().all(named) {
        return Err(error("has no host where one must be"));
    }
    let port = match port.map(str::parse) {
        None => PORT,
        Some(Ok(port)) if port != 0 => port,
        Some(_) => return Err(error("has a port that is no number from 1 to 65535")),
    };
    Ok(Host { name: name.to_owned(), port })
}

fn decode(text: &str, part: &str) -> Result<String, TargetError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(error(format!("has a % in its {part} that two hexadecimal digits do not follow (%25 is one)")));
        };
        bytes.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"));
        rest = &after[2..];
    }
    let text = String::from_utf8(bytes).map_err(|_| error(format!("has a {part} that is not UTF-8")))?;
    if text.chars().any(char::is_control) {
        return Err(error(format!("has a control character in its {part}")));
    }
    Ok(text)
}

fn encode(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~') {
            write!(f, "{}", char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> MySqlUrl {
        text.parse().unwrap()
    }

    fn shown(text: &str) -> String {
        parsed(text).to_string()
    }

    #[test]
    fn a_url_is_shown_whole_but_for_its_password() {
        let url = parsed("mysql://event:secret@db.example:3307/eventdb");
        assert_eq!(url.password.as_deref(), Some("secret"));
        assert_eq!(url.to_string(), "mysql://event:***@db.example:3307/eventdb");
        assert_eq!(format!("{url:?}"), url.to_string());
        assert_eq!(shown("mysql://root@localhost/eventdb"), "mysql://root@localhost:3306/eventdb");
        assert_eq!(shown("mysql://root:@localhost/eventdb"), "mysql://root@localhost:3306/eventdb");
    }

    #[test]
    fn hosts_may_follow_the_first_host_or_the_database() {
        let before = parsed("mysql://u:p@h1:3307,h2,[::1]:3308/db");
        assert_eq!(before, parsed("mysql://u:p@h1:3307/db,h2,[::1]:3308"));
        assert_eq!(before, parsed("mysql://u:p@h1:3307,h2/db,[::1]:3308"));
        assert_eq!(before.to_string(), "mysql://u:***@h1:3307,h2:3306,[::1]:3308/db");
    }

    #[test]
    fn servers_are_local_where_all_of_them_are_reached_over_loopback() {
        for local in ["localhost", "LocalHost:3307", "127.0.0.1", "127.1.2.3:3306", "[::1]", "localhost,[::1]:3307"] {
            assert!(parsed(&format!("mysql://u:p@{local}/db")).is_local(), "{local}");
        }
        for remote in ["db", "localhost.example", "10.0.0.1", "[fe80::1]", "localhost,db", "db,127.0.0.1"] {
            assert!(!parsed(&format!("mysql://u:p@{remote}/db")).is_local(), "{remote}");
        }
    }

    #[test]
    fn user_password_and_database_are_percent_decoded() {
        let url = parsed("mysql://a%40b:p%2F%3A%C3%A9%25@h/d%2Cb");
        assert_eq!((url.user.as_str(), url.password.as_deref()), ("a@b", Some("p/:é%")));
        assert_eq!(url.database, "d,b");
        assert_eq!(url.to_string(), "mysql://a%40b:***@h:3306/d%2Cb");
        assert_eq!(parsed("mysql://u:p@ss:wo/rd?x@h/db").password.as_deref(), Some("p@ss:wo/rd?x"));
    }

    #[test]
    fn tls_is_asked_for_by_a_parameter() {
        assert_eq!(parsed("mysql://u@h/db?ssl-mode=REQUIRED").tls, Tls::Required);
        let text = "mysql://u@h:3306/db?ssl-mode=verify_identity&ssl-ca=ca.pem";
        assert_eq!(shown(text), text);
        assert!("mysql://u@h/db?ssl-mode=maybe".parse::<MySqlUrl>().is_err());
        assert!("mysql://u@h/db?ssl-ca=ca.pem".parse::<MySqlUrl>().is_err());
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        let error = "mysql://u:secret@h/db?pool_max=3".parse::<MySqlUrl>().unwrap_err().to_string();
        assert!(error.contains("pool_max"), "{error}");
    }

    #[test]
    fn no_error_shows_the_password() {
        for text in [
            "mysql://u:secret",
            "mysql://u:secret/db",
            "mysql://u:secret@",
            "mysql://u:secret@h",
            "mysql://u:secret@h/",
            "mysql://u:secret@/db",
            "mysql://:secret@h/db",
            "mysql://u:secret@h:0/db",
            "mysql://u:secret@h:65536/db",
            "mysql://u:secret@h:/db",
            "mysql://u:secret@h,/db",
            "mysql://u:secret@h/db,",
            "mysql://u:secret@[::1/db",
            "mysql://u:secret@[secret]/db",
            "mysql://u:secret@[::1]secret/db",
            "mysql://u:secret@a b/db",
            "mysql://u:secret%@h/db",
            "mysql://u:secret%f@h/db",
            "mysql://u:secret%é@h/db",
            "mysql://u:secret%ff@h/db",
            "mysql://u:secret%00@h/db",
            "mysql://u:pass@secret/h@",
            "postgres://u:secret@h/db",
        ] {
            let error = text.parse::<MySqlUrl>().expect_err(text).to_string();
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
