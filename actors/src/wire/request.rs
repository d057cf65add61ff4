//! What one shard asks of another.

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::{
    bucket::{Durability, RegisterVersion},
    causality::{Content, Context, Digest, Value},
    coordination::Generation,
    id::{NodeId, WriteId},
    key::{Key, PartitionId, Token},
    time::WallMillis,
};

use super::{
    RequestFrame,
    codec::{self, BorrowDecode, Encode, HeaderTooLong, MalformedFrame},
    fences::FenceQuestion,
    seal::{self, NO_KEY},
    trees::TreeQuestion,
};
use crate::{
    api::{KeyPosition, KeyRange},
    transport::Frame,
};

pub(super) const KIND: u8 = 1;

/// A request to a shard of a peer.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerRequest {
    /// Answer with the record of a key.
    Read {
        /// Which.
        key: Key,
        /// The digest that the asker has already.
        known: Option<Digest>,
        /// The bucket properties that the asker used.
        properties: Option<RegisterVersion>,
    },
    /// Merge a record.
    Store {
        /// Of which key.
        key: Key,
        /// The record in its replicated form: the frame's tail.
        record: Bytes,
        /// The lowest generation under which it was read.
        generation: Generation,
        /// The home for which the receiver, a fallback, is to keep it.
        stands_in_for: Option<NodeId>,
        /// Whether to answer only when it is on the disk, after fdatasync.
        durable: bool,
        /// The bucket properties that the asker used.
        properties: Option<RegisterVersion>,
    },
    /// Mint and replicate a write: the asker is not a home of the key.
    Write(ForwardedWrite),
    /// List keys of a partition.
    List {
        /// Which partition.
        partition: PartitionId,
        /// Which keys of it.
        range: KeyRange,
    },
    /// Say something of trees of digests; the question is the frame's tail.
    Trees(TreeQuestion),
    /// Say or do something about reaping; the question is the frame's tail.
    Fence(FenceQuestion),
}

/// A write on its way to a home, with what the client chose.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardedWrite {
    /// Which key.
    pub key: Key,
    /// The value or tombstone; a value's bytes are the frame's tail.
    pub content: Content,
    /// What the client has seen.
    pub context: Context,
    /// Names the write across forwards and retries.
    pub write_id: WriteId,
    /// When the version expires: made absolute by the node that first took the put.
    pub expires_at: Option<WallMillis>,
    /// Acknowledgements that the client wants.
    pub w: u8,
    /// Of them, from homes.
    pub pw: u8,
    /// Whether fallbacks may count.
    pub sloppy: bool,
    /// When a replica may acknowledge.
    pub durability: Durability,
    /// Whether the answer carries the record.
    pub return_body: bool,
    /// The lowest generation under which the asker knows the partition.
    pub generation: Generation,
    /// The bucket properties that the asker used.
    pub properties: Option<RegisterVersion>,
}

#[derive(Encode, BorrowDecode)]
struct Header<'a> {
    correlation: u64,
    seal: u64,
    remaining_ms: u32,
    body: Body<'a>,
}

#[derive(Encode, BorrowDecode)]
enum Body<'a> {
    Read {
        key: WireKey<'a>,
        known: Option<u128>,
        properties: Option<Named>,
    },
    Store {
        key: WireKey<'a>,
        generation: u64,
        stands_in_for: Option<u64>,
        durable: bool,
        properties: Option<Named>,
    },
    Write(WriteBody<'a>),
    List {
        partition: u16,
        bucket: &'a [u8],
        prefix: &'a [u8],
        after: Option<(u64, &'a [u8])>,
        limit: u16,
    },
    Trees,
    Fence,
}

#[derive(Encode, BorrowDecode)]
struct WriteBody<'a> {
    key: WireKey<'a>,
    content: ContentBody<'a>,
    context: &'a [u8],
    write_id: u128,
    expires_at: Option<u64>,
    w: u8,
    pw: u8,
    sloppy: bool,
    periodic: bool,
    return_body: bool,
    generation: u64,
    properties: Option<Named>,
}

#[derive(Encode, BorrowDecode)]
enum ContentBody<'a> {
    Value { content_type: Option<&'a str>, meta: Vec<(&'a str, &'a str)> },
    Tombstone,
}

#[derive(Encode, BorrowDecode)]
pub(super) struct WireKey<'a>(&'a [u8], &'a [u8]);

#[derive(Encode, BorrowDecode)]
struct Named(u64, u64);

impl From<RegisterVersion> for Named {
    fn from(version: RegisterVersion) -> Self {
        Self(version.counter, version.setter.0)
    }
}

impl From<Named> for RegisterVersion {
    fn from(Named(counter, setter): Named) -> Self {
        Self { counter, setter: NodeId(setter) }
    }
}

impl<'a> WireKey<'a> {
    pub(super) fn of(key: &'a Key) -> Self {
        Self(key.bucket(), key.key())
    }

    pub(super) fn own(self) -> Result<Key, MalformedFrame> {
        // Copied out of the receive buffer: a key may be kept for long.
        Key::new(Bytes::copy_from_slice(self.0), Bytes::copy_from_slice(self.1))
            .map_err(|error| MalformedFrame::Rule { reason: error.to_string() })
    }
}

impl PeerRequest {
    /// The token of the key that it is about, if it is about one.
    pub fn about(&self) -> Token {
        match self {
            Self::Read { key, .. } | Self::Store { key, .. } => key.token(),
            Self::Write(write) => write.key.token(),
            Self::List { .. } | Self::Trees(_) | Self::Fence(_) => NO_KEY,
        }
    }

