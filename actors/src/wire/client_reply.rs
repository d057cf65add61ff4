//! What a node answers to a client.

use bytes::{Buf as _, BufMut as _, Bytes};
use henge_kernel::{
    bucket::BucketRegister,
    causality::{Actor, Content, Context, Dot, Stamp, Version},
    coordination::{Replicas, RequestError},
    id::{ShardUid, WriteId},
    time::WallMillis,
};

use super::{
    client_request::{ContextBody, ValueBody, take},
    codec::{self, BorrowDecode, Encode, HeaderTooLong, MalformedFrame},
    control::RegisterBody,
    failure::WireError,
};
use crate::{
    api::{Answer, Got, KeyPage, Written},
    transport::Frame,
};

const KIND: u8 = 33;
/// Parts of tails are framed as frames are.
const VERSION: u8 = 1;
const REGISTER: u8 = 2;

/// The answer to a [`ClientRequest`](super::ClientRequest).
#[derive(Clone, Debug, PartialEq)]
pub enum ClientReply {
    /// To a get.
    Got(Answer<Got>),
    /// To a put or delete.
    Written(Answer<Written>),
    /// To a listing of keys.
    Keys(KeyPage),
    /// To a question about buckets: one register if one was asked for, or set.
    Buckets(Vec<BucketRegister>),
    /// A report, as JSON.
    Report(Bytes),
    /// The request failed.
    Refused(RequestError),
}

/// An answer as it travels.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientAnswer {
    /// Which request.
    pub correlation: u64,
    /// Epoch of the ring that the node knows: a client that knows an older one asks for it.
    pub epoch: u64,
    /// The answer.
    pub reply: ClientReply,
}

#[derive(Encode, BorrowDecode)]
struct Header<'a> {
    correlation: u64,
    epoch: u64,
    body: Body<'a>,
}

#[derive(Encode, BorrowDecode)]
enum Body<'a> {
    Got { replicas: (u8, u8, u8), got: GotBody },
    Written { replicas: (u8, u8, u8), context: ContextBody, dot: WireDot, got: Option<GotBody> },
    Keys { count: u16, next: Option<&'a str> },
    Buckets,
    Report,
    Refused(WireError<'a>),
}

/// What was found. In the tail: the context, then each version with its value.
#[derive(Encode, BorrowDecode)]
enum GotBody {
    NotFound,
    Deleted { context: ContextBody },
    Values { context: ContextBody, versions: u16, concurrent_delete: bool },
}

#[derive(Encode, BorrowDecode)]
struct VersionBody<'a> {
    dot: WireDot,
    stamp: u64,
    write_id: u128,
    expires_at: Option<u64>,
    value: ValueBody<'a>,
    value_bytes: u32,
}

#[derive(Encode, BorrowDecode)]
struct WireDot(u64, u64, u64);

impl From<Dot> for WireDot {
    fn from(dot: Dot) -> Self {
        Self(dot.actor.uid.0, dot.actor.epoch, dot.counter)
    }
}

impl From<WireDot> for Dot {
    fn from(WireDot(uid, epoch, counter): WireDot) -> Self {
        Self { actor: Actor { uid: ShardUid(uid), epoch }, counter }
    }
}

impl ClientReply {
    /// The frame of this reply.
    pub fn encode(&self, correlation: u64, epoch: u64) -> Result<Frame, HeaderTooLong> {
        let framed = |body: Body<'_>| codec::encode(KIND, &Header { correlation, epoch, body });
        let mut tail = Tail::default();
        let body = match self {
            Self::Got(Answer { body, replicas }) => {
                Body::Got { replicas: triple(*replicas), got: tail.put_got(body)? }
            }
            Self::Written(Answer { body: Written { context, dot, got }, replicas }) => {
                let context = tail.put_context(context)?;
                let got = got.as_ref().map(|got| tail.put_got(got)).transpose()?;
                let replicas = triple(*replicas);
                Body::Written { replicas, context, dot: (*dot).into(), got }
            }
            Self::Keys(page) => {
                tail.put_keys(&page.keys)?;
                let count = u16::try_from(page.keys.len()).map_err(|_| HeaderTooLong)?;
                Body::Keys { count, next: page.next.as_deref() }
            }
            Self::Buckets(registers) => {
                for register in registers {
                    tail.gathered.extend(codec::encode(REGISTER, &RegisterBody::of(register))?);
                }
                Body::Buckets
            }
            Self::Report(json) => {
                tail.last = json.clone();
                Body::Report
            }
            Self::Refused(error) => Body::Refused(WireError::of(error)),
        };
        let mut header = framed(body)?;
        header.extend_from_slice(&tail.gathered);
        Ok(Frame::with_tail(header, tail.last))
    }
}

impl ClientAnswer {
    /// Reads a frame from outside.
    pub fn decode(frame: &Bytes) -> Result<Self, MalformedFrame> {
        let (kind, header, mut tail) = codec::split(frame)?;
        if kind != KIND {
            return Err(MalformedFrame::UnknownKind { kind });
        }
        let Header { correlation, epoch, body } = codec::decode(kind, &header)?;
        let reply = match body {
            Body::Got { replicas, got } => {
                let body = got.own(&mut tail)?;
                ClientReply::Got(Answer { body, replicas: replicas_of(replicas) })
            }
            Body::Written { replicas, context, dot, got } => {
                let context = context.take(&mut tail)?;
                let got = got.map(|got| got.own(&mut tail)).transpose()?;
                let body = Written { context, dot: dot.into(), got };
                ClientReply::Written(Answer { body, replicas: replicas_of(replicas) })
            }
            Body::Keys { count, next } => {
                let keys = keys_of(count, &mut tail)?;
                ClientReply::Keys(KeyPage { keys, next: next.map(ToOwned::to_owned) })
            }
            Body::Buckets => ClientReply::Buckets(registers_of(&mut tail)?),
            Body::Report => ClientReply::Report(tail.split_off(0)),
            Body::Refused(error) => ClientReply::Refused(error.own()),
        };
        if tail.is_empty() {
            return Ok(Self { correlation, epoch, reply });
        }
        Err(rule(format!("{} bytes are left over behind an answer", tail.len())))
    }
}

