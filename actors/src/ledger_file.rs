//! The ledger of a shard on disk: which of its partitions and records may be incomplete, and what
//! it owes to nodes that were away.
//!
//! The file lies beside the log and is written whenever an entry comes or goes, before anybody is
//! answered on the strength of it. What the shard is in doubt about when it opens its log follows
//! from both:
//!
//! - without the file nothing is known of the log: the disk is new, whatever the node was before;
//! - the log ends before the change that the file knows to be durable: it was cut or replaced;
//! - the machine has been started anew since, and the shard was not closed: what was not synced may
//!   be gone;
//! - the log has damage that the file knows nothing of: nobody can say whose records those were.
//!
//! Then every partition is in doubt. Damage stays in a log that only grows, so its fingerprint is
//! kept: what was made up for once is not in doubt again at the next start.

use std::{path::Path, sync::Arc};

use henge_kernel::{
    anti_entropy::Ledger,
    id::NodeId,
    key::{Key, PartitionCount, PartitionId},
};
use serde::{Deserialize, Serialize};
use tracing::error;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    events::STORAGE,
    storage::{
        Sequence, StorageError,
        disk::Disk,
        log::OpenReport,
        state_file::{StateFile, StateFormat},
    },
};

const FORMAT: StateFormat =
    StateFormat { magic: *b"HENGELED", version: 1, what: "ledger of a shard" };

/// The file `ledger` in the directory of a log.
#[derive(Clone)]
pub struct LedgerFile {
    file: StateFile,
    boot: u64,
    damage: u64,
}

/// What lies in a shard's directory beside its log.
pub struct OpenedLedger {
    /// Where it is written.
    pub file: LedgerFile,
    /// What it says now.
    pub ledger: Ledger,
    /// Why every partition is in doubt, if so.
    pub lost: Option<&'static str>,
}

/// The log as it was opened.
#[derive(Clone, Copy, Debug)]
pub struct LogFound<'a> {
    /// The directory that it lies in.
    pub directory: &'a Path,
    /// Its last change.
    pub last: Sequence,
    /// What was found in it.
    pub report: &'a OpenReport,
}

/// The stored form.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    /// The machine's start under which the shard ran.
    boot: u64,
    /// Whether the shard was closed, everything synced.
    closed: bool,
    /// A change of the log that was durable.
    last: u64,
    /// Fingerprint of the damage that was known.
    damage: u64,
    incomplete: Vec<u16>,
    /// Bucket and key, with their partition.
    quarantined: Vec<(u16, Vec<u8>, Vec<u8>)>,
    owed: Vec<(u64, u16)>,
}

impl LedgerFile {
    /// Reads the ledger beside a log that was just opened, and notes that the shard runs. `own` are
    /// the partitions of the shard; entries are numbered behind `number`.
    pub fn open(
        disk: Arc<dyn Disk>,
        found: LogFound<'_>,
        own: impl Iterator<Item = PartitionId>,
        number: u64,
    ) -> Result<OpenedLedger, StorageError> {
        let boot = disk.boot();
        let state_file = StateFile::new(disk, found.directory, "ledger", FORMAT);
        let file = Self { file: state_file, boot, damage: fingerprint(found.report) };
        let stored = file.read()?;
        let lost = file.judge(stored.as_ref(), found.last);
        let mut ledger = Ledger::behind(number);
        stored.unwrap_or_default().enter_into(&mut ledger);
        if lost.is_some() {
            own.for_each(|partition| ledger.doubt(partition));
        }
        file.write(&ledger, found.last, false)?;
        Ok(OpenedLedger { file, ledger, lost })
    }

    /// Replaces the content; durable when this returns. The log is known to be durable through
    /// `last`; once the shard is `closed`, nothing is written to it.
    pub fn write(&self, ledger: &Ledger, last: Sequence, closed: bool) -> Result<(), StorageError> {
        let quarantined = ledger
            .quarantined()
            .map(|(partition, key)| (partition.0, key.bucket().to_vec(), key.key().to_vec()));
        let stored = Stored {
            boot: self.boot,
            closed,
            last: last.0,
            damage: self.damage,
            incomplete: ledger.incomplete().map(|partition| partition.0).collect(),
            quarantined: quarantined.collect(),
            owed: ledger.owed().map(|(node, partition)| (node.0, partition.0)).collect(),
        };
        let content = serde_json::to_vec(&stored).map_err(|error| self.damaged(&error))?;
        self.file.write(&content)
    }

    /// The content; none if there is none that holds, or only the one before the last.
    fn read(&self) -> Result<Option<Stored>, StorageError> {
        let state = match self.file.read() {
            Err(StorageError::DamagedFile { path, detail }) => {
                error!(target: STORAGE, path = %path.display(), detail, "the ledger is damaged");
                None
            }
            state => state?.filter(|state| state.fallback.is_none()),
        };
        let read = |content: &[u8]| serde_json::from_slice(content);
        state.map(|state| read(&state.content)).transpose().map_err(|error| self.damaged(&error))
    }

    /// Why the log may lack what it once held.
    fn judge(&self, stored: Option<&Stored>, last: Sequence) -> Option<&'static str> {
        let Some(stored) = stored else { return Some("nothing is known of this disk") };
        let restarted = stored.boot != self.boot || self.boot == 0;
        if last.0 < stored.last {
            Some("the log ends before what was durable")
        } else if restarted && !stored.closed {
            Some("the machine went down before the log was closed")
        } else if self.damage != 0 && self.damage != stored.damage {
            Some("the log is damaged where the keys cannot be read")
        } else {
            None
        }
    }

    fn damaged(&self, error: &serde_json::Error) -> StorageError {
        StorageError::DamagedFile { path: self.file.path(), detail: error.to_string() }
    }
}

