//! The head of an answer, read as far as a command needs it: the status, and where the body ends.

use std::ops::Range;

/// More headers than any service here sends.
const HEADERS_MAX: usize = 64;
/// An answer beyond this size is not one of ours.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Head {
    pub(in crate::cli) status: u16,
    /// Bytes of the head.
    head_bytes: usize,
    /// Bytes of the body behind it.
    body_bytes: usize,
    /// The server closes the connection behind it.
    pub(in crate::cli) closes: bool,
    /// Seconds that the server asks to wait.
    pub(in crate::cli) retry_after_s: Option<u64>,
}

impl Head {
    /// The head that `bytes` begin with; `None` where more must be read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::cli) fn parse(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let head_bytes = match response.parse(bytes) {
            Ok(httparse::Status::Complete(bytes)) => bytes,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("the answer is not HTTP"),
        };
        let status = response.code.unwrap_or_default();
        let mut body_bytes = (status == 204 || status == 304).then_some(0);
        let (mut closes, mut retry_after_s) = (response.version == Some(0), None);
        for header in response.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let text = || std::str::from_utf8(header.value).unwrap_or_default().trim();
            if is("content-length") {
                body_bytes = Some(text().parse().map_err(|_| "the answer's Content-Length is no number")?);
            } else if is("connection") {
                closes = text().eq_ignore_ascii_case("close");
            } else if is("retry-after") {
                retry_after_s = text().parse().ok();
            }
        }
        match body_bytes {
            Some(body_bytes) if body_bytes <= BODY_BYTES_MAX => {
                Ok(Some(Self { status, head_bytes, body_bytes, closes, retry_after_s }))
            }
            Some(_) => Err("the answer is too long"),
            None => Err("the answer has no Content-Length"),
        }
    }

    /// Bytes of the whole answer.
    pub(in crate::cli) fn bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }

    /// Where the body lies.
    pub(in crate::cli) fn body(&self) -> Range<usize> {
        self.head_bytes..self.bytes()
    }

    /// Whether the request was taken.
    pub(in crate::cli) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\ncontent-length: 5\r\n\r\nhello";

    #[test]
    fn an_answer_in_pieces_is_known_once_its_head_is_there() {
        let head_bytes = ANSWER.len() - 5;
        for read in 0..ANSWER.len() {
            let head = Head::parse(&ANSWER[..read]).unwrap();
            assert_eq!(head.is_some(), read >= head_bytes, "{read}");
            assert!(head.is_none_or(|head| head.bytes() == ANSWER.len() && head.status == 202));
        }
    }

    #[test]
    fn of_two_answers_at_once_the_first_is_taken() {
        let both = [
            ANSWER,
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ]
        .concat();
        let first = Head::parse(&both).unwrap().unwrap();
        assert_eq!((&both[first.body()], first.is_success(), first.closes), (&b"hello"[..], true, false));
        let second = Head::parse(&both[first.bytes()..]).unwrap().unwrap();
        assert_eq!((second.status, second.retry_after_s, second.closes), (503, Some(7), true));
        assert!(!second.is_success());
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        for wrong in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            assert!(Head::parse(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        assert!(Head::parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().is_some());
        assert!(Head::parse(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap().unwrap().closes);
    }
}
