//! Room on the disk: a shard stops taking values before nothing is left, so that deletes, and the
//! marks of hints that were delivered, still find a place to be written down.

/// What is reserved is begun only by what brings no value. A disk that was nearly full takes values
/// again when an eighth more than that is free, so that it does not waver.
const MARGIN: u64 = 8;

/// Of what is reserved all shards of a node together may write a quarter unseen.
const UNSEEN: u64 = 4;

/// What one shard knows of the room on the disk that it shares with others. The disk is looked at
/// now and then; in between, what the shard writes is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    reserve: u64,
    /// Bytes that this shard writes without another look.
    unseen_max: u64,
    /// Bytes that were free at the last look, and where the log ended then.
    free: u64,
    end: u64,
    /// The size of what the disk had no room for since it was full.
    missed: u64,
    full: bool,
}

/// There is no room for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk has {free} bytes left; puts need {needed}")]
pub struct NoRoom {
    /// Bytes left.
    pub free: u64,
    /// Bytes that must be left for a value to be taken, the reserve included.
    pub needed: u64,
}

impl Room {
    /// Room on a disk that was not looked at yet, and so is taken for endless. `reserve` is in bytes,
    /// and `shards` write to the disk.
    pub fn new(reserve: u64, shards: u16) -> Self {
        let unseen_max = reserve / UNSEEN / u64::from(shards.max(1));
        Self { reserve, unseen_max, free: u64::MAX, end: 0, missed: 0, full: false }
    }

    /// Whether values are refused.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Bytes that were free at the last look.
    pub fn free(&self) -> u64 {
        self.free
    }

    /// Whether the log, which ends at byte `end` now, has grown so far since the last look that it is
    /// time for another.
    pub fn is_stale(&self, end: u64) -> bool {
        !self.full && end.saturating_sub(self.end) > self.unseen_max
    }

    /// So many bytes are free, and the log ends at byte `end`.
    pub fn look(&mut self, free: u64, end: u64) {
        (self.free, self.end) = (free, end);
        if free < self.reserve {
            self.full = true;
        } else if free >= self.enough() {
            (self.full, self.missed) = (false, 0);
        }
    }

    /// The disk has refused a write of so many bytes. So many are free, too few of them.
    pub fn exhaust(&mut self, free: u64, needed: u64, end: u64) {
        (self.free, self.end) = (free, end);
        (self.full, self.missed) = (true, needed);
    }

    /// Whether a value of so many bytes may be taken, if the log will end at byte `end` without it.
    /// What leaves the reserve whole may begin it: a value is never divided.
    pub fn admit(&mut self, end: u64, bytes: u64) -> Result<(), NoRoom> {
        let free = self.free.saturating_sub(end.saturating_sub(self.end));
        self.full |= free < self.reserve;
        if !self.full {
            return Ok(());
        }
        let needed = self.enough().max(self.reserve.saturating_add(bytes));
        Err(NoRoom { free, needed })
    }

    /// Bytes that must be free for values to be taken again.
    fn enough(&self) -> u64 {
        self.missed.max(self.reserve.saturating_add(self.reserve / MARGIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at(free: u64) -> Room {
        let mut room = Room::new(800, 2);
        room.look(free, 1_000);
        room
    }

    #[test]
    fn values_are_refused_when_less_than_the_reserve_is_left() {
        assert_eq!(looked_at(800).admit(1_000, 10), Ok(()));
        assert_eq!(looked_at(799).admit(1_000, 10), Err(NoRoom { free: 799, needed: 900 }));
        assert_eq!(looked_at(799).admit(1_000, 200), Err(NoRoom { free: 799, needed: 1_000 }));
    }

    #[test]
    fn what_was_written_since_the_last_look_counts() {
        let mut room = looked_at(1_000);
        assert_eq!(room.admit(1_200, 10), Ok(()));
        assert_eq!(room.admit(1_201, 10), Err(NoRoom { free: 799, needed: 900 }));
        assert!(room.is_full());
    }

    #[test]
    fn all_shards_together_write_a_quarter_of_the_reserve_unseen() {
        let room = looked_at(10_000);
        assert!(!room.is_stale(1_100));
        assert!(room.is_stale(1_101));
    }

    #[test]
    fn it_ends_with_an_eighth_more_and_does_not_waver() {
        let mut room = looked_at(799);
        assert!(room.is_full());
        room.look(899, 1_000);
        assert!(room.is_full());
        room.look(900, 1_000);
        assert!(!room.is_full());
        room.look(800, 1_000);
        assert!(!room.is_full());
    }

    #[test]
    fn a_disk_that_had_no_room_takes_values_when_what_it_missed_would_fit() {
        for reserve in [1, 800] {
            let mut room = Room::new(reserve, 1);
            room.exhaust(50, 5_000, 0);
            assert_eq!(room.admit(0, 10), Err(NoRoom { free: 50, needed: 5_000 }));
            room.look(4_999, 0);
            assert!(room.is_full());
            room.look(5_000, 0);
            assert_eq!(room.admit(0, 10), Ok(()));
        }
    }
}
