//! Where the service is: an `http://` URL, taken apart once.

use std::{net::SocketAddr, str::FromStr};

use tokio::net::lookup_host;

const SCHEME: &str = "http://";
const PORT: u16 = 80;

/// The URL of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Url {
    /// As it was given.
    text: String,
    /// Host and port as the header `Host` has them.
    authority: String,
    host: String,
    port: u16,
    /// What stands before `/events`; mostly empty.
    base: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return Err(format!("it does not begin with {SCHEME}, the only scheme that is spoken here"));
        };
        if rest.bytes().any(|byte| !byte.is_ascii_graphic() || b"@?#".contains(&byte)) {
            return Err("it holds more than a host, a port and a path".to_owned());
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            // The colons within brackets are the address's own.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("{port:?} is not a port"))?)
            }
            _ => (authority, PORT),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            base: path.trim_end_matches('/').to_owned(),
        })
    }
}

impl Url {
    /// As it was given.
    pub(in crate::cli) fn as_str(&self) -> &str {
        &self.text
    }

    /// A request's first line and the header `Host`.
    pub(in crate::cli) fn head(&self, method: &str, path: &str) -> String {
        format!("{method} {}{path} HTTP/1.1\r\nHost: {}\r\n", self.base, self.authority)
    }

    /// The addresses that the host has.
    pub(in crate::cli) async fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((self.host.as_str(), self.port)).await?.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_base_are_found() {
        for (text, host, port, line) in [
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, "POST /events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"),
            ("http://host/", "host", 80, "POST /events HTTP/1.1\r\nHost: host\r\n"),
            ("http://[::1]:81/in/", "::1", 81, "POST /in/events HTTP/1.1\r\nHost: [::1]:81\r\n"),
            ("http://[::1]", "::1", 80, "POST /events HTTP/1.1\r\nHost: [::1]\r\n"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port, url.head("POST", "/events").as_str()), (host, port, line));
            assert_eq!(url.as_str(), text);
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for text in ["", "localhost:8080", "https://h", "http://", "http://:80", "http://h:x", "http://h:99999"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
        for text in ["http://u:p@h", "http://h/?a=b", "http://h /", "http://h/\r\nX: y"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
