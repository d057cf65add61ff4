//! Where the newest record of each key lies.

use std::num::NonZeroU32;

use henge_kernel::key::{Key, Token};

use crate::storage::directory::Directory;

/// The place of an entry on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub segment: u32,
    pub offset: u32,
    /// Of the whole entry, in bytes. Never zero, so that a missing location takes no room.
    length: NonZeroU32,
}

impl Location {
    /// A place, if the length fits the format.
    pub fn new(segment: u32, offset: u32, length: usize) -> Option<Self> {
        let length = u32::try_from(length).ok().and_then(NonZeroU32::new)?;
        Some(Self { segment, offset, length })
    }

    /// Length of the whole entry, in bytes.
    pub fn length(self) -> u32 {
        self.length.get()
    }
}

/// What the directory says of a key's newest record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newest {
    /// It lies here.
    At(Location),
    /// It did not hold when the log was opened: the key is quarantined.
    Damaged,
}

/// The directory of a log, with what it adds up to.
pub struct Index {
    pub directory: Directory<Newest>,
    /// Bytes of the entries that the directory points to.
    pub live_bytes: u64,
    pub quarantined: u64,
}

impl Index {
    pub fn new() -> Self {
        Self { directory: Directory::new(), live_bytes: 0, quarantined: 0 }
    }

    /// The newest record of `key` lies at `location`.
    pub fn record(&mut self, token: Token, key: &Key, location: Location) {
        let replaced = self.directory.insert(token, key, Newest::At(location));
        self.live_bytes += u64::from(location.length());
        self.forget(replaced);
    }

    /// `key` has no record.
    pub fn remove(&mut self, token: Token, key: &Key) {
        let removed = self.directory.remove(token, key);
        self.forget(removed);
    }

    /// The newest record of `key` is damaged.
    pub fn quarantine(&mut self, token: Token, key: &Key) {
        let replaced = self.directory.insert(token, key, Newest::Damaged);
        self.quarantined += 1;
        self.forget(replaced);
    }

    fn forget(&mut self, had: Option<Newest>) {
        match had {
            Some(Newest::At(location)) => self.live_bytes -= u64::from(location.length()),
            Some(Newest::Damaged) => self.quarantined -= 1,
            None => {}
        }
    }
}