/// What follows a header: gathered bytes, and last a value that is not copied.
#[derive(Default)]
struct Tail {
    gathered: Vec<u8>,
    last: Bytes,
}

impl Tail {
    fn put_context(&mut self, context: &Context) -> Result<ContextBody, HeaderTooLong> {
        ContextBody::put(context, &mut self.gathered)
    }

    fn put_got(&mut self, got: &Got) -> Result<GotBody, HeaderTooLong> {
        let (context, concurrent_delete) = match got {
            Got::NotFound => return Ok(GotBody::NotFound),
            Got::Deleted { context } => {
                return Ok(GotBody::Deleted { context: self.put_context(context)? });
            }
            Got::Value { context, concurrent_delete, .. }
            | Got::Siblings { context, concurrent_delete, .. } => (context, *concurrent_delete),
        };
        let context = self.put_context(context)?;
        for version in got.versions() {
            self.put_version(version)?;
        }
        let versions = u16::try_from(got.versions().len()).map_err(|_| HeaderTooLong)?;
        Ok(GotBody::Values { context, versions, concurrent_delete })
    }

    fn put_version(&mut self, version: &Version) -> Result<(), HeaderTooLong> {
        // What is found is live: there is always a value.
        let Some(value) = version.value() else { return Err(HeaderTooLong) };
        let body = VersionBody {
            dot: version.dot.into(),
            stamp: version.stamp.0,
            write_id: version.write_id.0,
            expires_at: version.expires_at.map(|at| at.0),
            value: ValueBody::of(value),
            value_bytes: u32::try_from(value.bytes.len()).map_err(|_| HeaderTooLong)?,
        };
        let before = std::mem::replace(&mut self.last, value.bytes.clone());
        self.gathered.extend_from_slice(&before);
        self.gathered.extend(codec::encode(VERSION, &body)?);
        Ok(())
    }

    /// Each key as `u16 length | bytes`.
    fn put_keys(&mut self, keys: &[Bytes]) -> Result<(), HeaderTooLong> {
        for key in keys {
            self.gathered.put_u16_le(u16::try_from(key.len()).map_err(|_| HeaderTooLong)?);
            self.gathered.extend_from_slice(key);
        }
        Ok(())
    }
}

impl GotBody {
    fn own(self, tail: &mut Bytes) -> Result<Got, MalformedFrame> {
        let (context, count, concurrent_delete) = match self {
            Self::NotFound => return Ok(Got::NotFound),
            Self::Deleted { context } => {
                return Ok(Got::Deleted { context: context.take(tail)? });
            }
            Self::Values { context, versions, concurrent_delete } => {
                (context, versions, concurrent_delete)
            }
        };
        let context = context.take(tail)?;
        let mut versions = Vec::new();
        for _ in 0..count {
            versions.push(version_of(tail)?);
        }
        if versions.len() > 1 {
            return Ok(Got::Siblings { versions, context, concurrent_delete });
        }
        let version = versions.pop().ok_or_else(|| rule("no version was found".to_owned()))?;
        Ok(Got::Value { version: Box::new(version), context, concurrent_delete })
    }
}

/// The header of a part at the beginning of `tail`.
fn part(expected: u8, tail: &mut Bytes) -> Result<Bytes, MalformedFrame> {
    let (kind, header, rest) = codec::split(tail)?;
    *tail = rest;
    if kind == expected { Ok(header) } else { Err(MalformedFrame::UnknownKind { kind }) }
}

fn version_of(tail: &mut Bytes) -> Result<Version, MalformedFrame> {
    let header = part(VERSION, tail)?;
    let body: VersionBody<'_> = codec::decode(VERSION, &header)?;
    let value = body.value.own(take(body.value_bytes, tail)?);
    let expires_at = body.expires_at.map(WallMillis);
    let (stamp, write_id) = (Stamp(body.stamp), WriteId(body.write_id));
    Ok(Version::new(body.dot.into(), Content::Value(value), stamp, write_id, expires_at))
}

fn registers_of(tail: &mut Bytes) -> Result<Vec<BucketRegister>, MalformedFrame> {
    let mut registers = Vec::new();
    while !tail.is_empty() {
        let header = part(REGISTER, tail)?;
        registers.push(codec::decode::<RegisterBody<'_>>(REGISTER, &header)?.own()?);
    }
    Ok(registers)
}

fn keys_of(count: u16, tail: &mut Bytes) -> Result<Vec<Bytes>, MalformedFrame> {
    let mut keys = Vec::with_capacity(usize::from(count).min(tail.len() / 2));
    for _ in 0..count {
        let length = tail.try_get_u16_le().map_err(|error| rule(error.to_string()))?;
        keys.push(take(length.into(), tail)?);
    }
    Ok(keys)
}

fn triple(replicas: Replicas) -> (u8, u8, u8) {
    (replicas.acks, replicas.fallbacks, replicas.homes)
}

fn replicas_of((acks, fallbacks, homes): (u8, u8, u8)) -> Replicas {
    Replicas { acks, fallbacks, homes }
}

fn rule(reason: String) -> MalformedFrame {
    MalformedFrame::Rule { reason }
}
