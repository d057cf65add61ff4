//! What a node answers to its users, whichever door they came through.

use std::{mem, ops::Deref};

use bytes::Bytes;
use henge_kernel::{
    causality::{Content, Context, Dot, Reading, Seal, Value, Version},
    coordination::{Replicas, RequestError},
    key::{KEY_BYTES_MAX, Token},
};

/// An answer, and who stood for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// The answer itself.
    pub body: T,
    /// The replicas behind it.
    pub replicas: Replicas,
}

impl<T> Answer<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { body: change(self.body), replicas: self.replicas }
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.body
    }
}

/// What a get found.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// One value.
    Value {
        /// The value with its dot, stamp and expiry.
        version: Box<Version>,
        /// What the reader has seen now: pass it to the next put or delete.
        context: Context,
        /// Whether a delete is concurrent with the value.
        concurrent_delete: bool,
    },
    /// Two or more values, none of which has seen the other.
    Siblings {
        /// The values, in the order of their dots.
        versions: Vec<Version>,
        /// Covers them all: a put with it resolves them.
        context: Context,
        /// Whether a delete is concurrent with the values.
        concurrent_delete: bool,
    },
    /// The key was deleted, or its value has expired.
    Deleted {
        /// Covers the tombstone.
        context: Context,
    },
    /// There is no such key.
    NotFound,
}

impl Got {
    /// The context of what was found; empty if nothing was.
    pub fn context(&self) -> Context {
        match self {
            Self::Value { context, .. }
            | Self::Siblings { context, .. }
            | Self::Deleted { context } => context.clone(),
            Self::NotFound => Context::default(),
        }
    }

    /// Its context for the key that `seal` is of.
    pub(crate) fn sealed(mut self, seal: Seal) -> Self {
        match &mut self {
            Self::Value { context, .. }
            | Self::Siblings { context, .. }
            | Self::Deleted { context } => *context = mem::take(context).sealed(seal),
            Self::NotFound => {}
        }
        self
    }

    /// The live versions: one, several if they are siblings, none otherwise.
    pub fn versions(&self) -> &[Version] {
        match self {
            Self::Value { version, .. } => std::slice::from_ref(version),
            Self::Siblings { versions, .. } => versions,
            Self::Deleted { .. } | Self::NotFound => &[],
        }
    }

    /// The live values, in the order of [`Got::versions`].
    pub fn into_values(self) -> Vec<Value> {
        let versions = match self {
            Self::Value { version, .. } => vec![*version],
            Self::Siblings { versions, .. } => versions,
            Self::Deleted { .. } | Self::NotFound => Vec::new(),
        };
        let value = |version: Version| match version.content {
            Content::Value(value) => Some(value),
            Content::Tombstone => None,
        };
        versions.into_iter().filter_map(value).collect()
    }

    /// Whether there is more than one live value.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Siblings { .. })
    }
}

impl From<Reading> for Got {
    fn from(reading: Reading) -> Self {
        let Reading { mut values, concurrent_delete, context } = reading;
        match values.len() {
            0 if context.is_empty() => Self::NotFound,
            0 => Self::Deleted { context },
            1 => {
                Self::Value { version: Box::new(values.swap_remove(0)), context, concurrent_delete }
            }
            _ => Self::Siblings { versions: values, context, concurrent_delete },
        }
    }
}

/// What a put or delete left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The client's own context and the new dot: never covers what the client has not seen.
    pub context: Context,
    /// The dot of this write.
    pub dot: Dot,
    /// All that the key holds now, if `return_body` was asked for; its context covers it.
    pub got: Option<Got>,
}

impl Written {
    /// Its contexts for the key that `seal` is of.
    pub(crate) fn sealed(self, seal: Seal) -> Self {
        let Self { context, dot, got } = self;
        Self { context: context.sealed(seal), dot, got: got.map(|got| got.sealed(seal)) }
    }
}

/// Which keys of a bucket are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyQuery {
    /// Only keys that begin with these bytes; at most as many as a key may have.
    pub prefix: Bytes,
    /// Where the last page ended: its `next`.
    pub after: Option<String>,
    /// How many at most: 1 to [`KEYS_PER_PAGE_MAX`].
    pub limit: u16,
}

/// The most keys in one page of a listing.
pub const KEYS_PER_PAGE_MAX: u16 = 1000;

/// The longest `next`: a token and the longest key, in base64.
const AFTER_CHARACTERS_MAX: usize = (8 + KEY_BYTES_MAX).div_ceil(3) * 4;

impl KeyQuery {
    /// Refuses what no listing takes, whichever door it comes through.
    pub fn check(&self) -> Result<(), RequestError> {
        let Self { prefix, after, limit } = self;
        let refuse = |field: &'static str, value, limit| {
            Err(RequestError::BadRequest { field: field.into(), value, limit })
        };
        if prefix.len() > KEY_BYTES_MAX {
            let limit = format!("at most {KEY_BYTES_MAX} bytes");
            return refuse("prefix", format!("{} bytes", prefix.len()), limit);
        }
        if let Some(after) = after.as_ref().filter(|text| text.len() > AFTER_CHARACTERS_MAX) {
            let limit = "the `next` of an earlier page".to_owned();
            return refuse("after", format!("{} characters", after.len()), limit);
        }
        if !(1..=KEYS_PER_PAGE_MAX).contains(limit) {
            return refuse("limit", limit.to_string(), format!("1 to {KEYS_PER_PAGE_MAX}"));
        }
        Ok(())
    }
}

/// A page of keys, in the order of their tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<Bytes>,
    /// Pass it as `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

/// Which keys of one partition are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The bucket.
    pub bucket: Bytes,
    /// Only keys that begin with these bytes.
    pub prefix: Bytes,
    /// Only keys behind this one.
    pub after: Option<KeyPosition>,
    /// How many at most.
    pub limit: u16,
}

/// A key and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPosition {
    /// Its token.
    pub token: Token,
    /// Its bytes.
    pub key: Bytes,
}
