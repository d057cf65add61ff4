//! What a client asks of a node.

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketChange, Durability},
    causality::{Context, Seal, Value},
    coordination::{DeleteOptions, PutOptions, ReadOptions},
    id::WriteId,
    key::Key,
    time::whole_micros,
};

use super::{
    codec::{self, BorrowDecode, Encode, HeaderTooLong, MalformedFrame},
    request::WireKey,
};
use crate::{api::KeyQuery, transport::Frame};

const KIND: u8 = 32;

/// A request of a client. Options that the client leaves open are the bucket's.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientRequest {
    /// Read a key.
    Get {
        /// Which.
        key: Key,
        /// How.
        options: ReadOptions,
    },
    /// Write a value. Context and value are the frame's tail.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Value,
        /// How, and in the place of what.
        options: PutOptions,
    },
    /// Delete what a context covers. The context is the frame's tail.
    Delete {
        /// Where.
        key: Key,
        /// How, and what.
        options: DeleteOptions,
    },
    /// One page of the keys of a bucket.
    Keys {
        /// Which bucket.
        bucket: Bytes,
        /// Which of its keys.
        query: KeyQuery,
    },
    /// The properties of a bucket.
    Bucket {
        /// Which.
        bucket: Bytes,
    },
    /// Set properties of a bucket. They are the frame's tail, as JSON.
    SetBucket {
        /// Which.
        bucket: Bytes,
        /// Which properties.
        change: BucketChange,
    },
    /// All buckets that the node knows.
    Buckets,
    /// What the node knows of itself and its cluster, as JSON.
    Report(ReportOf),
}

/// What a client wants to be told about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportOf {
    /// What it needs to send each request to a home of its key.
    Routing,
    /// The members.
    Cluster,
    /// The ring.
    Ring,
    /// The preference list of a key.
    Preference(Key),
    /// The node's own record of a key.
    Replica(Key),
    /// The actors.
    Actors,
    /// What the node keeps for homes that are away.
    Hints,
    /// How far its replicas and those of its peers are the same.
    AntiEntropy,
}

/// A request as it travels.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientQuestion {
    /// Names the request within its link; comes back with the answer.
    pub correlation: u64,
    /// What is asked.
    pub request: ClientRequest,
}

#[derive(Encode, BorrowDecode)]
struct Header<'a> {
    correlation: u64,
    body: Body<'a>,
}

#[derive(Encode, BorrowDecode)]
enum Body<'a> {
    Get {
        key: WireKey<'a>,
        r: Option<u8>,
        pr: Option<u8>,
        sloppy: Option<bool>,
        timeout: Option<u64>,
    },
    Put {
        write: WriteBody<'a>,
        ttl: Option<u64>,
        return_body: bool,
        value: ValueBody<'a>,
    },
    Delete {
        write: WriteBody<'a>,
    },
    Keys {
        bucket: &'a [u8],
        prefix: &'a [u8],
        after: Option<&'a str>,
        limit: u16,
    },
    Bucket {
        bucket: &'a [u8],
    },
    SetBucket {
        bucket: &'a [u8],
    },
    Buckets,
    Report {
        of: ReportBody<'a>,
    },
}

/// What puts and deletes have in common. The context is the beginning of the tail.
#[derive(Encode, BorrowDecode)]
struct WriteBody<'a> {
    key: WireKey<'a>,
    context: ContextBody,
    w: Option<u8>,
    pw: Option<u8>,
    sloppy: Option<bool>,
    timeout: Option<u64>,
    periodic: Option<bool>,
    write_id: Option<u128>,
}

/// What is said of a value; its bytes are in the tail.
#[derive(Encode, BorrowDecode)]
pub(super) struct ValueBody<'a> {
    content_type: Option<&'a str>,
    meta: Vec<(&'a str, &'a str)>,
}

