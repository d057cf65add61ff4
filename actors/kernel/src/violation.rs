//! A broken rule, in words for whoever broke it.

use core::fmt;
use std::borrow::Cow;

/// One broken rule: the field, its value and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; it must be {limit}")]
pub struct Violation {
    /// The field: a property of a bucket, or a part of a value.
    pub field: Cow<'static, str>,
    /// The refused value, as text.
    pub value: String,
    /// What would be accepted, as text with its numbers.
    pub limit: String,
}

impl Violation {
    pub(crate) fn new(
        field: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        limit: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), value: value.to_string(), limit: limit.into() }
    }
}
