//! What we ask of single nodes, over HTTP.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::time::timeout;

use super::super::http_client::Connection;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A node's HTTP interface; the connection is kept.
pub struct Door {
    to: SocketAddr,
    connection: Option<Connection>,
}

impl Door {
    /// The one at `to`.
    pub fn new(to: SocketAddr) -> Self {
        Self { to, connection: None }
    }

    /// Reads `path`.
    pub async fn get(&mut self, path: &str) -> Result<Value, String> {
        self.send("GET", path, None).await
    }

    /// Sends `json`, if any. What is answered with success is JSON, or nothing, which is `null`.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        json: Option<&Value>,
    ) -> Result<Value, String> {
        let body = json.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.to,
            body.len()
        );
        let answer = match timeout(PATIENCE, self.exchange(request.as_bytes())).await {
            Ok(Ok(answer)) => answer,
            failed => {
                self.connection = None;
                return Err(failed.map_or_else(
                    |_| "no answer in time".to_owned(),
                    |outcome| outcome.err().map_or_else(String::new, |error| error.to_string()),
                ));
            }
        };
        match answer {
            (200..300, json) => Ok(json),
            (status, json) => Err(format!("{method} {path}: {status} {json}")),
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, Value)> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(self.to).await?),
        };
        let answer = connection.exchange(request).await?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }
}
