//! Why bucket properties are refused, here and as a client hears it.

use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketRegister, BucketTable, SetRefused, SettingFailed, conflict_name},
    coordination::{Fate, RequestError},
};

use crate::messages::ring_manager::RegisterRefused;

/// A choice of `n` or `conflict` that is not established yet, for a bucket that holds data
/// under other ones. What is established was agreed on by every member, this one included.
pub fn refuse(
    table: &BucketTable,
    register: &BucketRegister,
    used: &[Bytes],
) -> Option<RegisterRefused> {
    if register.established || table.get(&register.name).is_some() || !used.contains(&register.name)
    {
        return None;
    }
    let (old, new) = (table.defaults(), &register.properties);
    let refused = |field: &str, fixed: String, value: String| {
        Some(RegisterRefused { field: field.to_owned(), fixed, value })
    };
    if old.n != new.n {
        return refused("n", old.n.to_string(), new.n.to_string());
    }
    refused(
        "conflict",
        conflict_name(old.conflict).to_owned(),
        conflict_name(new.conflict).to_owned(),
    )
}

/// What a client hears of a setting that was refused here.
pub fn refusal(refused: SetRefused) -> RequestError {
    match refused {
        SetRefused::Name(invalid) => invalid.into(),
        SetRefused::Invalid(violations) => violations.into(),
        SetRefused::PropertyFixed { field, old, new } => {
            RequestError::BucketPropertyFixed { field: field.into(), fixed: old, value: new }
        }
        SetRefused::NotEstablished => RequestError::NotReady { reason: refused.to_string().into() },
        SetRefused::Full(full) => RequestError::BadRequest {
            field: "bucket".into(),
            value: "one more".to_owned(),
            limit: full.to_string(),
        },
    }
}

/// What a client hears of a setting that did not come about.
pub fn failure(failed: SettingFailed) -> RequestError {
    match failed {
        SettingFailed::Fixed { field, fixed, value } => {
            RequestError::BucketPropertyFixed { field: field.into(), fixed, value }
        }
        SettingFailed::Overtaken { used, newest } => RequestError::StaleProperties { used, newest },
        SettingFailed::Unreached { needed, got } => {
            let small = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
            RequestError::QuorumNotMet {
                needed: small(needed),
                got: small(got),
                homes_down: small(needed.saturating_sub(got)),
                fate: Fate::Unknown,
            }
        }
    }
}
