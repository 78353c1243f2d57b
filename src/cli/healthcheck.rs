//! `event-pipeline healthcheck`: asks the service with these settings whether it is alive, for container
//! engines whose image has no other program that could.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Command;

use super::help;
use crate::config::Settings;

pub(super) const NAME: &str = "healthcheck";
/// How long connecting, and the answer, may each take.
const PATIENCE: Duration = Duration::from_secs(2);

const HELP: &str = "Exits with 0 where it is, and with 1 where it is not or does not answer. It is for container engines whose image \
has no other program that could ask.";
const EXAMPLES: &[&str] = &["event-pipeline healthcheck", "event-pipeline healthcheck --listen 127.0.0.1:9000"];

/// The command.
pub(super) fn command() -> Command {
    let about = "Asks the service on `listen` whether it is alive; the exit code says so";
    help::with(Command::new(NAME).about(about), HELP, EXAMPLES)
}

/// Succeeds where the service answers that it is alive.
///
/// # Errors
/// Where it does not answer, or otherwise.
pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let address = reachable(settings.listen);
    let answer = ask(address).with_context(|| format!("the service on {address} does not answer"))?;
    match answer.lines().next().unwrap_or_default().split(' ').nth(1) {
        Some("200") => Ok(ExitCode::SUCCESS),
        _ => bail!("the service on {address} does not say that it is alive: {answer}"),
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // With one call: who answers before all of it has come may close upon the rest.
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // Whoever answers on that port, it is not read without end.
    stream.take(4096).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Where a service is to be reached from its own machine that listens there.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_at_home() {
        for (listen, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:80", "[::1]:80"),
            ("10.1.2.3:8080", "10.1.2.3:8080"),
            ("127.0.0.2:1", "127.0.0.2:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
