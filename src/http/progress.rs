//! How far a connection is with its present request, as seen from its socket: the clock for slow
//! heads and idle connections runs by it.
//!
//! hyper has one limit for both, starts it when the connection goes idle, and closes without a
//! word; ours starts with the head's first byte, and is answered.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use smallvec::SmallVec;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::terms::{Terms, ThreadTerms};

/// An answer of no more bytes is copied into one piece: a `send` of it costs less than a `writev` of its head and
/// its body.
const GATHERED_BYTES_MAX: usize = 1024;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// The body, or whatever else the handler waits for: it has its own limits.
    Request,
    /// The answer: the body was read.
    Answer,
    /// The end of an answer that goes on for as long as both sides want.
    Stream,
}

/// The phase of one connection, shared by its socket, its service and its task.
#[derive(Debug)]
pub(super) struct Progress {
    thread_terms: Rc<ThreadTerms>,
    /// Those of the present request; between two, those of the last one.
    terms: RefCell<Rc<Terms>>,
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Bytes of the next request came before the answer to this one.
    early: Cell<bool>,
    /// Bytes came since somebody asked.
    part_came: Cell<bool>,
    /// Since when the system has taken no bytes of a stream, where it has not.
    stalled_since: Cell<Option<Instant>>,
    /// The service stops, and streams end.
    is_stream_over: Cell<bool>,
}

impl Progress {
    pub(super) fn new(thread_terms: Rc<ThreadTerms>) -> Self {
        let terms = RefCell::new(thread_terms.now());
        Self {
            thread_terms,
            terms,
            phase: Cell::new(Phase::Idle),
            since: Cell::new(Instant::now()),
            early: Cell::new(false),
            part_came: Cell::new(false),
            stalled_since: Cell::new(None),
            is_stream_over: Cell::new(false),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The terms of the present request: the same from its first byte to its answer.
    pub(super) fn terms(&self) -> Rc<Terms> {
        Rc::clone(&self.terms.borrow())
    }

    /// When the connection has waited too long, by its present phase.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let options = &self.terms.borrow().options;
        match self.phase.get() {
            Phase::Idle => Some(self.since.get() + options.idle_timeout),
            Phase::Head => Some(self.since.get() + options.header_timeout),
            Phase::Request | Phase::Answer => None,
            // A stream may be silent; a client may not leave it unread.
            Phase::Stream => self.stalled_since.get().map(|since| since + options.idle_timeout),
        }
    }

    /// A whole head was read.
    pub(super) fn request(&self) {
        // It came together with the one before.
        if self.phase.get() == Phase::Idle {
            self.begin();
        }
        self.phase.set(Phase::Request);
    }

    /// The body was read to its end: what comes now belongs to the next request.
    pub(super) fn body_read(&self) {
        self.phase.set(Phase::Answer);
    }

    /// The answer is there.
    pub(super) fn answered(&self) {
        self.since.set(Instant::now());
        if self.early.take() {
            self.begin();
            self.phase.set(Phase::Head);
        } else {
            self.phase.set(Phase::Idle);
        }
    }

    /// The answer has begun, and goes on until [`Progress::answered`] is called.
    pub(super) fn streaming(&self) {
        self.stalled_since.set(None);
        self.phase.set(Phase::Stream);
    }

    /// Streams of this connection are to end now.
    pub(super) fn end_stream(&self) {
        self.is_stream_over.set(true);
    }

    pub(super) fn is_stream_over(&self) -> bool {
        self.is_stream_over.get()
    }

    /// Whether bytes of a body came since the last call, which is not whole yet.
    pub(super) fn take_part(&self) -> bool {
        self.part_came.take() && self.phase.get() == Phase::Request
    }

    /// A request begins, on the terms of now.
    fn begin(&self) {
        self.terms.replace(self.thread_terms.now());
    }

    fn bytes_came(&self) {
        self.part_came.set(true);
        match self.phase.get() {
            Phase::Idle => {
                self.begin();
                self.since.set(Instant::now());
                self.phase.set(Phase::Head);
            }
            Phase::Answer | Phase::Stream => self.early.set(true),
            Phase::Head | Phase::Request => {}
        }
    }

    /// The system took bytes, or it could take none.
    fn wrote<T>(&self, written: &Poll<T>) {
        if self.phase.get() == Phase::Stream {
            match (written.is_pending(), self.stalled_since.get()) {
                (true, None) => self.stalled_since.set(Some(Instant::now())),
                (false, Some(_)) => self.stalled_since.set(None),
                (true, Some(_)) | (false, None) => {}
            }
        }
    }
}

/// A socket that notes when bytes came.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) socket: TcpStream,
    pub(super) progress: Rc<Progress>,
    /// Most bytes of one read: hyper makes its buffer larger when it was filled, and never smaller again.
    pub(super) read_bytes_max: usize,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = if buf.remaining() <= self.read_bytes_max {
            Pin::new(&mut self.socket).poll_read(cx, buf)
        } else {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(self.read_bytes_max));
            let read = Pin::new(&mut self.socket).poll_read(cx, &mut part);
            let came = part.filled().len();
            buf.advance(came);
            read
        };
        if buf.filled().len() > before {
            self.progress.bytes_came();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.progress.wrote(&written);
        written
    }

    /// hyper comes here whenever it has written all there is. It does not read while it answers, so that the
    /// end of a client which waits for a stream has to be looked for here.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.phase() == Phase::Stream
            && let Poll::Ready(Ok(0) | Err(_)) = self.socket.poll_peek(cx, &mut ReadBuf::new(&mut [0]))
        {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.socket);
        let written = if bufs.iter().map(|part| part.len()).sum::<usize>() <= GATHERED_BYTES_MAX {
            let mut gathered = SmallVec::<[u8; GATHERED_BYTES_MAX]>::new();
            bufs.iter().for_each(|part| gathered.extend_from_slice(part));
            socket.poll_write(cx, &gathered)
        } else {
            socket.poll_write_vectored(cx, bufs)
        };
        self.progress.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn what_comes_is_read_in_parts_of_so_many_bytes_and_noted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let sent: Vec<u8> = (0..100).collect();
        client.write_all(&sent).await.unwrap();
        drop(client);

        let progress = Rc::new(Progress::new(Rc::default()));
        let mut watched = Watched { socket, progress: Rc::clone(&progress), read_bytes_max: 30 };
        let mut buffer = [0; 64];
        let first = watched.read(&mut buffer).await.unwrap();
        assert!((1..=30).contains(&first), "{first}");
        assert_eq!(progress.phase(), Phase::Head);
        assert!(!progress.take_part(), "no body is read yet");
        progress.request();
        let mut came = buffer[..first].to_vec();
        watched.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, sent);
        assert!(progress.take_part() && !progress.take_part(), "told once");
    }
}
