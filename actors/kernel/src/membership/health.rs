//! What a node says about itself. It is shown, and never moves ownership.

use core::time::Duration;

use bytes::{Buf, BufMut};

use crate::{id::NodeId, time::WallMillis};

/// How far a node's wall clock may be off its peers' median before it says so.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

/// Of how many homes a report tells the hints: as many as fit a packet.
pub const HINTED_HOMES_MAX: usize = 40;

/// The state of a node's own storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StorageState {
    /// Takes writes.
    Ok,
    /// Takes writes, and may lack some that it once acknowledged: reads do not rely on it until the
    /// other homes have been asked.
    Incomplete,
    /// Nearly full: refuses puts, takes deletes, reads, handoff out.
    Full,
    /// A write or sync failed: acknowledges nothing any more.
    Poisoned,
}

/// What a node keeps for a home that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HintsKept {
    /// Which home.
    pub home: NodeId,
    /// How many hints.
    pub count: u64,
    /// Since when the oldest is kept, by the clock of the node that keeps it.
    pub oldest: WallMillis,
}

/// A node's own report about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfHealth {
    /// The longest that an event loop of the node was late since the last report, in milliseconds.
    pub loop_lag_ms: u32,
    /// The worst state among its shards.
    pub storage: StorageState,
    /// Its wall clock when it reported.
    pub wall: WallMillis,
    /// Keys in its logs, tombstones and hinted copies included.
    pub keys: u64,
    /// Bytes of its logs on the disk.
    pub disk_bytes: u64,
    /// What it keeps for others; of more than [`HINTED_HOMES_MAX`] homes the first are told.
    pub hints: Vec<HintsKept>,
}

impl SelfHealth {
    const FIXED_BYTES: usize = 30;
    const BYTES_A_HOME: usize = 24;

    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        to.put_u32(self.loop_lag_ms);
        to.put_u8(match self.storage {
            StorageState::Ok => 0,
            StorageState::Full => 1,
            StorageState::Poisoned => 2,
            StorageState::Incomplete => 3,
        });
        to.put_u64(self.wall.0);
        to.put_u64(self.keys);
        to.put_u64(self.disk_bytes);
        let told = &self.hints[..self.hints.len().min(HINTED_HOMES_MAX)];
        to.put_u8(u8::try_from(told.len()).unwrap_or(u8::MAX));
        for HintsKept { home, count, oldest } in told {
            to.put_u64(home.0);
            to.put_u64(*count);
            to.put_u64(oldest.0);
        }
    }

    pub(super) fn decode(from: &mut impl Buf) -> Option<Self> {
        if from.remaining() < Self::FIXED_BYTES {
            return None;
        }
        let loop_lag_ms = from.get_u32();
        let storage = match from.get_u8() {
            0 => StorageState::Ok,
            1 => StorageState::Full,
            2 => StorageState::Poisoned,
            3 => StorageState::Incomplete,
            _ => return None,
        };
        let (wall, keys, disk_bytes) = (WallMillis(from.get_u64()), from.get_u64(), from.get_u64());
        let homes = usize::from(from.get_u8());
        if homes > HINTED_HOMES_MAX || from.remaining() < homes * Self::BYTES_A_HOME {
            return None;
        }
        let mut hints_kept = || HintsKept {
            home: NodeId(from.get_u64()),
            count: from.get_u64(),
            oldest: WallMillis(from.get_u64()),
        };
        let hints = (0..homes).map(|_| hints_kept()).collect();
        Some(Self { loop_lag_ms, storage, wall, keys, disk_bytes, hints })
    }
}

/// How far `theirs` is ahead of `ours`, in milliseconds; saturates.
pub(super) fn clock_offset(ours: WallMillis, theirs: WallMillis) -> i64 {
    let offset = i128::from(theirs.0) - i128::from(ours.0);
    i64::try_from(offset).unwrap_or(if offset > 0 { i64::MAX } else { i64::MIN })
}

/// How far this node's wall clock is ahead of the median of all clocks, its own among them, in milliseconds, if that is more
/// than [`CLOCK_SKEW_MAX`] either way. `offsets` says how far each peer is ahead of this node.
pub fn clock_skew(offsets: impl IntoIterator<Item = i64>) -> Option<i64> {
    skew_of(0, offsets)
}

/// The same of a peer's clock, which is ahead of this node's by `offset`.
pub fn skew_of(offset: i64, offsets: impl IntoIterator<Item = i64>) -> Option<i64> {
    // Its own clock counts too: among three, one wrong clock must not make the right ones doubt.
    let mut offsets: Vec<i64> = offsets.into_iter().chain([0]).collect();
    offsets.sort_unstable();
    let upper = *offsets.get(offsets.len() / 2)?;
    let lower = offsets[(offsets.len() - 1) / 2];
    let skew = offset.saturating_sub(lower.midpoint(upper));
    (u128::from(skew.unsigned_abs()) > CLOCK_SKEW_MAX.as_millis()).then_some(skew)
}
