//! The sides that the service is compared with, one file each.
//!
//! Those that serve HTTP run as processes of their own; those that only insert run here.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, Result, bail};
use socket2::{Domain, Socket, Type};

mod hyper_discard;
mod hyper_sync;
mod lean;
pub(crate) mod load_data;
pub(crate) mod loader;
mod naive;
pub(crate) mod rows;
pub(crate) mod sqlite;

pub(crate) use hyper_discard::NAME as HYPER;
pub(crate) use hyper_sync::NAME as HYPER_SYNC;
pub(crate) use naive::NAME as NAIVE;

/// Serves side `name` on `port` of loopback (0: a free one) until the process is ended, and says
/// the address on standard output once it listens.
pub(crate) fn serve(name: &str, port: &str, rest: &[&str]) -> Result<()> {
    let listener = listen(port.parse().with_context(|| format!("{port:?} is not a port"))?)?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    match (name, rest) {
        (HYPER, []) => hyper_discard::serve(&listener),
        (HYPER_SYNC, []) => hyper_sync::serve(&listener),
        (NAIVE, [url]) => naive::serve(listener, url),
        _ => bail!("there is no such side; there are `{HYPER}`, `{HYPER_SYNC}` and `{NAIVE} mysql://…`"),
    }
}

/// A listener that thousands of connections may knock at in one moment.
fn listen(port: u16) -> Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}
