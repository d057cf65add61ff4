//! The door of a node: how many requests, and how many of their bytes, may be inside.
//!
//! An actix mailbox holds nobody back, so work is counted where it enters; past the bound the
//! answer is `overloaded`, at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use henge_kernel::coordination::RequestError;

/// When a shed client may try again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Counts what is inside against its bounds.
#[derive(Debug)]
pub struct Admission {
    requests_max: u64,
    bytes_max: u64,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Admission {
    /// A door that lets in so many requests with so many bytes of values.
    pub fn new(requests_max: u64, bytes_max: u64) -> Arc<Self> {
        let (requests, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { requests_max, bytes_max, requests, bytes })
    }

    /// Lets in a request that carries `bytes`, or refuses it.
    pub fn enter(self: &Arc<Self>, bytes: usize) -> Result<Permit, RequestError> {
        let permit = Permit { bytes: bytes as u64, door: Arc::clone(self) };
        let requests = self.requests.fetch_add(1, Relaxed) + 1;
        let inside = self.bytes.fetch_add(permit.bytes, Relaxed) + permit.bytes;
        if requests > self.requests_max || inside > self.bytes_max {
            return Err(RequestError::Overloaded { retry_after: RETRY_AFTER });
        }
        Ok(permit)
    }

    /// How many requests are inside.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }
}

/// A request's place inside; dropping it gives the place back.
#[derive(Debug)]
pub struct Permit {
    bytes: u64,
    door: Arc<Admission>,
}

impl Permit {
    /// The bytes that it was given for.
    pub fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.door.requests.fetch_sub(1, Relaxed);
        self.door.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_bounds_requests_and_bytes_and_gives_places_back() {
        let door = Admission::new(2, 100);
        let first = door.enter(60).unwrap();
        assert!(matches!(door.enter(41), Err(RequestError::Overloaded { .. })));
        let _second = door.enter(40).unwrap();
        assert!(door.enter(0).is_err(), "two requests are inside");
        drop(first);
        assert_eq!(door.requests(), 1);
        assert!(door.enter(60).is_ok());
    }
}