#[derive(Encode, BorrowDecode)]
enum ReportBody<'a> {
    Routing,
    Cluster,
    Ring,
    Preference(WireKey<'a>),
    Replica(WireKey<'a>),
    Actors,
    Hints,
    AntiEntropy,
}

impl ClientRequest {
    /// Whether it may change something.
    pub fn writes(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Delete { .. } | Self::SetBucket { .. })
    }

    /// The frame of this request.
    pub fn encode(&self, correlation: u64) -> Result<Frame, HeaderTooLong> {
        let framed = |body: Body<'_>| codec::encode(KIND, &Header { correlation, body });
        Ok(match self {
            Self::Get { key, options } => {
                let ReadOptions { r, pr, sloppy, timeout } = *options;
                let timeout = timeout.map(whole_micros);
                Frame::new(framed(Body::Get { key: WireKey::of(key), r, pr, sloppy, timeout })?)
            }
            Self::Put { key, value, options } => {
                let PutOptions { w, pw, sloppy, timeout, durability, write_id, .. } = *options;
                let mut bytes = Vec::new();
                let context = ContextBody::put(&options.context, &mut bytes)?;
                let choices = Choices { w, pw, sloppy, timeout, durability, write_id };
                let mut header = framed(Body::Put {
                    write: choices.body(key, context),
                    ttl: options.ttl.map(whole_micros),
                    return_body: options.return_body,
                    value: ValueBody::of(value),
                })?;
                header.extend_from_slice(&bytes);
                Frame::with_tail(header, value.bytes.clone())
            }
            Self::Delete { key, options } => {
                let DeleteOptions { w, pw, sloppy, timeout, durability, write_id, .. } = *options;
                let mut bytes = Vec::new();
                let context = ContextBody::put(&options.context, &mut bytes)?;
                let choices = Choices { w, pw, sloppy, timeout, durability, write_id };
                let write = choices.body(key, context);
                Frame::with_tail(framed(Body::Delete { write })?, bytes.into())
            }
            Self::Keys { bucket, query } => {
                let KeyQuery { prefix, after, limit } = query;
                let (after, limit) = (after.as_deref(), *limit);
                Frame::new(framed(Body::Keys { bucket, prefix, after, limit })?)
            }
            Self::Bucket { bucket } => Frame::new(framed(Body::Bucket { bucket })?),
            Self::SetBucket { bucket, change } => {
                let json = serde_json::to_vec(change).map_err(|_| HeaderTooLong)?;
                Frame::with_tail(framed(Body::SetBucket { bucket })?, json.into())
            }
            Self::Buckets => Frame::new(framed(Body::Buckets)?),
            Self::Report(of) => Frame::new(framed(Body::Report { of: of.body() })?),
        })
    }
}

impl ClientQuestion {
    /// Reads a frame from outside.
    pub fn decode(frame: &Bytes) -> Result<Self, MalformedFrame> {
        let (kind, header, tail) = codec::split(frame)?;
        if kind != KIND {
            return Err(MalformedFrame::UnknownKind { kind });
        }
        let Header { correlation, body } = codec::decode(kind, &header)?;
        Ok(Self { correlation, request: body.own(tail)? })
    }
}

impl Body<'_> {
    fn own(self, mut tail: Bytes) -> Result<ClientRequest, MalformedFrame> {
        let copied = Bytes::copy_from_slice;
        let request = match self {
            Self::Get { key, r, pr, sloppy, timeout } => {
                let timeout = timeout.map(Duration::from_micros);
                let options = ReadOptions { r, pr, sloppy, timeout };
                ClientRequest::Get { key: key.own()?, options }
            }
            Self::Put { write, ttl, return_body, value } => {
                let context = write.context.take(&mut tail)?;
                let (key, Choices { w, pw, sloppy, timeout, durability, write_id }) =
                    write.own()?;
                let ttl = ttl.map(Duration::from_micros);
                let options = PutOptions {
                    context,
                    w,
                    pw,
                    sloppy,
                    timeout,
                    ttl,
                    durability,
                    write_id,
                    return_body,
                };
                return Ok(ClientRequest::Put { key, value: value.own(tail), options });
            }
            Self::Delete { write } => {
                let context = write.context.take(&mut tail)?;
                let (key, Choices { w, pw, sloppy, timeout, durability, write_id }) =
                    write.own()?;
                let options =
                    DeleteOptions { context, w, pw, sloppy, timeout, durability, write_id };
                ClientRequest::Delete { key, options }
            }
            Self::Keys { bucket, prefix, after, limit } => {
                let (prefix, after) = (copied(prefix), after.map(ToOwned::to_owned));
                let query = KeyQuery { prefix, after, limit };
                ClientRequest::Keys { bucket: copied(bucket), query }
            }
            Self::Bucket { bucket } => ClientRequest::Bucket { bucket: copied(bucket) },
            Self::SetBucket { bucket } => {
                let change = serde_json::from_slice(&tail.split_off(0))
                    .map_err(|error| MalformedFrame::Rule { reason: error.to_string() })?;
                ClientRequest::SetBucket { bucket: copied(bucket), change }
            }
            Self::Buckets => ClientRequest::Buckets,
            Self::Report { of } => ClientRequest::Report(of.own()?),
        };
        if tail.is_empty() {
            return Ok(request);
        }
        let reason = format!("{} bytes are left over behind a request", tail.len());
        Err(MalformedFrame::Rule { reason })
    }
}

