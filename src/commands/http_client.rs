//! HTTP/1.1 as far as the commands that speak it need: one connection, one request at a time.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, ToSocketAddrs},
};

/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 8 << 20;
/// How much room is made for each read.
const READ_BYTES: usize = 16 << 10;

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    arrived: BytesMut,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Connection {
    /// Connects.
    pub async fn open(to: impl ToSocketAddrs) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        // A request is one write: nothing is gained by waiting for more.
        stream.set_nodelay(true)?;
        Ok(Self { stream, arrived: BytesMut::new() })
    }

    /// Sends a request, whole, and waits for its answer. After an error the connection is of no
    /// use any more.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(end) = find_end_of_head(&self.arrived) {
                break self.arrived.split_to(end);
            }
            if self.arrived.len() > HEAD_BYTES_MAX {
                return Err(malformed("the head of the answer does not end"));
            }
            self.read().await?;
        };
        let mut answer = Answer::parse(&head).ok_or_else(|| malformed("it is not HTTP/1.1"))?;
        let length = match answer.header("content-length").map(str::parse::<usize>) {
            None if answer.header("transfer-encoding").is_none() => 0,
            Some(Ok(length)) if length <= BODY_BYTES_MAX => length,
            _ => return Err(malformed("the length of the answer is not told, or too great")),
        };
        while self.arrived.len() < length {
            self.read().await?;
        }
        answer.body = self.arrived.copy_to_bytes(length);
        Ok(answer)
    }

    async fn read(&mut self) -> io::Result<()> {
        self.arrived.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.arrived).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn find_end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

impl Answer {
    /// The answer with this head, still without its body.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let mut lines = str::from_utf8(head).ok()?.lines();
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self { status, headers: lines.filter_map(header).collect(), body: Bytes::new() })
    }

    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn answers_in_pieces_and_behind_each_other_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 3];
            stream.read_exact(&mut asked).await.unwrap();
            for piece in ["HTTP/1.1 300 Mul", "tiple\r\nHenge-Context: abc\r\nContent-Le"] {
                stream.write_all(piece.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
            let rest = b"ngth: 5\r\n\r\nhelloHTTP/1.1 204 No Content\r\n\r\n";
            stream.write_all(rest).await.unwrap();
        });
        let mut connection = Connection::open(to).await.unwrap();
        let first = connection.exchange(b"ask").await.unwrap();
        assert_eq!((first.status, first.header("henge-context")), (300, Some("abc")));
        assert_eq!(&first.body[..], b"hello");
        assert_eq!(connection.exchange(b"").await.unwrap().status, 204);
        server.await.unwrap();
        let ended = connection.exchange(b"").await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for head in ["", "HTTP/1.1", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"] {
            assert!(Answer::parse(head.as_bytes()).is_none(), "{head}");
        }
    }
}
