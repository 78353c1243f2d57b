//! The sides that the service is compared with, one file each.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
};

use socket2::{Domain, Socket, Type};

mod hyper_discard;

/// Serves side `name` on `port` of loopback (0: a free one) until the process is ended, and says
/// the address on standard output once it listens.
pub(crate) fn serve(name: &str, port: &str, _rest: &[&str]) -> io::Result<()> {
    let port = port.parse().map_err(|_| io::Error::other(format!("{port:?} is not a port")))?;
    let listener = listen(port)?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    match name {
        hyper_discard::NAME => hyper_discard::serve(&listener),
        _ => Err(io::Error::other(format!("there is no side of that name; there is {}", hyper_discard::NAME))),
    }
}

/// A listener that thousands of connections may knock at in one moment.
fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}
