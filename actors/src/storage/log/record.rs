//! One entry of the log: a change on the disk.
//!
//! ```text
//!  0  marker      u32   the segment's own, from its header: where an entry may begin
//!  4  head sum    u32   low half of xxh3-64 over bytes 8.. through the key
//!  8  body sum    u64   xxh3-64 over bytes 16.. through the payload
//! 16  sequence    u64
//! 24  token       u64
//! 32  payload     u32   length in bytes
//! 36  key         u16   length in bytes
//! 38  bucket      u16   length in bytes
//! 40  kind        u8    1 record, 2 removal
//! 41  batch       u8    1 for the first of a batch, 2 for the last, 3 for the only, else 0
//! 42  bucket, key, payload
//! ```
//!
//! All integers are little-endian. There are two sums so that damage in a long payload leaves the
//! key readable: then one key is in doubt instead of the whole shard. The marker is random for each
//! segment, so that no client can craft a payload in which recovery, looking for the next entry
//! behind damage, would find one.

use bytes::{Buf, Bytes};
use henge_kernel::key::{BUCKET_BYTES_MAX, KEY_BYTES_MAX, Key, Token};
use xxhash_rust::xxh3::xxh3_64;

use crate::storage::{Change, PAYLOAD_BYTES_MAX};

/// Bytes before the bucket's name.
pub const HEAD_BYTES: usize = 42;

/// No log gets as far as this: what claims a number from here on is damaged, whatever its sums say.
/// So counting on from what was found never comes to an end.
pub const SEQUENCE_END: u64 = 1 << 62;

const FIRST: u8 = 1;
const LAST: u8 = 2;

/// The fixed part of an entry, as found on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub sequence: u64,
    pub token: Token,
    pub removal: bool,
    /// Begins a batch.
    pub first: bool,
    /// Ends a batch.
    pub last: bool,
    payload: usize,
    key: usize,
    bucket: usize,
}

impl Head {
    /// Reads a head; nothing if `bytes` cannot be one. Says nothing yet about its sums.
    pub fn parse(bytes: &[u8], marker: u32) -> Option<Self> {
        let fixed = bytes.get(..HEAD_BYTES)?;
        let head = Self {
            sequence: u64::from_le_bytes(field(fixed, 16)?),
            token: Token(u64::from_le_bytes(field(fixed, 24)?)),
            payload: usize::try_from(u32::from_le_bytes(field(fixed, 32)?)).ok()?,
            key: u16::from_le_bytes(field(fixed, 36)?).into(),
            bucket: u16::from_le_bytes(field(fixed, 38)?).into(),
            removal: fixed[40] == 2,
            first: fixed[41] & FIRST != 0,
            last: fixed[41] & LAST != 0,
        };
        let legal = field(fixed, 0)? == marker.to_le_bytes()
            && (1..=KEY_BYTES_MAX).contains(&head.key)
            && (1..=BUCKET_BYTES_MAX).contains(&head.bucket)
            && head.payload <= PAYLOAD_BYTES_MAX
            && head.sequence < SEQUENCE_END
            && (fixed[40] == 1 || (head.removal && head.payload == 0))
            && fixed[41] <= FIRST | LAST;
        legal.then_some(head)
    }

    /// Length of the head with the bucket's name and the key, in bytes.
    pub fn head_length(&self) -> usize {
        HEAD_BYTES + self.bucket + self.key
    }

    /// Length of the whole entry, in bytes.
    pub fn length(&self) -> usize {
        self.head_length() + self.payload
    }

    /// Whether the fixed part and the key are as they were written.
    pub fn head_holds(&self, bytes: &[u8]) -> bool {
        let named = bytes.get(..self.head_length());
        named.is_some_and(|named| field(named, 4) == Some(head_sum(named).to_le_bytes()))
    }

    /// Whether the whole entry is as it was written.
    pub fn body_holds(&self, bytes: &[u8]) -> bool {
        let whole = bytes.get(..self.length());
        whole.is_some_and(|whole| field(whole, 8) == Some(xxh3_64(&whole[16..]).to_le_bytes()))
    }

    /// The bucket's name and the key of the entry in `bytes`.
    pub fn names<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let names = bytes.get(HEAD_BYTES..self.head_length())?;
        Some(names.split_at(self.bucket))
    }
}

/// How many bytes the entry of `change` takes.
pub fn entry_length(change: &Change<'_>) -> usize {
    HEAD_BYTES + change.key().bucket().len() + change.key().key().len() + change.payload_length()
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The marker of the segment.
    pub marker: u32,
    pub sequence: u64,
    /// Begins a batch.
    pub first: bool,
    /// Ends a batch.
    pub last: bool,
}

/// Appends the entry of `change` to `out`. Its lengths fit: `check_sizes` and `Key` saw to that.
pub fn encode(change: &Change<'_>, place: Place, out: &mut Vec<u8>) {
    let (token, kind) = match *change {
        Change::Record { token, .. } => (token, 1),
        Change::Removal { token, .. } => (token, 2),
    };
    let (bucket, key) = (change.key().bucket(), change.key().key());
    let start = out.len();
    out.extend_from_slice(&place.marker.to_le_bytes());
    // The sums, which are filled in last.
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(&place.sequence.to_le_bytes());
    out.extend_from_slice(&token.0.to_le_bytes());
    out.extend_from_slice(&u32::try_from(change.payload_length()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&u16::try_from(key.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&u16::try_from(bucket.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&[kind, u8::from(place.first) * FIRST + u8::from(place.last) * LAST]);
    out.extend_from_slice(bucket);
    out.extend_from_slice(key);
    let head_end = out.len() - start;
    for piece in change.payload() {
        out.extend_from_slice(piece);
    }
    seal(&mut out[start..], head_end);
}

/// Fills in the two sums of an entry.
fn seal(entry: &mut [u8], head_end: usize) {
    let body = xxh3_64(&entry[16..]);
    entry[8..16].copy_from_slice(&body.to_le_bytes());
    let head = head_sum(&entry[..head_end]);
    entry[4..8].copy_from_slice(&head.to_le_bytes());
}

/// Seals all entries from the front of `entries` on, up to what is none.
#[cfg(feature = "simulation")]
pub(super) fn mend(mut entries: &mut [u8], marker: u32) {
    while let Some(head) = Head::parse(entries, marker) {
        let Some((entry, rest)) = entries.split_at_mut_checked(head.length()) else { return };
        seal(entry, head.head_length());
        entries = rest;
    }
}

/// The payload of `entry`, if it is whole and the record of `key`; else what does not fit.
pub fn payload_of(mut entry: Bytes, marker: u32, key: &Key) -> Result<Bytes, &'static str> {
    let head = Head::parse(&entry, marker).ok_or("its head makes no sense")?;
    if head.length() != entry.len() || head.removal {
        return Err("its length is another than was written");
    }
    if !head.body_holds(&entry) {
        return Err("its checksum does not match");
    }
    if head.names(&entry) != Some((key.bucket(), key.key())) {
        return Err("it is the record of another key");
    }
    entry.advance(head.head_length());
    Ok(entry)
}

fn head_sum(named: &[u8]) -> u32 {
    // The marker is compared on its own; what remains is one piece.
    let [a, b, c, d, ..] = xxh3_64(&named[8..]).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
