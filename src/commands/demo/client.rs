//! The user of the tour: requests over HTTP/1.1, each also as the `curl` line that does the same.

use std::{fmt::Write as _, io, net::SocketAddr, time::Duration};

use tokio::time::timeout;

use crate::commands::http_client::{Answer, Connection};

/// How long one request may take: more than the longest that the tour asks of a node.
const PATIENCE: Duration = Duration::from_secs(10);

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    method: &'static str,
    to: SocketAddr,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body; none of the tour's answers is anything but UTF-8.
    pub body: String,
    answer: Answer,
}

impl Request {
    /// Reads `path` at `to`.
    pub fn get(to: SocketAddr, path: impl Into<String>) -> Self {
        Self { method: "GET", to, path: path.into(), headers: Vec::new(), body: None }
    }

    /// Writes `text` to `path` at `to`.
    pub fn put(to: SocketAddr, path: impl Into<String>, text: &str) -> Self {
        let headers = vec![("Content-Type", "text/plain".to_owned())];
        Self { method: "PUT", to, path: path.into(), headers, body: Some(text.to_owned()) }
    }

    /// Puts `json` at `path` at `to`.
    pub fn put_json(to: SocketAddr, path: impl Into<String>, json: &serde_json::Value) -> Self {
        Self { method: "PUT", ..Self::post(to, path, json) }
    }

    /// Posts `json` to `path` at `to`.
    pub fn post(to: SocketAddr, path: impl Into<String>, json: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self { method: "POST", to, path: path.into(), headers, body: Some(json.to_string()) }
    }

    /// Says what the writer has seen.
    #[must_use]
    pub fn context(mut self, context: &str) -> Self {
        self.headers.push(("Henge-Context", context.to_owned()));
        self
    }

    /// The line that does the same in a shell.
    pub fn curl(&self) -> String {
        let mut line = "curl -i".to_owned();
        if self.method == "PUT" {
            line += " -X PUT";
        }
        for (name, value) in &self.headers {
            // Writing into a string cannot fail, here and below.
            let _ = write!(line, " -H '{name}: {value}'");
        }
        if let Some(body) = &self.body {
            let _ = write!(line, " -d '{body}'");
        }
        line + &format!(" 'http://{}{}'", self.to, self.path)
    }

    /// Sends the request on a connection of its own and reads the whole answer.
    pub async fn send(&self) -> io::Result<Response> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        timeout(PATIENCE, self.exchange()).await.map_err(late)?
    }

    async fn exchange(&self) -> io::Result<Response> {
        let answer = Connection::open(self.to).await?.exchange(self.text().as_bytes()).await?;
        Ok(answer.into())
    }

    fn text(&self) -> String {
        let Self { method, to, path, headers, body } = self;
        let body = body.as_deref().unwrap_or_default();
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
        for (name, value) in headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if self.body.is_some() {
            let _ = write!(text, "Content-Length: {}\r\n", body.len());
        }
        text + "\r\n" + body
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        Self { status: answer.status, body, answer }
    }
}

impl Response {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.header(name)
    }

    /// What the reader has seen, or the writer has seen and written.
    pub fn context(&self) -> Option<&str> {
        self.header("henge-context")
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// One line for people: the status, and what was said.
    pub fn summary(&self) -> String {
        let json = self.json();
        let said = match (json.get("siblings"), json.get("code"), json.get("detail")) {
            (Some(siblings), ..) => {
                let values =
                    siblings.as_array().into_iter().flatten().map(|sibling| &sibling["value"]);
                values.map(ToString::to_string).collect::<Vec<_>>().join(" and ")
            }
            (_, Some(code), Some(detail)) => {
                let text =
                    |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                format!("{}: {}", text(code), text(detail))
            }
            _ if self.body.is_empty() => String::new(),
            _ if json.is_object() => return self.status.to_string(),
            _ => format!("{:?}", self.body),
        };
        format!("{} {said}", self.status).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_summed_up() {
        let head = b"HTTP/1.1 300 Multiple Choices\r\nHenge-Context: abc\r\n\r\n";
        let body = br#"{"siblings":[{"value":"x"},{"value":"y"}]}"#;
        let mut answer = Answer::parse(head).unwrap();
        answer.body = body[..].into();
        let response = Response::from(answer);
        assert_eq!((response.status, response.context()), (300, Some("abc")));
        assert_eq!(response.summary(), r#"300 "x" and "y""#);
    }

    #[test]
    fn the_curl_line_says_what_is_sent() {
        let request = Request::put(([127, 0, 0, 1], 7480).into(), "/v1/kv/b/k?w=1", "milk");
        assert_eq!(
            request.context("abc").curl(),
            "curl -i -X PUT -H 'Content-Type: text/plain' -H 'Henge-Context: abc' -d 'milk' \
             'http://127.0.0.1:7480/v1/kv/b/k?w=1'"
        );
    }
}
