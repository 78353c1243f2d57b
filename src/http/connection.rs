//! One connection: hyper drives it, our clock limits it, and its end lets the last answer arrive.

use std::{future::poll_fn, pin::Pin, rc::Rc, task::Poll, time::Duration};

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use hyper::{Request, body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep_until, timeout},
};

use super::{
    answer::Answer,
    context::{ConnectionSlot, IngestThread},
    problem::Problem,
    progress::{Phase, Progress, Watched},
    refusal, route,
};

/// Most header fields of a request: more are answered 431.
const HEADERS_MAX: usize = 64;
/// Longest head: a longer one is answered 431.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most bytes that are buffered of a connection: a usual batch comes in one piece.
const BUFFER_BYTES_MAX: usize = 32 << 10;
/// Most bytes of a read of one of very many connections, one less than hyper's smallest buffer: all of them
/// together shall not take more than the events do. A batch then comes in a few pieces.
const READ_BYTES_OF_MANY: usize = (8 << 10) - 1;
/// Most parts of a body that are read before other connections have their turn.
const PARTS_AT_ONCE: usize = 8;
/// So many connections of one thread are very many.
const VERY_MANY: usize = 512;
/// How long, and how many bytes, a closing connection is read on, so that the last answer is not
/// torn away by a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;

type Conn = http1::Connection<TokioIo<Watched>, Handler>;

/// Serves the requests of one connection, one after another.
struct Handler {
    thread: Rc<IngestThread>,
    progress: Rc<Progress>,
}

impl Service<Request<Incoming>> for Handler {
    type Response = Answer;
    type Error = std::convert::Infallible;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.progress.request();
        let (thread, progress) = (Rc::clone(&self.thread), Rc::clone(&self.progress));
        async move {
            let response = route::answer(&thread, &progress, request).await;
            // A stream says itself when it is over.
            if !response.body().is_stream() {
                progress.answered();
            }
            Ok(response)
        }
        .boxed_local()
    }
}

/// Why the task of a connection stops driving it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// hyper is done with it, or the peer is.
    Done,
    /// A head came too slowly: it is answered 408.
    SlowHead,
    /// Nothing came: it is closed without a word.
    Idle,
    /// The client does not read what it asked for: nothing more is sent.
    Stalled,
}

/// Drives a connection to its end.
pub(super) async fn serve(socket: TcpStream, thread: Rc<IngestThread>, slot: ConnectionSlot) {
    let progress = Rc::new(Progress::new(thread.terms()));
    let read_bytes_max = if slot.count() > VERY_MANY { READ_BYTES_OF_MANY } else { usize::MAX };
    let io = TokioIo::new(Watched { socket, progress: Rc::clone(&progress), read_bytes_max });
    let handler = Handler { thread: Rc::clone(&thread), progress: Rc::clone(&progress) };
    let mut conn = http1::Builder::new()
        .half_close(true)
        // Not `pipeline_flush`: with bytes left to read, it would hold back the answer to a head that
        // cannot be parsed, for ever.
        // Its limit is for both the head and the pause before it; ours are told apart.
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(io, handler);

    let end = drive(&mut conn, &progress, &slot).await;
    let mut socket = conn.into_parts().io.into_inner().socket;
    match end {
        End::Idle => return,
        End::Stalled => {
            // Else the system would keep what is not sent, and try on. Where it cannot be set, it does.
            let _ = socket.set_zero_linger();
            return;
        }
        End::Done => {}
        End::SlowHead => {
            let problem = Problem::timeout("the head of the request did not arrive in time");
            if !matches!(timeout(LINGER, socket.write_all(&refusal::unread(problem))).await, Ok(Ok(()))) {
                return;
            }
        }
    }
    close_gently(&mut socket).await;
}

async fn drive(conn: &mut Conn, progress: &Progress, slot: &ConnectionSlot) -> End {
    let idle_timeout = progress.terms().options.idle_timeout;
    let mut clock = Box::pin(sleep_until(tokio::time::Instant::now() + idle_timeout));
    let mut told_to_stop = false;
    poll_fn(|cx| {
        slot.wake_on_stop(cx.waker());
        let mut parts = 0;
        loop {
            if slot.is_stopping() && !told_to_stop {
                told_to_stop = true;
                progress.end_stream();
                Pin::new(&mut *conn).graceful_shutdown();
            }
            if conn.poll_without_shutdown(cx).is_ready() {
                return Poll::Ready(End::Done);
            }
            // hyper lets all other connections run between two parts of a body, which would all hold a
            // part of theirs then.
            if parts < PARTS_AT_ONCE && progress.take_part() {
                parts += 1;
                continue;
            }
            if told_to_stop {
                match progress.phase() {
                    // hyper waits for a first request even when it was told to stop.
                    Phase::Idle => return Poll::Ready(End::Idle),
                    // It would have taken its end if the client read.
                    Phase::Stream => return Poll::Ready(End::Stalled),
                    Phase::Head | Phase::Request | Phase::Answer => {}
                }
            }
            // A deadline moves back when a head begins (seldom: most come whole), and forward with
            // each request; the clock is set anew for the former, and when it went off too soon.
            let deadline = progress.deadline();
            if deadline.is_some_and(|deadline| deadline < clock.deadline()) {
                clock.as_mut().reset(deadline.unwrap_or_else(tokio::time::Instant::now));
            }
            if clock.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = tokio::time::Instant::now();
            match deadline {
                Some(deadline) if deadline > now => clock.as_mut().reset(deadline),
                Some(_) => {
                    return Poll::Ready(match progress.phase() {
                        Phase::Head => End::SlowHead,
                        Phase::Stream => End::Stalled,
                        Phase::Idle | Phase::Request | Phase::Answer => End::Idle,
                    });
                }
                None => {
                    let options = &progress.terms().options;
                    clock.as_mut().reset(now + options.header_timeout.min(options.idle_timeout));
                }
            }
        }
    })
    .await
}

/// Says that nothing more comes, and reads on for a while: closing a socket with unread bytes
/// resets the connection, and the client may lose the answer that is on its way.
pub(super) async fn close_gently(socket: &mut TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    // Not in the future, whose room every open connection takes.
    let mut unread = vec![0; 4096];
    let mut left = LINGER_BYTES_MAX;
    let discard = async {
        while let Ok(read @ 1..) = socket.read(&mut unread).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    // Whether the peer closed or the time ran out, the socket is dropped now.
    let _ = timeout(LINGER, discard).await;
}
