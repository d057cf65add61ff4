//! Causality: which write has seen which, and so what may be forgotten.
//!
//! Dotted version sets ("Dotted Version Vectors", Preguiça et al.; "Scalable and Accurate
//! Causality Tracking for Eventually Consistent Stores", Almeida et al.), with a right to mint
//! that lives in the record and dies with the run of the shard.
//!
//! | module | what |
//! | --- | --- |
//! | `dot`, `history` | names of writes, and sets of them in one canonical form |
//! | `description` | what may be said of a value beside its bytes |
//! | `version`, `record` | what a write left, and everything that a shard stores of a key |
//! | `write`, `merge`, `read` | the three operations, all pure |
//! | `overwritten` | how a repetition of a write that was overwritten lately is known again |
//! | `mint` | who may name a write, and why no name is given twice |
//! | `context`, `token` | what a client has seen; as it carries that |
//! | `encoding`, `body`, `format`, `digest` | canonical bytes, and what replicas compare |

mod body;
mod context;
mod description;
mod digest;
mod dot;
mod encoding;
mod format;
mod history;
mod merge;
mod mint;
mod overwritten;
mod read;
mod record;
mod token;
mod version;
mod write;

pub use context::Context;
pub use description::{CONTENT_TYPE_BYTES_MAX, META_BYTES_MAX, META_COUNT_MAX, Meta};
pub use digest::Digest;
pub use dot::{Actor, Dot, InvalidDot};
pub use encoding::DecodeError;
pub use history::{History, Run};
pub use merge::Merged;
pub use mint::{MintRight, Minter};
pub use read::Reading;
pub use record::{Conflict, Record};
pub use token::{BadContext, ContextKey, Seal, TOKEN_CHARACTERS_MAX};
pub use version::{Content, Stamp, Value, Version};
pub use write::{RecordLimits, Write, WriteRefused, Written};
