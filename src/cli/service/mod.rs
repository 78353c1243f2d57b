//! A running service as the commands speak to it: where it is, a connection to it, an answer's head.
//!
//! Plain HTTP/1.1 and one request at a time is all that a load generator or a view needs. Nothing here
//! waits for an answer for a limited time only: who asks knows how long is too long.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::{Arg, ArgMatches};

mod connection;
mod head;
mod url;

pub(super) use self::{connection::Connection, head::Head, url::Url};
use crate::config::Settings;

/// The flag that names the service.
pub(super) const URL: &str = "url";

/// The flag that names the service.
pub(super) fn url_flag() -> Arg {
    Arg::new(URL).long(URL).value_name("URL").help("The service [default: the one at the setting `listen`]")
}

/// The service that the flag names; without it the one that listens where the settings say.
///
/// # Errors
/// What is wrong with the flag.
pub(super) fn url(given: &ArgMatches, settings: &Settings) -> Result<Url, String> {
    match given.get_one::<String>(URL) {
        Some(text) => text.parse().map_err(|wrong| format!("--{URL} {text}: {wrong}")),
        None => format!("http://{}", reachable(settings.listen)).parse(),
    }
}

/// Where a service can be reached from here that listens at `address`, which may stand for all addresses.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_flag_it_is_the_service_of_the_settings() {
        let command = || clap::Command::new("x").arg(url_flag());
        for (listen, expected) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:81", "http://127.0.0.1:81"),
            ("[::]:82", "http://[::1]:82"),
            ("10.0.0.7:83", "http://10.0.0.7:83"),
        ] {
            let settings = Settings { listen: listen.parse().unwrap(), ..Settings::default() };
            assert_eq!(url(&command().get_matches_from(["x"]), &settings).unwrap().as_str(), expected);
            let given = command().get_matches_from(["x", "--url", "http://there:84"]);
            assert_eq!(url(&given, &settings).unwrap().as_str(), "http://there:84");
        }
    }
}
