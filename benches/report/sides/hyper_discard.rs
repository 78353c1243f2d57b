//! The least that an HTTP service on hyper can do: it reads the body, drops it, and answers 202.
//!
//! As lean as hyper goes, so that it is a ceiling: one event loop per core, each connection on one
//! of them for good, nothing allocated for a request but by hyper itself.

use std::{convert::Infallible, net::TcpListener, thread};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::mpsc, task::LocalSet};

pub(crate) const NAME: &str = "hyper-discard";

/// Hands the connections out in turns, so that every thread has as many.
pub(super) fn serve(listener: &TcpListener) -> Result<()> {
    let threads = thread::available_parallelism()?.get();
    let threads: Vec<_> = (0..threads).map(start).collect::<Result<_>>()?;
    for number in 0.. {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        threads[number % threads.len()].send(socket)?;
    }
    Ok(())
}

fn start(index: usize) -> Result<mpsc::UnboundedSender<std::net::TcpStream>> {
    let (sender, mut sockets) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(format!("serve-{index}")).spawn(move || {
        LocalSet::new().block_on(&runtime, async move {
            while let Some(socket) = sockets.recv().await {
                if let Ok(socket) = TcpStream::from_std(socket) {
                    // A client that goes away ends its connection, and nothing else.
                    tokio::task::spawn_local(
                        http1::Builder::new()
                            .header_read_timeout(None)
                            .serve_connection(TokioIo::new(socket), service_fn(answer)),
                    );
                }
            }
        });
    })?;
    Ok(sender)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut body = request.into_body();
    let mut status = StatusCode::ACCEPTED;
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            status = StatusCode::BAD_REQUEST;
            break;
        }
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    Ok(response)
}
