//! Henge.
fn main() {}