/// What puts and deletes may choose alike.
struct Choices {
    w: Option<u8>,
    pw: Option<u8>,
    sloppy: Option<bool>,
    timeout: Option<Duration>,
    durability: Option<Durability>,
    write_id: Option<WriteId>,
}

impl Choices {
    fn body(self, key: &Key, context: ContextBody) -> WriteBody<'_> {
        WriteBody {
            key: WireKey::of(key),
            context,
            w: self.w,
            pw: self.pw,
            sloppy: self.sloppy,
            timeout: self.timeout.map(whole_micros),
            periodic: self.durability.map(|durability| durability == Durability::Periodic),
            write_id: self.write_id.map(|id| id.0),
        }
    }
}

impl WriteBody<'_> {
    fn own(self) -> Result<(Key, Choices), MalformedFrame> {
        let durability = |periodic| if periodic { Durability::Periodic } else { Durability::Os };
        let choices = Choices {
            w: self.w,
            pw: self.pw,
            sloppy: self.sloppy,
            timeout: self.timeout.map(Duration::from_micros),
            durability: self.periodic.map(durability),
            write_id: self.write_id.map(WriteId),
        };
        Ok((self.key.own()?, choices))
    }
}

impl<'a> ValueBody<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        Self {
            content_type: value.content_type.as_deref(),
            meta: value.meta.iter().map(|(name, text)| (&**name, &**text)).collect(),
        }
    }

    pub(super) fn own(self, bytes: Bytes) -> Value {
        let meta = self.meta.into_iter().map(|(name, text)| (name.into(), text.into()));
        Value { bytes, content_type: self.content_type.map(Into::into), meta: meta.collect() }
    }
}

impl ReportOf {
    fn body(&self) -> ReportBody<'_> {
        match self {
            Self::Routing => ReportBody::Routing,
            Self::Cluster => ReportBody::Cluster,
            Self::Ring => ReportBody::Ring,
            Self::Preference(key) => ReportBody::Preference(WireKey::of(key)),
            Self::Replica(key) => ReportBody::Replica(WireKey::of(key)),
            Self::Actors => ReportBody::Actors,
            Self::Hints => ReportBody::Hints,
            Self::AntiEntropy => ReportBody::AntiEntropy,
        }
    }
}

impl ReportBody<'_> {
    fn own(self) -> Result<ReportOf, MalformedFrame> {
        Ok(match self {
            Self::Routing => ReportOf::Routing,
            Self::Cluster => ReportOf::Cluster,
            Self::Ring => ReportOf::Ring,
            Self::Preference(key) => ReportOf::Preference(key.own()?),
            Self::Replica(key) => ReportOf::Replica(key.own()?),
            Self::Actors => ReportOf::Actors,
            Self::Hints => ReportOf::Hints,
            Self::AntiEntropy => ReportOf::AntiEntropy,
        })
    }
}

/// Takes `length` bytes from the beginning of `tail`, if there are so many.
pub(super) fn take(length: u32, tail: &mut Bytes) -> Result<Bytes, MalformedFrame> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > tail.len() {
        let reason = format!("{length} bytes are announced, {} are there", tail.len());
        return Err(MalformedFrame::Rule { reason });
    }
    Ok(tail.split_to(length))
}

/// What a frame says of a context whose encoding is in its tail.
#[derive(Clone, Copy, Encode, BorrowDecode)]
pub(super) struct ContextBody {
    bytes: u32,
    seal: Option<u64>,
}

impl ContextBody {
    /// Appends the encoding of `context` to `tail`.
    pub(super) fn put(context: &Context, tail: &mut Vec<u8>) -> Result<Self, HeaderTooLong> {
        let before = tail.len();
        context.encode(tail);
        let bytes = u32::try_from(tail.len() - before).map_err(|_| HeaderTooLong)?;
        Ok(Self { bytes, seal: context.seal().map(|seal| seal.0) })
    }

    /// The context at the beginning of `tail`.
    pub(super) fn take(self, tail: &mut Bytes) -> Result<Context, MalformedFrame> {
        let context = Context::decode(&take(self.bytes, tail)?)
            .map_err(|error| MalformedFrame::Rule { reason: error.to_string() })?;
        Ok(match self.seal {
            Some(seal) => context.sealed(Seal(seal)),
            None => context,
        })
    }
}
