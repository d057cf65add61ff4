//! HTTP as a door.

use std::fmt::Write as _;

use bytes::Bytes;
use henge_kernel::key::Key;

use super::{failed, load::Door};
use crate::{
    cli::BenchArgs,
    commands::{
        failure::Failure,
        http_client::{Answer, Connection},
        words::percent_encoded,
    },
};

/// One client with a connection of its own.
pub struct HttpDoor {
    connection: Option<Connection>,
    to: String,
    /// What follows the path of a get, and of a put.
    queries: (String, String),
}

impl HttpDoor {
    /// Connects to a node.
    pub async fn open(to: &str, args: &BenchArgs) -> Result<Self, Failure> {
        let connection = Connection::open(to).await;
        let connection =
            connection.map_err(|error| failed(&format!("no connection to {to}: {error}")))?;
        let query = |name: &str, number: Option<u8>| {
            number.map_or_else(String::new, |number| format!("?{name}={number}"))
        };
        let queries = (query("r", args.r), query("w", args.w));
        Ok(Self { connection: Some(connection), to: to.to_owned(), queries })
    }

    /// A connection that failed is opened anew.
    async fn exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        let lost = |error: std::io::Error| format!("connection: {error}");
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.to).await.map_err(lost)?,
        };
        let answer = connection.exchange(request).await.map_err(lost)?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    fn head(&self, method: &str, key: &Key, query: &str) -> String {
        let (bucket, name) = (percent_encoded(key.bucket()), percent_encoded(key.key()));
        format!("{method} /v1/kv/{bucket}/{name}{query} HTTP/1.1\r\nHost: {}\r\n", self.to)
    }
}

impl Door for HttpDoor {
    /// The token.
    type Context = String;

    async fn get(&mut self, key: &Key) -> Result<Option<String>, String> {
        let request = self.head("GET", key, &self.queries.0) + "\r\n";
        let answer = self.exchange(request.as_bytes()).await?;
        match answer.status {
            200 | 300 => Ok(Some(context(&answer))),
            404 => Ok(None),
            _ => Err(refusal(&answer)),
        }
    }

    async fn put(
        &mut self,
        key: &Key,
        value: Bytes,
        context_seen: String,
    ) -> Result<String, String> {
        let mut head = self.head("PUT", key, &self.queries.1);
        if !context_seen.is_empty() {
            // Writing into a string cannot fail, here and below.
            let _ = write!(head, "Henge-Context: {context_seen}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", value.len());
        let request = [head.as_bytes(), &value].concat();
        let answer = self.exchange(&request).await?;
        if answer.status == 204 { Ok(context(&answer)) } else { Err(refusal(&answer)) }
    }
}

fn context(answer: &Answer) -> String {
    answer.header("henge-context").unwrap_or_default().to_owned()
}

/// The code of a problem, which is the same for all requests that failed alike.
fn refusal(answer: &Answer) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = problem["code"].as_str().unwrap_or("no reason told");
    format!("{}: {code}", answer.status)
}
