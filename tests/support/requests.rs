//! HTTP/1.1 against nodes that may be gone: one connection a request, and an error instead of an
//! answer is an outcome like others (`http.rs` takes neither).

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than any request may take; 60 s is the longest timeout that a client can ask for.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug)]
pub struct Request {
    method: &'static str,
    to: SocketAddr,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn new(method: &'static str, to: SocketAddr, path: impl Into<String>) -> Self {
        Self { method, to, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn context(self, context: &str) -> Self {
        self.header("Henge-Context", context)
    }

    pub fn body(mut self, content_type: &str, body: &str) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }

    /// The whole answer, or why there is none.
    pub fn send(&self) -> io::Result<Response> {
        let mut stream = TcpStream::connect_timeout(&self.to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let Self { method, to, path, headers, body } = self;
        let mut head = Vec::new();
        write!(head, "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n")?;
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n")?;
        }
        write!(head, "Content-Length: {}\r\n\r\n", body.len())?;
        head.extend_from_slice(body);
        stream.write_all(&head)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Response::parse(&String::from_utf8_lossy(&answer))
            .ok_or_else(|| io::Error::other("the answer is not HTTP/1.1"))
    }
}

impl Response {
    fn parse(answer: &str) -> Option<Self> {
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let (first, rest) = head.split_once("\r\n")?;
        let headers = rest.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self {
            status: first.split(' ').nth(1)?.parse().ok()?,
            headers: headers.collect(),
            body: body.to_owned(),
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn context(&self) -> &str {
        self.header("henge-context").unwrap_or_else(|| panic!("no context: {self:?}"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The values of a 300, in the order of the alphabet.
    pub fn siblings(&self) -> Vec<String> {
        let json = self.json();
        let siblings = json["siblings"].as_array().into_iter().flatten();
        let mut values: Vec<String> =
            siblings.filter_map(|sibling| Some(sibling["value"].as_str()?.to_owned())).collect();
        values.sort_unstable();
        values
    }
}
