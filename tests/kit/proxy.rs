//! A TCP proxy on loopback that passes everything until it is told otherwise, and then breaks
//! what a network breaks: cut connections, lost and late replies, silence, a slow line.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What the proxy does with what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Passes it.
    Pass,
    /// Passes so many bytes of the next request, then closes the connection on both sides.
    CutRequests { after: usize },
    /// Passes so many bytes of the next reply, then closes the connection on both sides.
    CutReplies { after: usize },
    /// Keeps replies, and passes them when it is told otherwise.
    HoldReplies,
    /// Keeps all, and says nothing to who connects; no connection is closed, as where a cable is
    /// pulled. What was kept is passed when it is told otherwise.
    Silence,
    /// Waits before each reply.
    Slow(Duration),
}

impl Traffic {
    fn keeps(self, direction: Direction) -> bool {
        self == Self::Silence || (self == Self::HoldReplies && direction == Direction::Replies)
    }

    fn cut(self, direction: Direction) -> Option<usize> {
        match (self, direction) {
            (Self::CutRequests { after }, Direction::Requests) | (Self::CutReplies { after }, Direction::Replies) => {
                Some(after)
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Requests,
    Replies,
}

/// The proxy; gone with this.
pub(crate) struct Proxy {
    /// Where it listens, `host:port`.
    pub(crate) address: String,
    traffic: watch::Sender<Traffic>,
    faults: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of the server at `server`.
    pub(crate) async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (traffic, mode) = watch::channel(Traffic::Pass);
        let (count, faults) = watch::channel(0);
        let count = Arc::new(count);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server.clone(), mode.clone(), Arc::clone(&count)));
            }
        });
        Self { address, traffic, faults, accepting }
    }

    /// Does something else with what it reads from now on.
    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }

    /// How many requests and replies were cut, or kept, so far.
    pub(crate) fn faults(&self) -> usize {
        *self.faults.borrow()
    }

    /// Waits until a reply is held.
    pub(crate) async fn wait_until_held(&mut self) {
        self.faults.wait_for(|held| *held > 0).await.unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(
    client: TcpStream,
    server: String,
    mode: watch::Receiver<Traffic>,
    faults: Arc<watch::Sender<usize>>,
) {
    let mut waiting = mode.clone();
    if waiting.wait_for(|traffic| *traffic != Traffic::Silence).await.is_err() {
        return;
    }
    // A server that is down refuses, and so does this: by closing.
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    // Where one direction ends, both are closed.
    tokio::select! {
        () = pass(client_in, server_out, Direction::Requests, mode.clone(), &faults) => {}
        () = pass(server_in, client_out, Direction::Replies, mode, &faults) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut mode: watch::Receiver<Traffic>,
    faults: &watch::Sender<usize>,
) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let traffic = *mode.borrow();
        if traffic.keeps(direction) {
            faults.send_modify(|faults| *faults += 1);
            if mode.wait_for(|traffic| !traffic.keeps(direction)).await.is_err() {
                return;
            }
        }
        if let (Traffic::Slow(pause), Direction::Replies) = (traffic, direction) {
            tokio::time::sleep(pause).await;
        }
        let cut = mode.borrow().cut(direction);
        let passed = cut.map_or(count, |after| after.min(count));
        if to.write_all(&bytes[..passed]).await.is_err() {
            return;
        }
        if cut.is_some() {
            faults.send_modify(|faults| *faults += 1);
            return;
        }
    }
}
