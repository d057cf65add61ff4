//! Contexts: what a client has seen of a key.

use super::{
    BadContext, DecodeError, Dot, History, Seal, Stamp,
    encoding::{Reader, put_history, put_varint},
};
use crate::planted::{Defect, planted};

const FORMAT: u8 = 1;

/// How many runs beside the version vector a put's answer carries at most, before it is trimmed.
const CLOUD_RANGES_MAX: usize = 64;

/// The dots that a client has seen of a key, and the greatest stamp among them.
///
/// The stamp makes the client's next write greater than all that it saw, even at a replica that
/// saw none of it. A context is only ever given together with the versions that it covers, and
/// sealed for their key: a store takes it for no other.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    history: History,
    stamp: Stamp,
    seal: Option<Seal>,
}

impl Context {
    /// A context of these dots, the greatest of which is stamped `stamp`.
    pub fn new(history: History, stamp: Stamp) -> Self {
        Self { history, stamp, seal: None }
    }

    /// The same context for the key that `seal` is of.
    pub fn sealed(self, seal: Seal) -> Self {
        Self { seal: Some(seal), ..self }
    }

    /// Of which key it is, once a store has given it.
    pub fn seal(&self) -> Option<Seal> {
        self.seal
    }

    /// Refuses a context that was not given for the key that `seal` is of. One that covers nothing
    /// is of every key.
    pub fn check(&self, seal: Seal) -> Result<(), BadContext> {
        if self.is_empty() || self.seal == Some(seal) { Ok(()) } else { Err(BadContext::Foreign) }
    }

    /// The dots.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The greatest stamp of the dots; 0 if there are none.
    pub fn stamp(&self) -> Stamp {
        if planted(Defect::StampNotInContext) {
            return Stamp::default();
        }
        self.stamp
    }

    /// Whether the client has seen nothing.
    pub fn is_empty(&self) -> bool {
        self.history.is_empty()
    }

    /// Whether the client has seen `dot`.
    pub fn covers(&self, dot: Dot) -> bool {
        self.history.contains(dot)
    }

    /// Appends the form for frames, without the seal.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        self.encode_body(out);
    }

    /// Reads what [`Context::encode`] wrote, to the last byte.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.format("context", FORMAT)?;
        Self::decode_body(reader)
    }

    pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
        put_history(out, &self.history);
        put_varint(out, self.stamp.0);
    }

    pub(super) fn decode_body(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let context = Self::new(reader.history()?, Stamp(reader.varint()?));
        reader.end()?;
        Ok(context)
    }

    /// What the writer of `dot` has seen after its write: what it had seen before, and the write.
    ///
    /// Never the record's history: the writer did not see the siblings there, and must not erase
    /// them with its next write. A client that chains its own answers collects a dot a put, with
    /// gaps wherever somebody else wrote, so past a bound only the vector, the `overwritten` dots
    /// (which other replicas may still show) and the new dot are kept. Any part of the context
    /// would be safe that holds the new dot: what is forgotten can come back as a sibling, until
    /// the next merge, but cannot be lost.
    pub(super) fn with_write(mut self, dot: Dot, stamp: Stamp, overwritten: &[Dot]) -> Self {
        self.history.insert(dot);
        self.stamp = self.stamp.max(stamp);
        if self.history.cloud_count() > CLOUD_RANGES_MAX {
            self.history.keep_vector();
            for seen in overwritten {
                self.history.insert(*seen);
            }
            self.history.insert(dot);
        }
        self
    }
}
