//! Ties what a frame carries to the key that it is about.
//!
//! A record does not name its key, and an answer names only its question, by number. A peer that
//! mixes up either would have records stored under keys that they were never written to, and
//! merging spreads them. So each frame of the request lane names its key once more, in 64 bits: the
//! key's token, under the hash of the frame's tail. Whoever knows which key it must be about sees
//! at once that it is not, or that the tail is not what was sent. It is no defence against forgery:
//! certificates are.

use henge_kernel::key::Token;
use xxhash_rust::xxh3::xxh3_64;

/// What a frame is about that concerns no single key.
pub const NO_KEY: Token = Token(0);

/// The seal of a frame about a key.
pub fn seal(about: Token, tail: &[u8]) -> u64 {
    about.0 ^ xxh3_64(tail)
}

/// The token of the key that a frame is about; any other one if its tail is not what was sealed.
pub fn about(seal: u64, tail: &[u8]) -> Token {
    Token(seal ^ xxh3_64(tail))
}
