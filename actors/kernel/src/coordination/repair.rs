//! Read repairs of one shard on their way.
//!
//! Many reads of a key that one home is behind on want the same repair. One is under way for a key
//! and a home at a time; what others want is joined to what follows it, or is it already. How many
//! there are, and how large, is bounded, and none is begun while clients have no room: anti-entropy
//! mends what is shed, unread.

use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use super::ReplicaRecord;
use crate::{
    causality::{Conflict, Digest, Record},
    id::NodeId,
    key::Key,
    time::Instant,
};

/// Repairs of one shard that are under way at a time.
pub const REPAIRS_MAX: usize = 64;
/// Bytes of values in all of them.
pub const REPAIR_BYTES_MAX: u64 = 16 << 20;
/// After this time without an answer a repair is given up.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What becomes of a repair that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is to be sent now.
    Send,
    /// One to the same home for the same key is under way: this is that one, or follows it.
    Joined,
    /// There is no room.
    Shed,
}

/// The repairs of one shard.
#[derive(Clone, Debug, Default)]
pub struct Repairs {
    flights: BTreeMap<(NodeId, Key), Flight>,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Flight {
    digest: Digest,
    /// What is to be sent when this one is answered.
    next: Option<ReplicaRecord>,
    /// Bytes of both.
    bytes: u64,
    until: Instant,
}

impl Repairs {
    /// A home is behind on a key, and to be sent this record. `busy` says that clients have no room.
    pub fn offer(
        &mut self,
        now: Instant,
        (home, key): (NodeId, &Key),
        wanted: &ReplicaRecord,
        conflict: Conflict,
        busy: bool,
    ) -> Offered {
        self.give_up(now);
        let entry = (home, key.clone());
        let (digest, bytes) = (wanted.record.digest(), bytes_of(&wanted.record));
        let full = self.bytes.saturating_add(bytes) > REPAIR_BYTES_MAX && self.bytes > 0;
        let Some(flight) = self.flights.get_mut(&entry) else {
            if busy || full || self.flights.len() >= REPAIRS_MAX {
                return Offered::Shed;
            }
            self.begin(now, entry, digest, bytes);
            return Offered::Send;
        };
        if flight.digest == digest {
            return Offered::Joined;
        }
        if full {
            return Offered::Shed;
        }
        let next = match flight.next.take() {
            Some(held) => joined(held, wanted, conflict),
            None => wanted.clone(),
        };
        let grown = bytes_of(&next.record).saturating_add(bytes);
        self.bytes = self.bytes - flight.bytes + grown;
        (flight.next, flight.bytes) = (Some(next), grown);
        Offered::Joined
    }

    /// The repair under way was answered, or will not be. What is to be sent after it, if anything.
    pub fn ended(&mut self, now: Instant, home: NodeId, key: &Key) -> Option<ReplicaRecord> {
        let entry = (home, key.clone());
        let flight = self.flights.remove(&entry)?;
        self.bytes -= flight.bytes;
        let next = flight.next.filter(|next| next.record.digest() != flight.digest)?;
        self.begin(now, entry, next.record.digest(), bytes_of(&next.record));
        Some(next)
    }

    fn begin(&mut self, now: Instant, entry: (NodeId, Key), digest: Digest, bytes: u64) {
        self.bytes += bytes;
        let until = now.after(PATIENCE);
        self.flights.insert(entry, Flight { digest, next: None, bytes, until });
    }

    fn give_up(&mut self, now: Instant) {
        for (_, flight) in self.flights.extract_if(.., |_, flight| now > flight.until) {
            self.bytes -= flight.bytes;
        }
    }
}

fn joined(mut held: ReplicaRecord, wanted: &ReplicaRecord, conflict: Conflict) -> ReplicaRecord {
    Arc::make_mut(&mut held.record).merge_once(&wanted.record, conflict);
    held.generation = held.generation.min(wanted.generation);
    held
}

/// Bytes of the values of a record: the rest is small.
fn bytes_of(record: &Record) -> u64 {
    record.value_bytes() as u64
}
