//! Errors as they travel inside replies.

use std::{borrow::Cow, time::Duration};

use henge_kernel::{
    coordination::{Fate, RequestError},
    time::whole_millis,
};

use super::codec::{BorrowDecode, Encode};

/// The wire form of [`RequestError`], variant by variant.
#[derive(Encode, BorrowDecode)]
pub(super) enum WireError<'a> {
    BadRequest {
        field: &'a str,
        value: &'a str,
        limit: &'a str,
    },
    BadContext {
        reason: &'a str,
    },
    ContextRequired,
    PreconditionFailed,
    TooLarge {
        size: u64,
        max: u64,
    },
    TooManySiblings {
        versions: usize,
        versions_max: usize,
        record_bytes: usize,
        record_bytes_max: usize,
    },
    Forbidden {
        action: &'a str,
    },
    BucketPropertyFixed {
        field: &'a str,
        fixed: &'a str,
        value: &'a str,
    },
    StaleProperties {
        used: u64,
        newest: u64,
    },
    Overloaded {
        retry_after_ms: u64,
    },
    NotReady {
        reason: &'a str,
    },
    StorageFull {
        free: u64,
        needed: u64,
    },
    QuorumNotMet {
        needed: u8,
        got: u8,
        homes_down: u8,
        unknown: bool,
    },
    TimedOut {
        needed: u8,
        got: u8,
        after_ms: u64,
    },
    Interrupted,
}

impl<'a> WireError<'a> {
    pub(super) fn of(error: &'a RequestError) -> Self {
        match error {
            RequestError::BadRequest { field, value, limit } => {
                Self::BadRequest { field, value, limit }
            }
            RequestError::BadContext { reason } => Self::BadContext { reason },
            RequestError::ContextRequired => Self::ContextRequired,
            RequestError::PreconditionFailed => Self::PreconditionFailed,
            RequestError::TooLarge { size, max } => Self::TooLarge { size: *size, max: *max },
            RequestError::TooManySiblings {
                versions,
                versions_max,
                record_bytes,
                record_bytes_max,
            } => Self::TooManySiblings {
                versions: *versions,
                versions_max: *versions_max,
                record_bytes: *record_bytes,
                record_bytes_max: *record_bytes_max,
            },
            RequestError::Forbidden { action } => Self::Forbidden { action },
            RequestError::BucketPropertyFixed { field, fixed, value } => {
                Self::BucketPropertyFixed { field, fixed, value }
            }
            RequestError::StaleProperties { used, newest } => {
                Self::StaleProperties { used: *used, newest: *newest }
            }
            RequestError::Overloaded { retry_after } => {
                Self::Overloaded { retry_after_ms: whole_millis(*retry_after) }
            }
            RequestError::NotReady { reason } => Self::NotReady { reason },
            RequestError::StorageFull { free, needed } => {
                Self::StorageFull { free: *free, needed: *needed }
            }
            RequestError::QuorumNotMet { needed, got, homes_down, fate } => Self::QuorumNotMet {
                needed: *needed,
                got: *got,
                homes_down: *homes_down,
                unknown: *fate == Fate::Unknown,
            },
            RequestError::TimedOut { needed, got, after } => {
                Self::TimedOut { needed: *needed, got: *got, after_ms: whole_millis(*after) }
            }
            RequestError::Interrupted => Self::Interrupted,
        }
    }

    pub(super) fn own(self) -> RequestError {
        let text = |text: &str| -> Cow<'static, str> { Cow::Owned(text.to_owned()) };
        match self {
            Self::BadRequest { field, value, limit } => RequestError::BadRequest {
                field: text(field),
                value: value.to_owned(),
                limit: limit.to_owned(),
            },
            Self::BadContext { reason } => RequestError::BadContext { reason: text(reason) },
            Self::ContextRequired => RequestError::ContextRequired,
            Self::PreconditionFailed => RequestError::PreconditionFailed,
            Self::TooLarge { size, max } => RequestError::TooLarge { size, max },
            Self::TooManySiblings { versions, versions_max, record_bytes, record_bytes_max } => {
                RequestError::TooManySiblings {
                    versions,
                    versions_max,
                    record_bytes,
                    record_bytes_max,
                }
            }
            Self::Forbidden { action } => RequestError::Forbidden { action: text(action) },
            Self::BucketPropertyFixed { field, fixed, value } => {
                RequestError::BucketPropertyFixed {
                    field: text(field),
                    fixed: fixed.to_owned(),
                    value: value.to_owned(),
                }
            }
            Self::StaleProperties { used, newest } => {
                RequestError::StaleProperties { used, newest }
            }
            Self::Overloaded { retry_after_ms } => {
                RequestError::Overloaded { retry_after: Duration::from_millis(retry_after_ms) }
            }
            Self::NotReady { reason } => RequestError::NotReady { reason: text(reason) },
            Self::StorageFull { free, needed } => RequestError::StorageFull { free, needed },
            Self::QuorumNotMet { needed, got, homes_down, unknown } => RequestError::QuorumNotMet {
                needed,
                got,
                homes_down,
                fate: if unknown { Fate::Unknown } else { Fate::NotApplied },
            },
            Self::TimedOut { needed, got, after_ms } => {
                RequestError::TimedOut { needed, got, after: Duration::from_millis(after_ms) }
            }
            Self::Interrupted => RequestError::Interrupted,
        }
    }
}
