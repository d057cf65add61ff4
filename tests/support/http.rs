//! A client of HTTP/1.1 that hides nothing.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::node::PATIENCE;

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The one value of a header; names are in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} was given twice: {self:?}");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The token that came with it.
    pub fn context(&self) -> String {
        self.header("henge-context").unwrap_or_else(|| panic!("no context: {self:?}")).to_owned()
    }

    /// Asserts that it is a problem as RFC 9457 and our rules have it, and gives its body.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert!(self.header("henge-request-id").is_some_and(|id| !id.is_empty()), "{self:?}");
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["type"], format!("https://henge.dev/problems/{code}"), "{body}");
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        assert!(body["fate"] == "not_applied" || body["fate"] == "unknown", "{body}");
        body
    }

    /// Asserts that a field was refused.
    pub fn refuses(&self, field: &str) -> Value {
        let body = self.problem(400, "bad_request");
        assert_eq!(body["field"], field, "{body}");
        assert_eq!(body["fate"], "not_applied", "{body}");
        assert!(body["value"].is_string() && body["limit"].is_string(), "{body}");
        body
    }
}

/// One connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Sends as long as the other side takes it; says whether it took all.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Says that nothing more will be sent; answers can still come.
    pub fn finish(&mut self) {
        // A peer that has closed already makes this fail.
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Reads one answer; one to a HEAD has no body whatever its length says.
    pub fn receive(&mut self, head: bool) -> Reply {
        let status = self.line();
        assert!(status.starts_with("HTTP/1."), "{status:?}");
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        if !head && status != 204 && status != 304 {
            reply.body.resize(length, 0);
            self.stream.read_exact(&mut reply.body).unwrap();
        }
        reply
    }

    /// Waits until the other side wants the body, so is about to read it.
    pub fn await_continue(&mut self) {
        assert_eq!(self.line(), "HTTP/1.1 100 Continue");
        assert_eq!(self.line(), "");
    }

    /// Whether the other side closes, in time and without another word.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(more) => more.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Whether a byte comes in that time.
    pub fn hears_within(&mut self, span: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(span)).unwrap();
        let heard = self.stream.fill_buf().is_ok();
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        heard
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("half a line: {line:?}")).to_owned()
    }

    /// Sends a whole request and reads its answer.
    pub fn call(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        self.send(&request(method, target, headers, body));
        self.receive(method == "HEAD")
    }
}

/// The bytes of a request to `localhost`, with a `Content-Length` if there is a body.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() || method == "PUT" || method == "POST" {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// One request on a connection of its own.
pub fn call(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    Connection::open(to).call(method, target, headers, body)
}

pub fn get(to: SocketAddr, target: &str) -> Reply {
    call(to, "GET", target, &[], b"")
}

pub fn put(to: SocketAddr, target: &str, body: impl AsRef<[u8]>) -> Reply {
    call(to, "PUT", target, &[], body.as_ref())
}

/// A put that has seen `context`.
pub fn put_over(to: SocketAddr, target: &str, context: &str, body: impl AsRef<[u8]>) -> Reply {
    call(to, "PUT", target, &[("Henge-Context", context)], body.as_ref())
}

/// A delete that has seen `context`.
pub fn delete(to: SocketAddr, target: &str, context: &str) -> Reply {
    call(to, "DELETE", target, &[("Henge-Context", context)], b"")
}
