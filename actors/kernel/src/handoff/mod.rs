//! Hinted handoff: what fallbacks keep for homes that were away, and how it comes home (Dynamo,
//! SOSP 2007, §4.6).
//!
//! | module | role |
//! | --- | --- |
//! | [`hint`] | which records are kept for whom, within a bound of bytes; when a mark may go |
//! | [`delivery`] | the machine that drains the hints of one home |
//!
//! A copy that a fallback has acknowledged counted towards W: it is as good as a home's, and is
//! never dropped for age or for want of room. It goes when the home has it on its disk, or, after
//! [`delivery::AGE_MAX`], when every other home that is up has it there, and at least one.

pub mod delivery;
pub mod hint;

pub use delivery::Delivery;
pub use hint::HintIndex;
