//! Versions: what one write left behind.

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3Default;

use super::{Dot, Meta};
use crate::{id::WriteId, time::WallMillis};

/// What a client stored, with what it said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// The body. Decoded values are slices of the buffer that they came in.
    pub bytes: Bytes,
    /// The media type, if the client gave one.
    pub content_type: Option<Box<str>>,
    /// The client's own names and values; ordered by name in what is written.
    pub meta: Meta,
}

impl Value {
    /// A body of which nothing else is said.
    pub fn plain(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }

    /// A text, in UTF-8 and marked as such.
    pub fn text(text: impl Into<String>) -> Self {
        let content_type = Some("text/plain; charset=utf-8".into());
        Self { bytes: text.into().into(), content_type, meta: Vec::new() }
    }

    /// The body as text, if it is UTF-8; whatever the media type says.
    pub fn as_text(&self) -> Option<&str> {
        str::from_utf8(&self.bytes).ok()
    }

    /// Bytes of the body, the media type and the metadata.
    pub fn size(&self) -> usize {
        let meta: usize = self.meta.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.bytes.len() + self.content_type.as_ref().map_or(0, |text| text.len()) + meta
    }
}

/// A put or a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The write was a put.
    Value(Value),
    /// The write was a delete.
    Tombstone,
}

impl Content {
    /// Whether the write was a put, whatever has expired since.
    pub fn is_value(&self) -> bool {
        matches!(self, Self::Value(_))
    }

    /// Bytes of the value; none for a tombstone.
    pub fn size(&self) -> usize {
        match self {
            Self::Value(value) => value.size(),
            Self::Tombstone => 0,
        }
    }

    pub(super) fn checksum(&self) -> u128 {
        let Self::Value(value) = self else { return 0 };
        let mut hasher = Xxh3Default::new();
        // Lengths come before texts, so that no two contents run together.
        let mut feed = |text: &[u8]| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text);
        };
        feed(&value.bytes);
        for (name, value) in &value.meta {
            feed(name.as_bytes());
            feed(value.as_bytes());
        }
        if let Some(content_type) = &value.content_type {
            feed(content_type.as_bytes());
        }
        hasher.digest128()
    }
}

/// A time of writing, in milliseconds, that lies above every stamp in its causal past. It follows
/// the wall clock as long as that is sane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

/// The latest wall clock that is believed (the year 10889): a broken clock must leave room for
/// all stamps that will ever have to lie above it.
const WALL_MAX: u64 = 1 << 48;

impl Stamp {
    /// The stamp of a write at `wall` whose causal past reaches up to `past`.
    pub fn after(wall: WallMillis, past: Self) -> Self {
        Self(wall.0.min(WALL_MAX).max(past.0.saturating_add(1)))
    }
}

/// One value or tombstone, named by its dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The write's name.
    pub dot: Dot,
    /// What was written.
    pub content: Content,
    /// When, above everything that the writer had seen.
    pub stamp: Stamp,
    /// The client's name of the write, the same across retries.
    pub write_id: WriteId,
    /// From when on each node answers it as deleted, by its own clock. Tombstones have none.
    pub expires_at: Option<WallMillis>,
    pub(super) checksum: u128,
}

impl Version {
    /// Takes what was written, and its checksum.
    pub fn new(
        dot: Dot,
        content: Content,
        stamp: Stamp,
        write_id: WriteId,
        expires_at: Option<WallMillis>,
    ) -> Self {
        let expires_at = expires_at.filter(|_| content.is_value());
        let checksum = content.checksum();
        Self { dot, content, stamp, write_id, expires_at, checksum }
    }

    /// xxh3-128 over the value with its media type and metadata; 0 for a tombstone. Computed once,
    /// when the version is made, and stored with it.
    pub fn checksum(&self) -> u128 {
        self.checksum
    }

    /// The value as written, whatever has expired since; none for a tombstone.
    pub fn value(&self) -> Option<&Value> {
        match &self.content {
            Content::Value(value) => Some(value),
            Content::Tombstone => None,
        }
    }

    /// The value, unless the version is a tombstone or has expired by the clock of the asker.
    pub fn live_value(&self, now: WallMillis) -> Option<&Value> {
        self.value().filter(|_| self.expires_at.is_none_or(|end| now < end))
    }

    /// The order among concurrent versions where only one may stay: stamp, then a value over a
    /// tombstone *as written* (clocks differ on what has expired), then dot.
    pub(super) fn rank(&self) -> (Stamp, bool, Dot) {
        (self.stamp, self.content.is_value(), self.dot)
    }

    /// What tells two versions of one dot apart, and which of them every replica takes.
    pub(super) fn fingerprint(&self) -> (u128, bool, Stamp, WriteId, Option<WallMillis>) {
        (self.checksum, self.content.is_value(), self.stamp, self.write_id, self.expires_at)
    }
}