impl Stored {
    fn enter_into(self, ledger: &mut Ledger) {
        for partition in self.incomplete {
            ledger.doubt(PartitionId(partition));
        }
        for (partition, bucket, key) in self.quarantined {
            // What was a key once is one.
            if let Ok(key) = Key::new(bucket, key) {
                ledger.quarantine(PartitionId(partition), key);
            }
        }
        for (node, partition) in self.owed {
            ledger.owe(NodeId(node), PartitionId(partition));
        }
    }
}

/// The partitions of one of `shards` shards.
pub fn own_partitions(
    partitions: PartitionCount,
    shard: u16,
    shards: u16,
) -> impl Iterator<Item = PartitionId> {
    partitions.all().filter(move |partition| partition.shard(shards) == shard)
}

/// Tells damage from other damage; 0 for none.
fn fingerprint(report: &OpenReport) -> u64 {
    if report.losses == 0 {
        return 0;
    }
    let places =
        report.listed.iter().map(|loss| format!("{}:{} ", loss.path.display(), loss.offset));
    xxh3_64(format!("{} {}", report.losses, places.collect::<String>()).as_bytes()).max(1)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::storage::{disk_simulated::SimulatedDisk, log::Loss};

    const DIRECTORY: &str = "/data/shard-0";

    fn loss(offset: u32) -> OpenReport {
        let lost = Loss { path: PathBuf::from("/data/shard-0/1"), offset, what: "a test" };
        OpenReport { losses: 1, listed: vec![lost], ..OpenReport::default() }
    }

    fn open_with(disk: &SimulatedDisk, last: u64, report: &OpenReport) -> OpenedLedger {
        let found = LogFound { directory: Path::new(DIRECTORY), last: Sequence(last), report };
        let own = [3, 7].map(PartitionId).into_iter();
        LedgerFile::open(Arc::new(disk.clone()), found, own, 0).unwrap()
    }

    fn open(disk: &SimulatedDisk, last: u64) -> OpenedLedger {
        open_with(disk, last, &OpenReport::default())
    }

    /// A disk whose ledger was settled when its log was through change 5.
    fn settled() -> SimulatedDisk {
        let disk = SimulatedDisk::new(1);
        open(&disk, 0).file.write(&Ledger::default(), Sequence(5), false).unwrap();
        disk
    }

    #[test]
    fn a_new_disk_is_in_doubt_until_that_is_settled() {
        let disk = SimulatedDisk::new(1);
        for _ in 0..2 {
            let opened = open(&disk, 0);
            assert_eq!(opened.ledger.incomplete().count(), 2, "also after another start");
        }
        assert_eq!(open(&settled(), 5).ledger, Ledger::default());
    }

    #[test]
    fn a_log_that_ends_before_what_was_durable_is_in_doubt() {
        assert!(open(&settled(), 4).lost.is_some());
        assert!(open(&settled(), 6).lost.is_none());
    }

    #[test]
    fn a_kill_leaves_no_doubt_and_a_power_cut_does_unless_the_shard_was_closed() {
        let disk = settled();
        disk.kill();
        assert!(open(&disk, 5).lost.is_none());
        disk.power_cut();
        assert!(open(&disk, 5).lost.is_some());
        let disk = settled();
        open(&disk, 5).file.write(&Ledger::default(), Sequence(5), true).unwrap();
        disk.power_cut();
        assert!(open(&disk, 5).lost.is_none());
        disk.power_cut();
        assert!(open(&disk, 5).lost.is_some(), "it ran again");
    }

    #[test]
    fn damage_is_in_doubt_once() {
        let disk = settled();
        assert!(open_with(&disk, 5, &loss(16)).lost.is_some());
        assert!(open_with(&disk, 5, &loss(16)).lost.is_none(), "and noted");
        assert_eq!(open_with(&disk, 5, &loss(16)).ledger.incomplete().count(), 2);
        assert!(open_with(&disk, 5, &loss(99)).lost.is_some(), "this is another");
    }

    #[test]
    fn a_ledger_that_does_not_hold_leaves_all_in_doubt() {
        let disk = settled();
        let path = Path::new(DIRECTORY).join("ledger");
        let mut bytes = disk.contents(&path).unwrap();
        bytes[20] ^= 1;
        disk.overwrite(&path, bytes);
        assert!(open(&disk, 5).lost.is_some(), "the one before it is not good enough");
    }

    #[test]
    fn entries_come_back() {
        let disk = settled();
        let mut ledger = Ledger::default();
        let key = Key::new("bucket", vec![0xff, 0]).unwrap();
        ledger.doubt(PartitionId(9));
        ledger.quarantine(PartitionId(3), key.clone());
        ledger.owe(NodeId(u64::MAX), PartitionId(7));
        open(&disk, 5).file.write(&ledger, Sequence(5), false).unwrap();
        disk.power_cut();
        let read = open(&disk, 5).ledger;
        assert_eq!(read.quarantined().collect::<Vec<_>>(), [(PartitionId(3), &key)]);
        assert_eq!(read.owed().collect::<Vec<_>>(), [(NodeId(u64::MAX), PartitionId(7))]);
        assert_eq!(read.incomplete().count(), 3);
    }
}
