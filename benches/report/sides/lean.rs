//! hyper as lean as it goes, so that what is built of it is a ceiling: one event loop per core, each
//! connection on one of them for good, nothing allocated for a request but by hyper itself.

use std::{convert::Infallible, net::TcpListener, thread};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::mpsc, task::LocalSet};

/// Answers each request with the status that `take` makes of it. Hands the connections out in turns, so
/// that every thread has as many.
pub(super) fn serve<T, F>(listener: &TcpListener, take: T) -> Result<()>
where
    T: Fn(Incoming) -> F + Clone + Send + 'static,
    F: Future<Output = StatusCode>,
{
    let threads = thread::available_parallelism()?.get();
    let threads: Vec<_> = (0..threads).map(|index| start(index, take.clone())).collect::<Result<_>>()?;
    for number in 0.. {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        threads[number % threads.len()].send(socket)?;
    }
    Ok(())
}

fn start<T, F>(index: usize, take: T) -> Result<mpsc::UnboundedSender<std::net::TcpStream>>
where
    T: Fn(Incoming) -> F + Clone + Send + 'static,
    F: Future<Output = StatusCode>,
{
    let (sender, mut sockets) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(format!("serve-{index}")).spawn(move || {
        LocalSet::new().block_on(&runtime, async move {
            while let Some(socket) = sockets.recv().await {
                let Ok(socket) = TcpStream::from_std(socket) else { continue };
                let take = take.clone();
                let answer = move |request: Request<Incoming>| {
                    let taken = take(request.into_body());
                    async move {
                        let mut response = Response::new(Empty::<Bytes>::new());
                        *response.status_mut() = taken.await;
                        Ok::<_, Infallible>(response)
                    }
                };
                // A client that goes away ends its connection, and nothing else.
                tokio::task::spawn_local(
                    http1::Builder::new()
                        .header_read_timeout(None)
                        .serve_connection(TokioIo::new(socket), service_fn(answer)),
                );
            }
        });
    })?;
    Ok(sender)
}
