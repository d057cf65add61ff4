//! What a shard answers: to a peer in a frame, to a coordinator beside it as it is.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use henge_kernel::{
    causality::{Actor, Context, Dot, Record, Stamp, Written},
    coordination::{Failure, Generation, Replicas, RequestError},
    id::ShardUid,
    key::Token,
    reaping::Fence,
};

use super::{
    RequestFrame,
    codec::{self, BorrowDecode, Encode, HeaderTooLong, MalformedFrame},
    failure::WireError,
    fences::FenceAnswer,
    request::no_more,
    seal,
    trees::TreeAnswer,
};
use crate::{api::KeyPosition, transport::Frame};

pub(super) const KIND: u8 = 2;

/// The answer of one replica.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerReply {
    /// It has no record of the key.
    Nothing {
        /// Whether it may count: not while it is being filled or is suspect.
        complete: bool,
    },
    /// It has the very record that the asker knows.
    Same {
        /// Whether it may count.
        complete: bool,
    },
    /// It has this record.
    Found {
        /// The record in its replicated form.
        record: Bytes,
        /// The lowest generation under which it was read.
        generation: Generation,
        /// Whether it may count.
        complete: bool,
    },
    /// It has lost what it held of the key; this came later. It does not answer a read, and is to
    /// be merged with the others.
    Quarantined {
        /// The record in its replicated form.
        record: Bytes,
        /// The lowest generation under which it was read.
        generation: Generation,
    },
    /// It has merged what it was sent, and it is written.
    Stored,
    /// What it was sent, or asked to mint, was read under an earlier generation than this one of its
    /// own: nothing was done.
    Outdated(Fence),
    /// It has minted the write (between a shard and its own coordinator only).
    Minted(Box<Minted>),
    /// It has coordinated a forwarded write.
    Written {
        /// The client's own context and the new dot.
        context: Context,
        /// The new dot.
        dot: Dot,
        /// The record, if the body was wanted.
        record: Option<Bytes>,
        /// Who stood for the write.
        replicas: Replicas,
    },
    /// Keys of a partition.
    Listed(ListedKeys),
    /// What was asked about trees; the answer is the frame's tail.
    Trees(TreeAnswer),
    /// What was asked about reaping; the answer is the frame's tail.
    Fence(FenceAnswer),
    /// It refused, or the forwarded write failed.
    Refused(RequestError),
    /// It could not answer.
    Failed(Failure),
}

/// A minted write and the record that the other homes are to merge.
#[derive(Clone, Debug, PartialEq)]
pub struct Minted {
    /// The dot and the client's new context.
    pub written: Written,
    /// The whole record.
    pub record: Arc<Record>,
    /// The same in its replicated form.
    pub encoded: Bytes,
    /// The generation under which it was minted.
    pub generation: Generation,
}

/// Live keys of one partition, in token order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedKeys {
    /// The keys.
    pub keys: Vec<KeyPosition>,
    /// Where to go on, if the partition may hold more.
    pub resume: Option<KeyPosition>,
}

#[derive(Encode, BorrowDecode)]
struct Header<'a> {
    correlation: u64,
    seal: u64,
    body: Body<'a>,
}

