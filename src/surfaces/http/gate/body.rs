//! Follows the body of a request to its end, where the next head begins.

use actix_codec::Decoder as _;
use actix_http::h1::{Codec, Message};
use bytes::BytesMut;

/// A body that is not chunked, though its head says so.
#[derive(Debug)]
pub struct IllFramed;

/// What is still to come of a body.
pub enum Body {
    /// Nothing.
    Done,
    /// That many bytes, at least one.
    Length(u64),
    /// Chunks; actix-http's own decoder knows where they end.
    Chunked(Box<Codec>),
    /// Whatever comes.
    Endless,
}

impl Body {
    /// Whether a head comes next.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Moves on into bytes that it has not seen; says how many of them, from the front, are its own.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, IllFramed> {
        let (taken, done) = match self {
            Self::Done => (0, true),
            Self::Endless => (bytes.len(), false),
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                (taken, *left == 0)
            }
            Self::Chunked(codec) => take_chunks(codec, bytes)?,
        };
        if done {
            *self = Self::Done;
        }
        Ok(taken)
    }
}

/// How many of `bytes` belong to the body that `codec` is in, and whether it ends there.
fn take_chunks(codec: &mut Codec, bytes: &[u8]) -> Result<(usize, bool), IllFramed> {
    let mut rest = BytesMut::from(bytes);
    while let Some(message) = codec.decode(&mut rest).map_err(|_| IllFramed)? {
        if let Message::Chunk(None) = message {
            return Ok((bytes.len() - rest.len(), true));
        }
    }
    Ok((bytes.len() - rest.len(), false))
}
