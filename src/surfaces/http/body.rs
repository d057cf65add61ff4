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
    http::{ConnectionType, header::CONTENT_LENGTH},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use henge_actors::admission::Admission;
use tokio::time::timeout;

use super::problem::Problem;

/// The longest body that is read although nobody wants it, so that its connection can go on.
const DRAINED_BYTES_MAX: u64 = 64 * 1024;
/// How long an answer waits for such a body.
const DRAIN_TIME_MAX: Duration = Duration::from_millis(200);

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

    /// Reads it within `patience`, and only if `room` has place for it. One of more than `max`
    /// bytes is refused with what `too_large` makes of its size: before anything is read if the
    /// head tells the length, else as soon as too much was counted.
    pub async fn read(
        &mut self,
        max: u64,
        patience: Duration,
        room: &Arc<Admission>,
        too_large: impl Fn(Size) -> Problem,
    ) -> Result<Bytes, Problem> {
        if let Some(size) = self.declared.filter(|size| *size > max) {
            return Err(too_large(Size::Exactly(size)));
        }
        let whole = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        let _place = room.enter(whole(self.declared.unwrap_or(max)))?;
        let expected = whole(self.declared.unwrap_or_default());
        match timeout(patience, collect(&mut self.payload, expected, max)).await {
            Ok(Ok(body)) => {
                self.unread = false;
                Ok(body)
            }
            Ok(Err(Refusal::TooLarge(size))) => Err(too_large(Size::AtLeast(size))),
            Ok(Err(Refusal::Broken)) => {
                let limit = "complete, and framed as its head says";
                Err(Problem::bad_request("body", "cut off or framed wrongly", limit))
            }
            Err(_) => Err(Problem::request_timeout("the body", patience)),
        }
    }

    /// Gives the answer. A body that nobody has read is dropped if it is short and comes at once;
    /// else the connection is closed behind the answer, which says so.
    ///
    /// Of a chunked body that was dropped actix would read on to its end, if it has one. Held
    /// until the answer is written, it makes actix close the connection instead, after a bounded
    /// time in which the client can read the answer.
    pub async fn answer(mut self, mut response: HttpResponse) -> HttpResponse {
        if !self.unread || self.drain().await {
            return response;
        }
        response.head_mut().set_connection_type(ConnectionType::Close);
        response.map_body(|_, words| LastWords { words, _unread: self.payload }.boxed())
    }

    /// Whether the rest came, was short and is gone.
    async fn drain(&mut self) -> bool {
        if self.declared.is_none_or(|length| length > DRAINED_BYTES_MAX) {
            return false;
        }
        let rest = async {
            while let Some(piece) = self.payload.next().await {
                if piece.is_err() {
                    return false;
                }
            }
            true
        };
        timeout(DRAIN_TIME_MAX, rest).await.unwrap_or(false)
    }
}

/// How many bytes the body has if its head says so; a chunked one does not.
fn declared_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What is known of the size of a body that is too large, in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    /// Its head tells.
    Exactly(u64),
    /// So much was read, and there was more to come.
    AtLeast(u64),
}

enum Refusal {
    TooLarge(u64),
    Broken,
}

/// A body of one piece, as most are, is not copied; of more it is, into room for `expected` bytes.
async fn collect(payload: &mut Payload, expected: usize, max: u64) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|_| Refusal::Broken)?;
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