#[derive(Encode, BorrowDecode)]
enum Body<'a> {
    Nothing { complete: bool },
    Same { complete: bool },
    Found { generation: u64, complete: bool },
    Stored,
    Written { context: &'a [u8], dot: (u64, u64, u64), body: bool, replicas: (u8, u8, u8) },
    Listed { count: u16, resume: Option<(u64, &'a [u8])> },
    Refused(WireError<'a>),
    Failed(u8),
    Trees,
    Quarantined { generation: u64 },
    Outdated { generation: u64, finished: u64, reaped: u64 },
    Fence,
}

const FAILURES: [Failure; 4] =
    [Failure::Unreachable, Failure::Lost, Failure::Refused, Failure::Corrupt];

impl PeerReply {
    /// The frame of this reply to a request about a key, named by its token.
    pub fn encode(&self, correlation: u64, about: Token) -> Result<Frame, HeaderTooLong> {
        let mut bytes = Vec::new();
        let none = Bytes::new();
        let (body, tail) = match self {
            Self::Nothing { complete } => (Body::Nothing { complete: *complete }, none),
            Self::Same { complete } => (Body::Same { complete: *complete }, none),
            Self::Found { record, generation, complete } => {
                (Body::Found { generation: generation.0, complete: *complete }, record.clone())
            }
            Self::Quarantined { record, generation } => {
                (Body::Quarantined { generation: generation.0 }, record.clone())
            }
            Self::Stored => (Body::Stored, none),
            Self::Outdated(fence) => {
                let (generation, finished) = (fence.generation.0, fence.finished.0);
                (Body::Outdated { generation, finished, reaped: fence.reaped.0 }, none)
            }
            // Minting is asked of a peer as a forwarded write, never by itself.
            Self::Minted(_) => (Body::Failed(1), none),
            Self::Written { context, dot, record, replicas } => {
                context.encode(&mut bytes);
                let body = Body::Written {
                    context: &bytes,
                    dot: (dot.actor.uid.0, dot.actor.epoch, dot.counter),
                    body: record.is_some(),
                    replicas: (replicas.acks, replicas.fallbacks, replicas.homes),
                };
                (body, record.clone().unwrap_or_default())
            }
            Self::Listed(listed) => {
                let count = u16::try_from(listed.keys.len()).map_err(|_| HeaderTooLong)?;
                let resume = listed.resume.as_ref().map(|place| (place.token.0, &place.key[..]));
                (Body::Listed { count, resume }, listed.tail())
            }
            Self::Trees(answer) => (Body::Trees, answer.encode()),
            Self::Fence(answer) => (Body::Fence, answer.encode()),
            Self::Refused(error) => (Body::Refused(WireError::of(error)), none),
            Self::Failed(failure) => {
                let place = FAILURES.iter().position(|known| known == failure).unwrap_or(1);
                (Body::Failed(u8::try_from(place).unwrap_or(1)), none)
            }
        };
        let header = Header { correlation, seal: seal::seal(about, &tail), body };
        Ok(Frame::with_tail(codec::encode(KIND, &header)?, tail))
    }

    /// Reads a frame from outside.
    pub(super) fn decode(header: &Bytes, mut tail: Bytes) -> Result<RequestFrame, MalformedFrame> {
        let Header { correlation, seal, body } = codec::decode(KIND, header)?;
        let about = seal::about(seal, &tail);
        let mut take = || tail.split_off(0);
        let rule = |reason: String| MalformedFrame::Rule { reason };
        let reply = match body {
            Body::Nothing { complete } => Self::Nothing { complete },
            Body::Same { complete } => Self::Same { complete },
            Body::Found { generation, complete } => {
                Self::Found { record: take(), generation: Generation(generation), complete }
            }
            Body::Quarantined { generation } => {
                Self::Quarantined { record: take(), generation: Generation(generation) }
            }
            Body::Stored => Self::Stored,
            Body::Outdated { generation, finished, reaped } => {
                let (generation, finished) = (Generation(generation), Generation(finished));
                Self::Outdated(Fence { generation, finished, reaped: Stamp(reaped) })
            }
            Body::Fence => Self::Fence(FenceAnswer::decode(take())?),
            Body::Written { context, dot: (uid, epoch, counter), body, replicas } => {
                let (acks, fallbacks, homes) = replicas;
                Self::Written {
                    context: Context::decode(context).map_err(|error| rule(error.to_string()))?,
                    dot: Dot { actor: Actor { uid: ShardUid(uid), epoch }, counter },
                    record: body.then(take),
                    replicas: Replicas { acks, fallbacks, homes },
                }
            }
            Body::Listed { count, resume } => {
                let resume = resume.map(|(token, key)| KeyPosition {
                    token: Token(token),
                    key: Bytes::copy_from_slice(key),
                });
                Self::Listed(ListedKeys { keys: keys_from_tail(count, take())?, resume })
            }
            Body::Trees => Self::Trees(TreeAnswer::decode(take())?),
            Body::Refused(error) => Self::Refused(error.own()),
            Body::Failed(place) => {
                let failure = FAILURES.get(usize::from(place)).copied();
                Self::Failed(failure.ok_or_else(|| rule(format!("unknown failure {place}")))?)
            }
        };
        no_more(&tail)?;
        Ok(RequestFrame::Reply { correlation, about, reply })
    }
}

impl ListedKeys {
    /// Each key as `u64 token | u16 length | bytes`.
    fn tail(&self) -> Bytes {
        let mut tail = BytesMut::new();
        for place in &self.keys {
            tail.put_u64_le(place.token.0);
            tail.put_u16_le(u16::try_from(place.key.len()).unwrap_or(u16::MAX));
            tail.put_slice(&place.key);
        }
        tail.freeze()
    }
}

fn keys_from_tail(count: u16, mut tail: Bytes) -> Result<Vec<KeyPosition>, MalformedFrame> {
    let truncated = || MalformedFrame::Rule { reason: "a list of keys is cut off".to_owned() };
    let mut keys = Vec::with_capacity(usize::from(count).min(tail.len() / 10));
    for _ in 0..count {
        let token = Token(tail.try_get_u64_le().map_err(|_| truncated())?);
        let length = usize::from(tail.try_get_u16_le().map_err(|_| truncated())?);
        if tail.len() < length {
            return Err(truncated());
        }
        keys.push(KeyPosition { token, key: tail.split_to(length) });
    }
    no_more(&tail)?;
    Ok(keys)
}
