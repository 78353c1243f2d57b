//! One connection: a request is written with one call, and its answer mostly read with one.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{Head, Url};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for the answer to a batch.
const READ_BYTES: usize = 16 << 10;

/// A connection that is kept alive.
#[derive(Debug)]
pub(in crate::cli) struct Connection {
    stream: TcpStream,
    /// What was read and belongs to no answer yet.
    buffer: Vec<u8>,
    /// Bytes in front of the buffer that belong to the last answer.
    answered: usize,
}

impl Connection {
    /// Connects to the first of the addresses that answers.
    pub(in crate::cli) async fn open(addresses: &[SocketAddr]) -> io::Result<Self> {
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(addresses)).await {
            Ok(stream) => stream?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within 5 s")),
        };
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BYTES), answered: 0 })
    }

    /// Asks for a resource; the body of the answer is valid until the next.
    ///
    /// # Errors
    /// As [`Connection::exchange`].
    pub(in crate::cli) async fn get(&mut self, url: &Url, path: &str) -> io::Result<(Head, &[u8])> {
        self.exchange(format!("{}\r\n", url.head("GET", path)).as_bytes()).await
    }

    /// Sends a request and reads the answer to it, whose body is valid until the next.
    ///
    /// # Errors
    /// Where the connection broke, or the answer is none; the connection is of no use then.
    pub(in crate::cli) async fn exchange(&mut self, request: &[u8]) -> io::Result<(Head, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.drain(..self.answered);
        self.answered = 0;
        let head = loop {
            let head = Head::parse(&self.buffer).map_err(io::Error::other)?;
            if let Some(head) = head.filter(|head| self.buffer.len() >= head.bytes()) {
                break head;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
        };
        self.answered = head.bytes();
        Ok((head, &self.buffer[head.body()]))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// Answers each request (of one byte) with the next pieces, each written alone.
    fn server(answers: Vec<Vec<Vec<u8>>>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            for pieces in answers {
                stream.read_exact(&mut [0]).unwrap();
                for piece in pieces {
                    stream.write_all(&piece).unwrap();
                    thread::yield_now();
                }
            }
        });
        address
    }

    fn answer(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn answers_in_pieces_and_answers_at_once_are_told_apart() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let long = "x".repeat(100_000);
        let bytes = answer("one").iter().map(|byte| vec![*byte]).collect();
        let both = [answer("three"), answer("four")].concat();
        let address = server(vec![bytes, vec![answer(&long)], vec![both], vec![]]);
        runtime.block_on(async {
            let mut connection = Connection::open(&[address]).await.unwrap();
            for body in ["one", &long, "three", "four"] {
                let (head, read) = connection.exchange(b"?").await.unwrap();
                assert_eq!((head.status, read), (202, body.as_bytes()));
            }
            assert!(connection.exchange(b"?").await.is_err(), "the server is gone");
        });
    }
}
