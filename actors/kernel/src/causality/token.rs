//! What ties a context to its key while a client carries it: a seal in memory and over the native
//! protocol, a checksum in a token of text.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Context, DecodeError, encoding::Reader};
use crate::{id::ClusterId, key::Key};

/// The longest token that is read, in characters.
pub const TOKEN_CHARACTERS_MAX: usize = 64 * 1024;

/// First byte of every token.
const MAGIC: u8 = b'h';
const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 16;

/// Keys the checksums of a cluster's tokens. Derived from the cluster's identity: it guards
/// against mistakes, it is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextKey([u8; 32]);

impl ContextKey {
    /// The key of `cluster`.
    pub fn of(cluster: ClusterId) -> Self {
        Self(blake3::derive_key("henge context token 1", &cluster.0.to_be_bytes()))
    }

    /// What contexts of `key` are sealed with.
    ///
    /// A context in memory, or on a link, cannot be damaged unnoticed as a text can: that it is of
    /// this key is all there is to check, and the key's hash under the cluster's says that.
    pub fn seal(&self, key: &Key) -> Seal {
        let seed = self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Seal(xxh3_64_with_seed(&key.token().0.to_le_bytes(), seed))
    }

    fn checksum(&self, key: &Key, payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // The lengths keep the three parts apart.
        for part in [key.bucket(), key.key()] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update(payload);
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM_BYTES]);
        checksum
    }
}

/// Names the key, bucket and cluster of a context; equal for equal keys only, but for chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal(pub u64);

/// A context that is refused. Nothing is written under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadContext {
    /// No token is that long.
    #[error("the context has {characters} characters; it may have {TOKEN_CHARACTERS_MAX}")]
    TooLong {
        /// Its length.
        characters: usize,
    },
    /// Not base64url without padding.
    #[error("the context is not base64url without padding")]
    NotBase64,
    /// Too short for a token, or not begun like one.
    #[error("this is no context of Henge")]
    NotAToken,
    /// From another version of Henge.
    #[error("the context has format {found}; this version reads {FORMAT}")]
    UnknownFormat {
        /// The format that the token names.
        found: u8,
    },
    /// Checksum or seal do not fit: of another key, bucket or cluster, or damaged.
    #[error("the context belongs to another key, bucket or cluster, or is damaged")]
    Foreign,
    /// The checksum fits, what it covers does not decode.
    #[error("the context is malformed: {0}")]
    Malformed(#[from] DecodeError),
}

impl Context {
    /// The token that a client gets for `key`: base64url, without padding.
    pub fn to_token(&self, keyed: &ContextKey, key: &Key) -> String {
        let mut payload = vec![MAGIC, FORMAT];
        self.encode_body(&mut payload);
        let checksum = keyed.checksum(key, &payload);
        payload.extend_from_slice(&checksum);
        URL_SAFE_NO_PAD.encode(payload)
    }

    /// Reads a token that a client gives for `key`; the context is sealed for it.
    pub fn from_token(keyed: &ContextKey, key: &Key, token: &str) -> Result<Self, BadContext> {
        if token.len() > TOKEN_CHARACTERS_MAX {
            return Err(BadContext::TooLong { characters: token.len() });
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadContext::NotBase64)?;
        let (payload, checksum) =
            bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(BadContext::NotAToken)?;
        match payload {
            [MAGIC, FORMAT, body @ ..] => {
                if keyed.checksum(key, payload) != *checksum {
                    return Err(BadContext::Foreign);
                }
                Ok(Self::decode_body(Reader::new(body))?.sealed(keyed.seal(key)))
            }
            [MAGIC, found, ..] => Err(BadContext::UnknownFormat { found: *found }),
            _ => Err(BadContext::NotAToken),
        }
    }
}
