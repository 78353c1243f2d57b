//! A reader of server-sent events.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    net::TcpStream,
};

use serde_json::Value;

use super::{PATIENCE, client::request, server::Server};

/// A stream of events that is open.
pub(crate) struct Events {
    lines: BufReader<Chunks>,
}

/// The bytes of a body that comes in chunks.
struct Chunks {
    stream: BufReader<TcpStream>,
    /// Of the present chunk.
    left: usize,
    is_over: bool,
}

impl Events {
    /// Asks for a stream, and returns when it has begun.
    pub(crate) fn open(server: &Server, path: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&request("GET", path, &[], b"")).unwrap();
        let mut stream = BufReader::new(stream);
        let status = line_of(&mut stream).unwrap();
        let mut headers = HashMap::new();
        while let Some((name, value)) = line_of(&mut stream).unwrap().split_once(": ") {
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        assert!(status.starts_with("HTTP/1.1 200 "), "{path}: {status}");
        for (name, value) in
            [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
        {
            assert_eq!(headers.get(name).map(String::as_str), Some(value), "{path}: {headers:?}");
        }
        let mut lines = BufReader::new(Chunks { stream, left: 0, is_over: false });
        assert_eq!(line_of(&mut lines).unwrap(), ": connected", "{path}");
        Self { lines }
    }

    /// The next event: its name and its data; `None` where the stream has come to its end.
    ///
    /// # Errors
    /// Where the connection broke, or nothing comes.
    pub(crate) fn try_next(&mut self) -> io::Result<Option<(String, Value)>> {
        let (mut name, mut data) = (String::new(), Vec::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("id", _)) => {}
                Some(("data", value)) => data.push(value.to_owned()),
                _ if line == "\n" && !data.is_empty() => {
                    let data = serde_json::from_str(&data.join("\n")).unwrap();
                    return Ok(Some((name, data)));
                }
                // The end of a comment, or a comment.
                _ => assert!(line == "\n" || line.starts_with(':'), "{line:?}"),
            }
        }
    }

    /// Whether the server broke the connection. To be asked once, and nothing is read after it.
    pub(crate) fn is_broken(&mut self) -> bool {
        self.lines.get_mut().stream.get_mut().take_error().unwrap().is_some()
    }

    /// The next event, which comes.
    pub(crate) fn next(&mut self) -> (String, Value) {
        self.try_next().unwrap().expect("the stream goes on")
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.is_over {
            self.left = usize::from_str_radix(&line_of(&mut self.stream)?, 16).map_err(io::Error::other)?;
            if self.left == 0 {
                self.is_over = true;
                line_of(&mut self.stream)?;
            }
        }
        let length = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..length])?;
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        if self.left == 0 && !self.is_over {
            line_of(&mut self.stream)?;
        }
        Ok(read)
    }
}

fn line_of(stream: &mut impl io::BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
