//! Buckets, keys, tokens and partitions: where a key lies on the ring.

use core::fmt;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

/// The longest bucket name, in bytes.
pub const BUCKET_BYTES_MAX: usize = 256;
/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// A key in its bucket: arbitrary bytes, both not empty and within their limits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bucket: Bytes,
    key: Bytes,
}

impl Key {
    /// Checks the lengths and takes the bytes.
    pub fn new(bucket: impl Into<Bytes>, key: impl Into<Bytes>) -> Result<Self, InvalidKey> {
        let (bucket, key) = (bucket.into(), key.into());
        check_length("bucket", bucket.len(), BUCKET_BYTES_MAX)?;
        check_length("key", key.len(), KEY_BYTES_MAX)?;
        Ok(Self { bucket, key })
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &Bytes {
        &self.bucket
    }

    /// The key's bytes.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// Where this key lies on the ring.
    pub fn token(&self) -> Token {
        Token::of(&self.bucket, &self.key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.bucket, self.key)
    }
}

/// Checks the name of a bucket.
pub fn check_bucket(bucket: &[u8]) -> Result<(), InvalidKey> {
    check_length("bucket", bucket.len(), BUCKET_BYTES_MAX)
}

fn check_length(field: &'static str, length: usize, limit: usize) -> Result<(), InvalidKey> {
    if length == 0 || length > limit {
        return Err(InvalidKey { field, length, limit });
    }
    Ok(())
}

/// A bucket or key that is empty or too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} has {length} bytes; it must have 1 to {limit}")]
pub struct InvalidKey {
    /// `bucket` or `key`.
    pub field: &'static str,
    /// The refused length, in bytes.
    pub length: usize,
    /// The greatest length, in bytes.
    pub limit: usize,
}

/// 64-bit hash of (bucket, key): a place on the ring. The hash and its seed are a format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    /// The token of a key; the bucket's length comes first, so that no two pairs run together.
    pub fn of(bucket: &[u8], key: &[u8]) -> Self {
        let mut hasher = Xxh3::with_seed(0x0048_656e_6765_0001);
        hasher.update(&(bucket.len() as u64).to_le_bytes());
        hasher.update(bucket);
        hasher.update(key);
        Self(hasher.digest())
    }

    /// The partition that holds this token: its top bits.
    pub fn partition(self, partitions: PartitionCount) -> PartitionId {
        let bits = partitions.get().trailing_zeros();
        // One partition has no bits; shifting by 64 would overflow.
        let top = self.0.checked_shr(64 - bits).unwrap_or(0);
        PartitionId(u16::try_from(top).unwrap_or(u16::MAX))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:016x})", self.0)
    }
}

/// One of the equal arcs of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

impl PartitionId {
    /// The least token of this partition.
    pub fn first_token(self, partitions: PartitionCount) -> Token {
        let bits = partitions.get().trailing_zeros();
        Token(u64::from(self.0).checked_shl(64 - bits).unwrap_or(0))
    }

    /// The greatest token of this partition.
    pub fn last_token(self, partitions: PartitionCount) -> Token {
        let bits = partitions.get().trailing_zeros();
        Token(self.first_token(partitions).0 | u64::MAX.checked_shr(bits).unwrap_or(0))
    }

    /// The shard that owns this partition on a node with `shards` shards.
    pub fn shard(self, shards: u16) -> u16 {
        self.0 % shards
    }
}

/// How many partitions the ring has (Q): a power of two from 1 to 32,768, fixed at the birth of
/// the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCount(u16);

impl PartitionCount {
    /// The default, 256.
    pub const DEFAULT: Self = Self(256);
    /// The greatest, 32,768.
    pub const MAX: u32 = 32_768;

    /// Takes a power of two within the limits.
    pub fn new(count: u32) -> Option<Self> {
        let fits = count.is_power_of_two() && count <= Self::MAX;
        fits.then(|| u16::try_from(count).ok().map(Self)).flatten()
    }

    /// The number of partitions.
    pub fn get(self) -> u16 {
        self.0
    }

    /// All partitions in token order.
    pub fn all(self) -> impl Iterator<Item = PartitionId> {
        (0..self.0).map(PartitionId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_tile_the_ring() {
        for bits in 0..=15 {
            let count = PartitionCount::new(1 << bits).unwrap();
            let mut next = 0u64;
            for partition in count.all() {
                assert_eq!(partition.first_token(count), Token(next));
                let last = partition.last_token(count);
                assert_eq!(last.partition(count), partition);
                assert_eq!(Token(next).partition(count), partition);
                next = last.0.wrapping_add(1);
            }
            assert_eq!(next, 0);
        }
    }

    #[test]
    fn a_token_is_a_format() {
        assert_eq!(Token::of(b"bucket", b"key"), Token::of(b"bucket", b"key"));
        assert_ne!(Token::of(b"ab", b"c"), Token::of(b"a", b"bc"));
    }
}
