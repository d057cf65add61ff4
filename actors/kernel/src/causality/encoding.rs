//! The primitives of all formats here: canonical varints, and readers that trust nothing.
//!
//! A decoder never panics, allocates at most a small multiple of its input, and accepts exactly
//! the bytes that the encoder would have written: one value, one form.

use super::{Actor, History, history::Run};
use crate::id::ShardUid;

/// Bytes that are no record, or no context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by another version of Henge, or by something else.
    #[error("format {found} of a {what} is unknown; this version reads {known}")]
    UnknownFormat {
        /// What was to be read.
        what: &'static str,
        /// The format that the bytes name.
        found: u8,
        /// The format that is read here.
        known: u8,
    },
    /// The bytes end too early.
    #[error("the bytes end too early")]
    Truncated,
    /// Bytes follow where the end should be.
    #[error("{bytes} bytes follow the end")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The bytes say something that no encoder writes.
    #[error("malformed: {what}")]
    Malformed {
        /// Which rule is broken.
        what: &'static str,
    },
}

/// Shorthand for a broken rule.
pub(super) const fn malformed(what: &'static str) -> DecodeError {
    DecodeError::Malformed { what }
}

/// Seven bits a byte, the lowest first; at most ten bytes.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The mask leaves seven bits.
        out.push(0x80 | u8::try_from(value & 0x7f).unwrap_or(0));
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// A length or a count.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_varint(out, count as u64);
}

/// The actors in order; of each its runs, as gaps and lengths. No form but the canonical one can
/// be written down in this way, apart from the order of the actors.
pub(super) fn put_history(out: &mut Vec<u8>, history: &History) {
    put_count(out, history.actor_count());
    for runs in history.entries().chunk_by(|one, next| one.actor == next.actor) {
        put_actor(out, runs[0].actor);
        put_count(out, runs.len());
        let mut least = 1;
        for run in runs {
            put_varint(out, run.first - least);
            put_varint(out, run.last - run.first);
            least = run.last.saturating_add(2);
        }
    }
}

pub(super) fn put_actor(out: &mut Vec<u8>, actor: Actor) {
    out.extend_from_slice(&actor.uid.0.to_be_bytes());
    put_varint(out, actor.epoch);
}

/// Reads from the front of a slice.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { bytes }),
        }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn u128(&mut self) -> Result<u128, DecodeError> {
        Ok(u128::from_be_bytes(self.array()?))
    }

    /// The format's number, which must be `known`.
    pub(super) fn format(&mut self, what: &'static str, known: u8) -> Result<(), DecodeError> {
        match self.byte()? {
            found if found == known => Ok(()),
            found => Err(DecodeError::UnknownFormat { what, found, known }),
        }
    }

    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        // Most are small.
        if let Some((byte @ ..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let (last, overflows) = (byte < 0x80, bits << shift >> shift != bits);
            if overflows || (last && byte == 0 && shift > 0) {
                return Err(malformed("a number is not in its shortest form"));
            }
            value |= bits << shift;
            if last {
                return Ok(value);
            }
        }
        Err(malformed("a number has more than 64 bits"))
    }

    /// A length or a count. It is no promise: allocate as the items come.
    pub(super) fn count(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.varint()?).map_err(|_| malformed("a count exceeds the memory"))
    }

    pub(super) fn actor(&mut self) -> Result<Actor, DecodeError> {
        Ok(Actor { uid: ShardUid(self.u64()?), epoch: self.varint()? })
    }

    /// A text after its length.
    pub(super) fn text(&mut self) -> Result<Box<str>, DecodeError> {
        let length = self.count()?;
        let text = core::str::from_utf8(self.take(length)?);
        text.map(Into::into).map_err(|_| malformed("a text is not UTF-8"))
    }

    pub(super) fn history(&mut self) -> Result<History, DecodeError> {
        let mut history = History::new();
        let mut previous = None;
        for _ in 0..self.count()? {
            let (actor, runs) = (self.actor()?, self.count()?);
            if previous.is_some_and(|previous| previous >= actor) {
                return Err(malformed("actors out of order"));
            }
            if runs == 0 {
                return Err(malformed("an actor without dots"));
            }
            let mut least = Some(1);
            for _ in 0..runs {
                let run = self.run(actor, least)?;
                history.push(run);
                least = run.last.checked_add(2);
            }
            previous = Some(actor);
        }
        Ok(history)
    }

    fn run(&mut self, actor: Actor, from: Option<u64>) -> Result<Run, DecodeError> {
        let overflow = malformed("a counter has more than 64 bits");
        let (gap, length) = (self.varint()?, self.varint()?);
        let first = from.and_then(|from| from.checked_add(gap)).ok_or(overflow)?;
        Ok(Run { actor, first, last: first.checked_add(length).ok_or(overflow)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form_and_no_other_is_read() {
        for bits in 0..64 {
            for value in [1 << bits, (1 << bits) - 1, u64::MAX >> bits] {
                let mut bytes = Vec::new();
                put_varint(&mut bytes, value);
                let mut reader = Reader::new(&bytes);
                assert_eq!(reader.varint(), Ok(value));
                assert_eq!(reader.end(), Ok(()));
                assert_eq!(Reader::new(&bytes[1..]).varint().is_ok(), bytes.len() > 1);

                // The same number, a byte longer.
                *bytes.last_mut().unwrap() |= 0x80;
                bytes.push(0);
                assert!(Reader::new(&bytes).varint().is_err());
            }
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let too_great = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(matches!(Reader::new(&too_great).varint(), Err(DecodeError::Malformed { .. })));
        assert!(matches!(Reader::new(&[0x80; 20]).varint(), Err(DecodeError::Malformed { .. })));
    }
}
