//! Henge.
