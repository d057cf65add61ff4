//! How a record is stored and sent.
//!
//! ```text
//! stored     = format (1) | right | marks | replicated
//! replicated = format (1) | head | bodies | overwritten
//! head       = history | version count | for each version: actor's index in the history, counter,
//!              flags, stamp, write id, [expiry], checksum, [length of the body]
//! bodies     = for each value: [media type] | metadata | bytes
//! overwritten = count | for each: write id, actor's index in the history, counter, stamp, checksum
//! ```
//!
//! The head alone is what the digest is taken of. Bodies lie at the end, so that decoding slices
//! values out of the buffer and copies none.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    Actor, Content, DecodeError, Digest, Dot, History, MintRight, Record, Stamp, Version,
    body::{body_bytes, put_body, read_body},
    encoding::{Reader, malformed, put_actor, put_count, put_history, put_varint},
    overwritten::{Overwritten, Was},
};
use crate::{
    id::{NodeId, ShardUid, WriteId},
    planted::{Defect, planted},
    time::WallMillis,
};

const REPLICATED_FORMAT: u8 = 2;
const STORED_FORMAT: u8 = 1;

/// More overwritten writes than this make no record; what a record names is a matter of
/// [`OVERWRITTEN_MAX`](super::overwritten::OVERWRITTEN_MAX).
const OVERWRITTEN_READ_MAX: usize = 8;
const OVERWRITTEN_BYTES_ESTIMATE: usize = 48;

/// Flags of a version.
const IS_VALUE: u8 = 1;
const EXPIRES: u8 = 2;

impl Record {
    /// Appends the part that replicas share; its digest, as [`Record::digest`].
    pub fn encode_replicated(&self, out: &mut Vec<u8>) -> Digest {
        let overwritten = self.overwritten.iter().len() * OVERWRITTEN_BYTES_ESTIMATE;
        out.reserve(1 + self.head_bytes_estimate() + self.value_bytes() + overwritten);
        out.push(REPLICATED_FORMAT);
        let head = out.len();
        self.encode_head(out);
        let digest = Digest::of_head(out.get(head..).unwrap_or_default());
        for version in &self.versions {
            if let Content::Value(value) = &version.content {
                put_body(out, value);
            }
        }
        self.encode_overwritten(out);
        digest
    }

