//! A TCP proxy on loopback that passes everything until it is told otherwise.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What the proxy does with the server's replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replies {
    /// Passes them.
    Pass,
    /// Keeps them, and passes them when it is told to pass again.
    Hold,
    /// Closes the connection instead.
    Cut,
}

/// The proxy; gone with this.
pub(crate) struct Proxy {
    /// Where it listens, `host:port`.
    pub(crate) address: String,
    replies: watch::Sender<Replies>,
    held: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of the server at `server`.
    pub(crate) async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (replies, mode) = watch::channel(Replies::Pass);
        let (holding, held) = watch::channel(0);
        let holding = Arc::new(holding);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let (client_in, client_out) = client.into_split();
                let (server_in, server_out) = server.into_split();
                tokio::spawn(requests(client_in, server_out));
                tokio::spawn(answers(server_in, client_out, mode.clone(), Arc::clone(&holding)));
            }
        });
        Self { address, replies, held, accepting }
    }

    /// Does something else with the replies from now on.
    pub(crate) fn set(&self, replies: Replies) {
        self.replies.send_replace(replies);
    }

    /// Waits until a reply is held.
    pub(crate) async fn wait_until_held(&mut self) {
        self.held.wait_for(|held| *held > 0).await.unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn requests(mut client: OwnedReadHalf, mut server: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut client, &mut server).await;
}

async fn answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    mut mode: watch::Receiver<Replies>,
    holding: Arc<watch::Sender<usize>>,
) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = server.read(&mut bytes).await {
        if *mode.borrow() == Replies::Hold {
            holding.send_modify(|held| *held += 1);
            if mode.wait_for(|mode| *mode != Replies::Hold).await.is_err() {
                return;
            }
        }
        if *mode.borrow() == Replies::Cut || client.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
