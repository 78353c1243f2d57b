//! How far a connection is with its present request, as seen from its socket: the clock for slow
//! heads and idle connections runs by it.
//!
//! hyper has one limit for both, starts it when the connection goes idle, and closes without a
//! word; ours starts with the head's first byte, and is answered.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::Options;

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
}

/// The phase of one connection, shared by its socket, its service and its task.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Bytes of the next request came before the answer to this one.
    early: Cell<bool>,
    /// Bytes came since somebody asked.
    part_came: Cell<bool>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(Instant::now()),
            early: Cell::new(false),
            part_came: Cell::new(false),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// When the connection has waited too long, by its present phase.
    pub(super) fn deadline(&self, options: &Options) -> Option<Instant> {
        match self.phase.get() {
            Phase::Idle => Some(self.since.get() + options.idle_timeout),
            Phase::Head => Some(self.since.get() + options.header_timeout),
            Phase::Request | Phase::Answer => None,
        }
    }

    /// A whole head was read.
    pub(super) fn request(&self) {
        self.phase.set(Phase::Request);
    }

    /// The body was read to its end: what comes now belongs to the next request.
    pub(super) fn body_read(&self) {
        self.phase.set(Phase::Answer);
    }

    /// The answer is there.
    pub(super) fn answered(&self) {
        self.since.set(Instant::now());
        self.phase.set(if self.early.take() { Phase::Head } else { Phase::Idle });
    }

    /// Whether bytes of a body came since the last call, which is not whole yet.
    pub(super) fn take_part(&self) -> bool {
        self.part_came.take() && self.phase.get() == Phase::Request
    }

    fn bytes_came(&self) {
        self.part_came.set(true);
        match self.phase.get() {
            Phase::Idle => {
                self.since.set(Instant::now());
                self.phase.set(Phase::Head);
            }
            Phase::Answer => self.early.set(true),
            Phase::Head | Phase::Request => {}
        }
    }
}

/// A socket that notes when bytes came.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) socket: TcpStream,
    pub(super) progress: Rc<Progress>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.progress.bytes_came();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