    /// The digest of a record in the form that replicas share, without its values: they are in the
    /// digest by their checksums. `None` for the record of nothing.
    pub fn digest_of_replicated(bytes: &[u8]) -> Result<Option<Digest>, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.format("record", REPLICATED_FORMAT)?;
        let from = reader.rest();
        let history = reader.history()?;
        read_heads(&mut reader, &history)?;
        let head = from.get(..from.len() - reader.rest().len()).unwrap_or_default();
        Ok((!history.is_empty()).then(|| Digest::of_head(head)))
    }

    /// Reads what [`Record::encode_replicated`] wrote, to the last byte. Values are slices of
    /// `bytes`. The record has neither right nor marks.
    pub fn decode_replicated(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.format("record", REPLICATED_FORMAT)?;
        let history = reader.history()?;
        let heads = read_heads(&mut reader, &history)?;
        let mut record = Self { history, ..Self::default() };
        for head in heads {
            record.versions.push(head.with_body(&mut reader, bytes)?);
        }
        record.overwritten = read_overwritten(&mut reader, &record)?;
        reader.end()?;
        Ok(record)
    }

    /// Appends the whole record: the shard's own part, then the part that replicas share; its
    /// digest.
    pub fn encode_stored(&self, out: &mut Vec<u8>) -> Digest {
        self.encode_own(out);
        self.encode_replicated(out)
    }

    /// Appends the shard's own part, with which the stored form begins.
    pub fn encode_own(&self, out: &mut Vec<u8>) {
        out.push(STORED_FORMAT);
        out.push(u8::from(self.right.is_some()));
        if let Some(right) = self.right {
            put_actor(out, right.actor);
            put_varint(out, right.next);
        }
        put_count(out, self.marks.len());
        for mark in &self.marks {
            out.extend_from_slice(&mark.0.to_be_bytes());
        }
    }

    /// The part of a stored record that replicas share, as it stands there.
    pub fn replicated_part(stored: &Bytes) -> Result<Bytes, DecodeError> {
        let mut reader = Reader::new(stored);
        reader.format("stored record", STORED_FORMAT)?;
        read_right(&mut reader)?;
        read_marks(&mut reader)?;
        Ok(stored.slice_ref(reader.rest()))
    }

    /// Reads what [`Record::encode_stored`] wrote, to the last byte, in the run of the shard that
    /// drew `shard`. A right from another run is void, and is dropped here.
    pub fn decode_stored(bytes: &Bytes, shard: ShardUid) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.format("stored record", STORED_FORMAT)?;
        let right = read_right(&mut reader)?;
        let marks = read_marks(&mut reader)?;
        let record = Self::decode_replicated(&bytes.slice_ref(reader.rest()))?;
        let good =
            |right: &MintRight| right.actor.uid == shard || planted(Defect::RightOfEarlierRun);
        Ok(Self { right: right.filter(good), marks, ..record })
    }

    /// Room for the head of all but unusual records.
    pub(super) fn head_bytes_estimate(&self) -> usize {
        16 + self.history.range_count() * 20 + self.versions.len() * 64
    }

    pub(super) fn encode_head(&self, out: &mut Vec<u8>) {
        put_history(out, &self.history);
        put_count(out, self.versions.len());
        let actors: ActorTable = self.history.actors().collect();
        for version in &self.versions {
            // Every version's dot is in the history, so its actor is found.
            put_count(out, actors.binary_search(&version.dot.actor).unwrap_or_else(|at| at));
            put_head(out, version);
        }
    }

    fn encode_overwritten(&self, out: &mut Vec<u8>) {
        put_count(out, self.overwritten.iter().len());
        if self.overwritten.iter().len() == 0 {
            return;
        }
        let actors: ActorTable = self.history.actors().collect();
        for Was { write_id, dot, stamp, checksum } in self.overwritten.iter() {
            out.extend_from_slice(&write_id.0.to_be_bytes());
            put_count(out, actors.binary_search(&dot.actor).unwrap_or_else(|at| at));
            put_varint(out, dot.counter);
            put_varint(out, stamp.0);
            out.extend_from_slice(&checksum.to_be_bytes());
        }
    }
}

/// The actors of a history, by index.
type ActorTable = SmallVec<[Actor; 4]>;

fn put_head(out: &mut Vec<u8>, version: &Version) {
    let is_value = if version.content.is_value() { IS_VALUE } else { 0 };
    let expires = if version.expires_at.is_some() { EXPIRES } else { 0 };
    put_varint(out, version.dot.counter);
    out.push(is_value | expires);
    put_varint(out, version.stamp.0);
    out.extend_from_slice(&version.write_id.0.to_be_bytes());
    if let Some(end) = version.expires_at {
        put_varint(out, end.0);
    }
    out.extend_from_slice(&version.checksum.to_be_bytes());
    if let Content::Value(value) = &version.content {
        put_count(out, body_bytes(value));
    }
}

/// A version without what was written.
struct Head {
    dot: Dot,
    stamp: Stamp,
    write_id: WriteId,
    expires_at: Option<WallMillis>,
    checksum: u128,
    /// Bytes of the value's body; `None` for a tombstone.
    body: Option<usize>,
}

