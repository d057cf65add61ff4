//! Bounded encoding of frame headers. The one file that names bincode, so that it can be replaced.
//!
//! ```text
//! frame  = u8 kind | u16 header length, little endian | header | tail
//! ```
//! The tail is raw: a value or a record is never copied through the codec. Decoding is bounded
//! before anything is allocated (an 11-byte message could ask for 2^62 elements), and a header
//! that leaves bytes over is refused.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
pub use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

/// The longest header, in bytes.
pub const HEADER_BYTES_MAX: usize = 60 << 10;

const CODEC: Configuration<LittleEndian, Varint, Limit<HEADER_BYTES_MAX>> =
    bincode::config::standard().with_limit::<HEADER_BYTES_MAX>();

/// Bytes before the header: kind and length.
const PREFIX_BYTES: usize = 3;

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedFrame {
    /// Shorter than it says, or than any frame is.
    #[error("a frame of {length} bytes ends inside its header")]
    Truncated {
        /// The frame's length.
        length: usize,
    },
    /// A kind that this protocol version does not know on this lane.
    #[error("unknown frame kind {kind}")]
    UnknownKind {
        /// The kind byte.
        kind: u8,
    },
    /// The header does not decode.
    #[error("the header of a frame of kind {kind} does not decode: {reason}")]
    Header {
        /// The kind byte.
        kind: u8,
        /// What the decoder said.
        reason: String,
    },
    /// What the frame carries breaks a rule of the protocol.
    #[error("a frame breaks a rule: {reason}")]
    Rule {
        /// Which.
        reason: String,
    },
}

/// A frame's kind byte and header, ready to be sent; the tail travels beside it.
///
/// Fails only if the header exceeds its limit, which the limits of its fields rule out for
/// everything but long lists.
pub fn encode(kind: u8, header: &impl Encode) -> Result<Vec<u8>, HeaderTooLong> {
    let mut frame = Vec::with_capacity(128);
    frame.extend_from_slice(&[kind, 0, 0]);
    bincode::encode_into_std_write(header, &mut frame, CODEC).map_err(|_| HeaderTooLong)?;
    let length = frame.len() - PREFIX_BYTES;
    if length > HEADER_BYTES_MAX {
        return Err(HeaderTooLong);
    }
    let length = u16::try_from(length).map_err(|_| HeaderTooLong)?;
    frame[1..PREFIX_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// The header would exceed its limit of 60 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame header exceeds {HEADER_BYTES_MAX} bytes")]
pub struct HeaderTooLong;

/// The kind, the header's bytes and the tail of a frame.
pub fn split(frame: &Bytes) -> Result<(u8, Bytes, Bytes), MalformedFrame> {
    let truncated = MalformedFrame::Truncated { length: frame.len() };
    let [kind, low, high, ..] = frame[..] else { return Err(truncated) };
    let end = PREFIX_BYTES + usize::from(u16::from_le_bytes([low, high]));
    if frame.len() < end {
        return Err(truncated);
    }
    Ok((kind, frame.slice(PREFIX_BYTES..end), frame.slice(end..)))
}

/// Decodes a header that must fill `bytes` exactly.
pub fn decode<'a, H: BorrowDecode<'a, ()>>(kind: u8, bytes: &'a [u8]) -> Result<H, MalformedFrame> {
    let refused = |reason: String| MalformedFrame::Header { kind, reason };
    let (header, used) = bincode::borrow_decode_from_slice(bytes, CODEC)
        .map_err(|error| refused(error.to_string()))?;
    if used != bytes.len() {
        return Err(refused(format!("{} bytes are left over", bytes.len() - used)));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Encode, BorrowDecode)]
    struct Header<'a> {
        number: u64,
        name: &'a [u8],
    }

    #[test]
    fn a_frame_comes_back_with_its_tail() {
        let header = Header { number: 7, name: b"name" };
        let mut frame = encode(3, &header).unwrap();
        frame.extend_from_slice(b"tail");
        let (kind, bytes, tail) = split(&frame.into()).unwrap();
        assert_eq!((kind, &tail[..]), (3, &b"tail"[..]));
        assert_eq!(decode::<Header<'_>>(kind, &bytes).unwrap(), header);
    }

    #[test]
    fn every_truncation_and_every_surplus_is_refused() {
        let frame = encode(3, &Header { number: 300, name: b"name" }).unwrap();
        for end in 0..frame.len() {
            assert!(split(&Bytes::copy_from_slice(&frame[..end])).is_err());
        }
        let (kind, bytes, _) = split(&frame.into()).unwrap();
        for end in 0..bytes.len() {
            assert!(decode::<Header<'_>>(kind, &bytes[..end]).is_err());
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(decode::<Header<'_>>(kind, &longer).is_err());
    }

    #[test]
    fn a_claim_of_many_bytes_allocates_nothing() {
        // A length of 2^62 in the varint form of the codec.
        let mut claim = vec![1, 253];
        claim.extend_from_slice(&(1u64 << 62).to_le_bytes());
        assert!(decode::<Header<'_>>(3, &claim).is_err());
        assert!(decode::<Vec<u64>>(3, &claim[1..]).is_err());
    }
}
