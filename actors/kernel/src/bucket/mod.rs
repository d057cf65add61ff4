//! Buckets: their properties, how these are changed, and the register that carries them.
//!
//! A bucket needs no creation: a name without properties of its own has the cluster's defaults.
//! Properties of its own are one register per bucket, kept whole by every node.

mod change;
mod properties;
mod register;
mod setting;
mod table;
#[cfg(test)]
mod tests;

pub use crate::violation::Violation;
pub use change::{BucketChange, Setting};
pub use properties::{
    BucketProperties, Durability, InvalidDurability, N_MAX, TTL_MAX, VALUE_BYTES_MAX, Violations,
    conflict_name,
};
pub use register::{BucketRegister, RegisterVersion};
pub use setting::{SettingEffect, SettingEvent, SettingFailed, SettingRequest, SettingRun};
pub use table::{BUCKETS_MAX, BucketTable, Naming, SetRefused, TableFull};
