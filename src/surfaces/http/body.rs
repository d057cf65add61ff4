//! Bodies of requests: bounded in size, in time and in what all of them hold together.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::Payload,
    error::PayloadError,
    http::header::CONTENT_LENGTH,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use henge_actors::admission::Admission;
use tokio::time::timeout;

use super::problem::Problem;

/// How long a body may take to arrive: a megabyte over a line of 300 kbit/s.
const TIME_MAX: Duration = Duration::from_secs(30);

/// The body of a request, until it is read.
pub struct Incoming {
    payload: Payload,
    /// Whether some of it is still to come.
    unread: bool,
    declared: Option<u64>,
}

impl Incoming {
    /// The body of `request`.
    pub fn new(request: &HttpRequest, payload: Payload) -> Self {
        let unread = !matches!(payload, Payload::None);
        Self { payload, unread, declared: declared_length(request) }
    }

    /// Reads it: at most `max` bytes, and only if `room` has place for them. A longer one is
    /// refused with what `too_large` makes of its size, as far as it was counted: before anything
    /// is read if the head tells the length.
    pub async fn read(
        &mut self,
        max: u64,
        room: &Arc<Admission>,
        too_large: impl Fn(u64) -> Problem,
    ) -> Result<Bytes, Problem> {
        if let Some(size) = self.declared.filter(|size| *size > max) {
            return Err(too_large(size));
        }
        let whole = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        let _place = room.enter(whole(self.declared.unwrap_or(max)))?;
        let expected = whole(self.declared.unwrap_or_default());
        match timeout(TIME_MAX, collect(&mut self.payload, expected, max)).await {
            Ok(Ok(body)) => {
                self.unread = false;
                Ok(body)
            }
            Ok(Err(Refusal::TooLarge(size))) => Err(too_large(size)),
            Ok(Err(Refusal::Broken(error))) => {
                Err(Problem::bad_request("body", error.to_string(), "complete and well framed"))
            }
            Err(_) => Err(Problem::request_timeout(TIME_MAX)),
        }
    }

    /// Gives the answer. If nobody will read the rest of this body, the connection is closed
    /// behind it.
    ///
    /// Of a chunked body that was dropped actix would read on to its end, if it has one. Held
    /// until the answer is written, it makes actix close the connection instead, after a bounded
    /// time in which the client can read the answer.
    pub fn answer(self, response: HttpResponse) -> HttpResponse {
        if !self.unread {
            return response;
        }
        response.map_body(|_, words| LastWords { words, _unread: self.payload }.boxed())
    }
}

/// How many bytes the body has if its head says so; a chunked one does not.
fn declared_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

enum Refusal {
    TooLarge(u64),
    Broken(PayloadError),
}

/// A body of one piece, as most are, is not copied; of more it is, into room for `expected` bytes.
async fn collect(payload: &mut Payload, expected: usize, max: u64) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(Refusal::Broken)?;
        let size = (first.len() + whole.len() + piece.len()) as u64;
        if size > max {
            return Err(Refusal::TooLarge(size));
        }
        if first.is_empty() && whole.is_empty() {
            first = piece;
            continue;
        }
        whole.reserve(expected.saturating_sub(whole.len()));
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&piece);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// An answer that holds what was not read of its request.
struct LastWords {
    words: BoxBody,
    _unread: Payload,
}

impl MessageBody for LastWords {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.words.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.words).poll_next(context)
    }
}
