//! All buckets that a node knows to have properties of their own.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    change::BucketChange,
    properties::{BucketProperties, Violations, conflict_name},
    register::{BucketRegister, RegisterVersion},
};
use crate::{
    id::NodeId,
    key::{InvalidKey, check_bucket},
};

/// The most buckets with properties of their own.
pub const BUCKETS_MAX: usize = 10_000;

/// The cluster's defaults and the registers of all buckets that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketTable {
    defaults: BucketProperties,
    registers: BTreeMap<Bytes, BucketRegister>,
}

impl BucketTable {
    /// A table in which every bucket has the cluster's `defaults`.
    pub fn new(defaults: BucketProperties) -> Self {
        Self { defaults, registers: BTreeMap::new() }
    }

    /// The cluster's defaults.
    pub fn defaults(&self) -> &BucketProperties {
        &self.defaults
    }

    /// The properties in force for `bucket`: its own, else the defaults.
    pub fn properties(&self, bucket: &[u8]) -> &BucketProperties {
        self.registers.get(bucket).map_or(&self.defaults, |register| &register.properties)
    }

    /// The register of `bucket`, if it has properties of its own.
    pub fn get(&self, bucket: &[u8]) -> Option<&BucketRegister> {
        self.registers.get(bucket)
    }

    /// All registers, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &BucketRegister> {
        self.registers.values()
    }

    /// Whether requests on `bucket` can be served: not while its own `n` or `conflict` is unknown
    /// to a member.
    pub fn is_ready(&self, bucket: &[u8]) -> bool {
        self.registers.get(bucket).is_none_or(|register| register.established)
    }

    /// What a replica makes of the version of a bucket's properties that a request `named`.
    pub fn compare(&self, bucket: &[u8], named: Option<RegisterVersion>) -> Naming<'_> {
        let here = self.registers.get(bucket);
        let known = here.map(|register| register.version);
        let newer_here = here.filter(|_| known > named);
        // `n` and `conflict` never change once they are set, so only one who knows no setting at
        // all can differ in them from one who does.
        let refused = match (here, named) {
            (Some(register), None) => {
                let (ours, theirs) = (&register.properties, &self.defaults);
                ours.n != theirs.n || ours.conflict != theirs.conflict
            }
            (None, Some(_)) => true,
            (Some(_), Some(_)) | (None, None) => false,
        };
        Naming { newer_here, refused }
    }

    /// The register that a request to set properties asks for; the table itself is unchanged.
    ///
    /// `n` and `conflict` are chosen by the first setting and never change; a bucket that is
    /// already `used` without properties of its own has chosen the defaults. Asking for what is in
    /// force returns the register as it is, so that a retry is harmless.
    pub fn propose(
        &self,
        bucket: &Bytes,
        change: &BucketChange,
        used: bool,
        setter: NodeId,
    ) -> Result<BucketRegister, SetRefused> {
        check_bucket(bucket)?;
        let current = self.registers.get(bucket);
        let properties = change.apply(self.properties(bucket))?;
        if current.is_some() || used {
            check_fixed(self.properties(bucket), &properties)?;
        }
        match current {
            Some(register) if register.properties == properties => Ok(register.clone()),
            Some(register) if !register.established => Err(SetRefused::NotEstablished),
            None if self.registers.len() >= BUCKETS_MAX => Err(TableFull.into()),
            _ => {
                let counter =
                    current.map_or(1, |register| register.version.counter.saturating_add(1));
                let version = RegisterVersion { counter, setter };
                let same = properties.n == self.defaults.n
                    && properties.conflict == self.defaults.conflict;
                let established = current.is_some() || same;
                Ok(BucketRegister { name: bucket.clone(), version, properties, established })
            }
        }
    }

    /// Takes in a register, from here or from another node; says whether anything changed.
    pub fn merge(&mut self, register: BucketRegister) -> Result<bool, TableFull> {
        if let Some(known) = self.registers.get_mut(&register.name) {
            return Ok(known.merge(register));
        }
        if self.registers.len() >= BUCKETS_MAX {
            return Err(TableFull);
        }
        self.registers.insert(register.name.clone(), register);
        Ok(true)
    }

    /// Marks the setting `version` of `bucket` as stored by every member; `None` if another one is
    /// in force by now, or it was established before.
    pub fn establish(
        &mut self,
        bucket: &[u8],
        version: RegisterVersion,
    ) -> Option<&BucketRegister> {
        let register = self.registers.get_mut(bucket)?;
        if register.version != version || register.established {
            return None;
        }
        register.established = true;
        Some(register)
    }
}

/// The verdict of [`BucketTable::compare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming<'a> {
    /// What the asker does not know yet; send it.
    pub newer_here: Option<&'a BucketRegister>,
    /// The two may differ in what places or settles the bucket's data: one must learn first.
    pub refused: bool,
}

pub(super) fn check_fixed(
    old: &BucketProperties,
    new: &BucketProperties,
) -> Result<(), SetRefused> {
    let fixed = |field, old: String, new: String| SetRefused::PropertyFixed { field, old, new };
    if old.n != new.n {
        return Err(fixed("n", old.n.to_string(), new.n.to_string()));
    }
    if old.conflict != new.conflict {
        let (old, new) = (conflict_name(old.conflict), conflict_name(new.conflict));
        return Err(fixed("conflict", old.to_owned(), new.to_owned()));
    }
    Ok(())
}

/// Why properties were not set. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetRefused {
    /// The name of the bucket is empty or too long.
    #[error(transparent)]
    Name(#[from] InvalidKey),
    /// The properties would break these rules.
    #[error(transparent)]
    Invalid(#[from] Violations),
    /// A property that never changes.
    #[error("{field} is {old} and fixed since the bucket's first use; it cannot become {new}")]
    PropertyFixed {
        /// `n` or `conflict`.
        field: &'static str,
        /// The value in force.
        old: String,
        /// The value asked for.
        new: String,
    },
    /// The first setting of the bucket has not reached every member yet.
    #[error("the bucket's first setting has not reached every member yet")]
    NotEstablished,
    /// Too many buckets.
    #[error(transparent)]
    Full(#[from] TableFull),
}

/// The cluster has as many buckets with properties of their own as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{BUCKETS_MAX} buckets have properties of their own; there is no room for another")]
pub struct TableFull;