    /// The frame of this request. `remaining` is the time that its asker still waits.
    pub fn encode(&self, correlation: u64, remaining: Duration) -> Result<Frame, HeaderTooLong> {
        let remaining_ms = u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX);
        let mut context = Vec::new();
        let (body, tail) = match self {
            Self::Read { key, known, properties } => {
                let known = known.map(|digest| digest.0);
                let properties = properties.map(Named::from);
                (Body::Read { key: WireKey::of(key), known, properties }, Bytes::new())
            }
            Self::Store { key, record, generation, stands_in_for, durable, properties } => {
                let body = Body::Store {
                    key: WireKey::of(key),
                    generation: generation.0,
                    stands_in_for: stands_in_for.map(|home| home.0),
                    durable: *durable,
                    properties: properties.map(Named::from),
                };
                (body, record.clone())
            }
            Self::Write(write) => {
                write.context.encode(&mut context);
                let tail = match &write.content {
                    Content::Value(value) => value.bytes.clone(),
                    Content::Tombstone => Bytes::new(),
                };
                (Body::Write(write.body(&context)), tail)
            }
            Self::List { partition, range } => {
                let after = range.after.as_ref().map(|place| (place.token.0, &place.key[..]));
                let body = Body::List {
                    partition: partition.0,
                    bucket: &range.bucket,
                    prefix: &range.prefix,
                    after,
                    limit: range.limit,
                };
                (body, Bytes::new())
            }
            Self::Trees(question) => (Body::Trees, question.encode()),
            Self::Fence(question) => (Body::Fence, question.encode()),
        };
        let seal = seal::seal(self.about(), &tail);
        let header = Header { correlation, seal, remaining_ms, body };
        Ok(Frame::with_tail(codec::encode(KIND, &header)?, tail))
    }

    /// Reads a frame from outside.
    pub(super) fn decode(header: &Bytes, mut tail: Bytes) -> Result<RequestFrame, MalformedFrame> {
        let Header { correlation, seal, remaining_ms, body } = codec::decode(KIND, header)?;
        let about = seal::about(seal, &tail);
        let mut take = || tail.split_off(0);
        let request = match body {
            Body::Read { key, known, properties } => Self::Read {
                key: key.own()?,
                known: known.map(Digest),
                properties: properties.map(RegisterVersion::from),
            },
            Body::Store { key, generation, stands_in_for, durable, properties } => Self::Store {
                key: key.own()?,
                record: take(),
                generation: Generation(generation),
                stands_in_for: stands_in_for.map(NodeId),
                durable,
                properties: properties.map(RegisterVersion::from),
            },
            Body::Write(body) => Self::Write(body.own(take())?),
            Body::List { partition, bucket, prefix, after, limit } => {
                let after = after.map(|(token, key)| KeyPosition {
                    token: Token(token),
                    key: Bytes::copy_from_slice(key),
                });
                let range = KeyRange {
                    bucket: Bytes::copy_from_slice(bucket),
                    prefix: Bytes::copy_from_slice(prefix),
                    after,
                    limit,
                };
                Self::List { partition: PartitionId(partition), range }
            }
            Body::Trees => Self::Trees(TreeQuestion::decode(take())?),
            Body::Fence => Self::Fence(FenceQuestion::decode(take())?),
        };
        no_more(&tail)?;
        let remaining = Duration::from_millis(remaining_ms.into());
        Ok(RequestFrame::Request { correlation, remaining, about, request })
    }
}

/// Refuses a tail where none belongs.
pub(super) fn no_more(tail: &Bytes) -> Result<(), MalformedFrame> {
    if tail.is_empty() {
        return Ok(());
    }
    let reason = format!("{} bytes are left over behind a header", tail.len());
    Err(MalformedFrame::Rule { reason })
}

impl ForwardedWrite {
    fn body<'a>(&'a self, context: &'a [u8]) -> WriteBody<'a> {
        let content = match &self.content {
            Content::Value(value) => ContentBody::Value {
                content_type: value.content_type.as_deref(),
                meta: value.meta.iter().map(|(name, text)| (&**name, &**text)).collect(),
            },
            Content::Tombstone => ContentBody::Tombstone,
        };
        WriteBody {
            key: WireKey::of(&self.key),
            content,
            context,
            write_id: self.write_id.0,
            expires_at: self.expires_at.map(|at| at.0),
            w: self.w,
            pw: self.pw,
            sloppy: self.sloppy,
            periodic: self.durability == Durability::Periodic,
            return_body: self.return_body,
            generation: self.generation.0,
            properties: self.properties.map(Named::from),
        }
    }
}

impl WriteBody<'_> {
    fn own(self, tail: Bytes) -> Result<ForwardedWrite, MalformedFrame> {
        let content = match self.content {
            ContentBody::Value { content_type, meta } => Content::Value(Value {
                bytes: tail,
                content_type: content_type.map(Into::into),
                meta: meta.into_iter().map(|(name, text)| (name.into(), text.into())).collect(),
            }),
            ContentBody::Tombstone => {
                no_more(&tail)?;
                Content::Tombstone
            }
        };
        let context = Context::decode(self.context)
            .map_err(|error| MalformedFrame::Rule { reason: error.to_string() })?;
        let durability = if self.periodic { Durability::Periodic } else { Durability::Os };
        Ok(ForwardedWrite {
            key: self.key.own()?,
            content,
            context,
            write_id: WriteId(self.write_id),
            expires_at: self.expires_at.map(WallMillis),
            w: self.w,
            pw: self.pw,
            sloppy: self.sloppy,
            durability,
            return_body: self.return_body,
            generation: Generation(self.generation),
            properties: self.properties.map(RegisterVersion::from),
        })
    }
}