impl Head {
    fn read(reader: &mut Reader<'_>, actors: &ActorTable) -> Result<Self, DecodeError> {
        let actor = actors.get(reader.count()?).ok_or(malformed("a version of no known actor"))?;
        let dot = Dot { actor: *actor, counter: reader.varint()? };
        let flags = reader.byte()?;
        if ![0, IS_VALUE, IS_VALUE | EXPIRES].contains(&flags) {
            return Err(malformed("unknown flags of a version"));
        }
        let (stamp, write_id) = (Stamp(reader.varint()?), WriteId(reader.u128()?));
        let expires = flags & EXPIRES != 0;
        let expires_at = expires.then(|| reader.varint().map(WallMillis)).transpose()?;
        let checksum = reader.u128()?;
        let is_value = flags & IS_VALUE != 0;
        let body = is_value.then(|| reader.count()).transpose()?;
        Ok(Self { dot, stamp, write_id, expires_at, checksum, body })
    }

    fn with_body(self, reader: &mut Reader<'_>, bytes: &Bytes) -> Result<Version, DecodeError> {
        let content = match self.body {
            Some(length) => Content::Value(read_body(reader.take(length)?, bytes)?),
            None => Content::Tombstone,
        };
        let Self { dot, stamp, write_id, expires_at, checksum, .. } = self;
        Ok(Version { dot, content, stamp, write_id, expires_at, checksum })
    }
}

/// The heads of all versions; each takes more bytes of the input than 30, so their number is
/// bounded by what was received.
fn read_heads(
    reader: &mut Reader<'_>,
    history: &History,
) -> Result<SmallVec<[Head; 2]>, DecodeError> {
    let actors: ActorTable = history.actors().collect();
    let mut heads: SmallVec<[Head; 2]> = SmallVec::new();
    for _ in 0..reader.count()? {
        let head = Head::read(reader, &actors)?;
        if heads.last().is_some_and(|last| last.dot >= head.dot) {
            return Err(malformed("versions out of order"));
        }
        if !history.contains(head.dot) {
            return Err(malformed("a version that the history does not name"));
        }
        heads.push(head);
    }
    if heads.is_empty() && !history.is_empty() {
        return Err(malformed("a history without a version"));
    }
    Ok(heads)
}

fn read_overwritten(reader: &mut Reader<'_>, record: &Record) -> Result<Overwritten, DecodeError> {
    let count = reader.count()?;
    if count > OVERWRITTEN_READ_MAX {
        return Err(malformed("too many overwritten writes"));
    }
    let actors: ActorTable = record.history.actors().collect();
    let mut read: SmallVec<[Was; 1]> = SmallVec::with_capacity(count);
    for _ in 0..count {
        let write_id = WriteId(reader.u128()?);
        let actor = *actors.get(reader.count()?).ok_or(malformed("a write of no known actor"))?;
        let dot = Dot { actor, counter: reader.varint()? };
        let was = Was { write_id, dot, stamp: Stamp(reader.varint()?), checksum: reader.u128()? };
        if !record.history.contains(dot) || record.versions.iter().any(|held| held.dot == dot) {
            return Err(malformed("a write that was not overwritten"));
        }
        if read.last().is_some_and(|last| !last.is_before(&was)) {
            return Err(malformed("overwritten writes out of order"));
        }
        if read.iter().any(|held| held.write_id == write_id) {
            return Err(malformed("a write that was overwritten twice"));
        }
        read.push(was);
    }
    Ok(Overwritten::from_ordered(read))
}

fn read_right(reader: &mut Reader<'_>) -> Result<Option<MintRight>, DecodeError> {
    match reader.byte()? {
        0 => Ok(None),
        1 => match (reader.actor()?, reader.varint()?) {
            (_, 0) => Err(malformed("a right whose next dot names no write")),
            (actor, next) => Ok(Some(MintRight { actor, next })),
        },
        _ => Err(malformed("neither a right nor none")),
    }
}

fn read_marks(reader: &mut Reader<'_>) -> Result<Vec<NodeId>, DecodeError> {
    let mut marks = Vec::new();
    for _ in 0..reader.count()? {
        let mark = NodeId(reader.u64()?);
        if marks.last().is_some_and(|last| *last >= mark) {
            return Err(malformed("marks out of order"));
        }
        marks.push(mark);
    }
    Ok(marks)
}
