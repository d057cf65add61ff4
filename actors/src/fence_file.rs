//! The fences of a shard on disk: at which generation it is in each partition, so that what was
//! deleted for good stays deleted when the shard comes back.
//!
//! The file lies beside the log, and is written and synced before anything that follows from a
//! change of it is said or done, whatever the durability of the buckets. Should it be damaged, the
//! one before it is read, or none: then the shard is like one whose disk was restored from a backup,
//! learns from its peers how far they are, and is filled anew.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use henge_kernel::{causality::Stamp, coordination::Generation, key::PartitionId, reaping::Fence};
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::{
    events::STORAGE,
    storage::{
        StorageError,
        disk::Disk,
        state_file::{StateFile, StateFormat},
    },
};

const FORMAT: StateFormat =
    StateFormat { magic: *b"HENGEFEN", version: 1, what: "fences of a shard" };

/// The file `fences` in the directory of a log.
pub struct FenceFile(StateFile);

/// What is kept of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What the shard has promised, and knows to be finished.
    pub fence: Fence,
    /// The shard was left behind, and what it holds of the partition is on its way out of its log.
    pub clearing: bool,
    /// How many records of the partition were ever set aside.
    pub aside: u64,
}

/// The partitions that are not as at birth.
pub type Fences = BTreeMap<PartitionId, Kept>;

/// The stored form of one partition.
#[derive(Serialize, Deserialize)]
struct Stored {
    partition: u16,
    generation: u64,
    finished: u64,
    reaped: u64,
    clearing: bool,
    aside: u64,
}

impl FenceFile {
    /// The file in `directory`; touches nothing yet.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        Self(StateFile::new(disk, directory, "fences", FORMAT))
    }

    /// The fences as they were last written, as far as the file holds.
    pub fn read(&self) -> Result<Fences, StorageError> {
        let state = match self.0.read() {
            Err(StorageError::DamagedFile { path, detail }) => {
                error!(target: STORAGE, path = %path.display(), detail, "the fences are damaged");
                None
            }
            state => state?,
        };
        let Some(state) = state else { return Ok(Fences::new()) };
        let stored: Vec<Stored> =
            serde_json::from_slice(&state.content).map_err(|error| self.damaged(&error))?;
        Ok(stored.into_iter().map(|stored| (PartitionId(stored.partition), stored.own())).collect())
    }

    /// Replaces the fences; durable when this returns.
    pub fn write(&self, fences: &Fences) -> Result<(), StorageError> {
        let stored: Vec<_> =
            fences.iter().map(|(partition, kept)| Stored::of(*partition, kept)).collect();
        let content = serde_json::to_vec(&stored).map_err(|error| self.damaged(&error))?;
        self.0.write(&content)
    }

    fn damaged(&self, error: &serde_json::Error) -> StorageError {
        StorageError::DamagedFile { path: self.0.path(), detail: error.to_string() }
    }
}

impl Stored {
    fn of(partition: PartitionId, kept: &Kept) -> Self {
        let Kept { fence, clearing, aside } = *kept;
        let (partition, reaped) = (partition.0, fence.reaped.0);
        let (generation, finished) = (fence.generation.0, fence.finished.0);
        Self { partition, generation, finished, reaped, clearing, aside }
    }

    fn own(self) -> Kept {
        let (generation, finished) = (Generation(self.generation), Generation(self.finished));
        let fence = Fence { generation, finished, reaped: Stamp(self.reaped) };
        Kept { fence, clearing: self.clearing, aside: self.aside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk_simulated::SimulatedDisk;

    const DIRECTORY: &str = "/data/shard-0";

    fn file(disk: &SimulatedDisk) -> FenceFile {
        FenceFile::new(Arc::new(disk.clone()), Path::new(DIRECTORY))
    }

    fn kept(generation: u64) -> Kept {
        let finished = Generation(generation - 1);
        let fence = Fence { generation: Generation(generation), finished, reaped: Stamp(5) };
        Kept { fence, clearing: true, aside: 9 }
    }

    #[test]
    fn fences_survive_a_power_cut() {
        let disk = SimulatedDisk::new(1);
        disk.create_dir(Path::new(DIRECTORY)).unwrap();
        assert_eq!(file(&disk).read().unwrap(), Fences::new());
        let fences = Fences::from([(PartitionId(3), kept(7)), (PartitionId(65_535), kept(1))]);
        file(&disk).write(&fences).unwrap();
        disk.power_cut();
        assert_eq!(file(&disk).read().unwrap(), fences);
    }

    #[test]
    fn a_damaged_file_leaves_the_one_before_it_or_none() {
        let disk = SimulatedDisk::new(1);
        disk.create_dir(Path::new(DIRECTORY)).unwrap();
        let fences = |generation| Fences::from([(PartitionId(3), kept(generation))]);
        file(&disk).write(&fences(1)).unwrap();
        file(&disk).write(&fences(2)).unwrap();
        for (name, expected) in [("fences", fences(1)), ("fences.prev", Fences::new())] {
            let path = Path::new(DIRECTORY).join(name);
            let mut bytes = disk.contents(&path).unwrap();
            bytes[20] ^= 1;
            disk.overwrite(&path, bytes);
            assert_eq!(file(&disk).read().unwrap(), expected);
        }
    }
}
