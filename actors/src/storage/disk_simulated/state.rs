//! What a simulated disk holds, and what of it a power cut takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::{Faults, HeldSync, Losses};

/// Everything behind the lock of a simulated disk.
pub(super) struct State {
    pub names: BTreeMap<PathBuf, u64>,
    /// The names as a power cut would leave them at least.
    synced_names: BTreeMap<PathBuf, u64>,
    unsynced_names: Vec<NameChange>,
    inodes: BTreeMap<u64, Inode>,
    pub locks: BTreeSet<PathBuf>,
    /// Which life of the machine this is: handles of an earlier one are dead.
    pub life: u64,
    /// How often the machine had power.
    pub boots: u64,
    /// Numbers all changes; a sync covers those below its horizon.
    pub operations: u64,
    pub horizon: Option<u64>,
    pub holding: bool,
    pub held: Vec<HeldSync>,
    pub capacity: Option<u64>,
    pub faults: Faults,
    pub losses: Losses,
    /// Whether a power cut may leave a torn part of a write.
    pub tears: bool,
    dice: fastrand::Rng,
}

/// The bytes of a file, with and without what was not synced.
#[derive(Clone, Default)]
pub(super) struct Inode {
    pub written: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<(u64, ByteChange)>,
}

#[derive(Clone)]
enum ByteChange {
    Append(Vec<u8>),
    Truncate(usize),
}

enum NameChange {
    Set(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl State {
    pub fn new(seed: u64) -> Self {
        Self {
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            inodes: BTreeMap::new(),
            locks: BTreeSet::new(),
            life: 0,
            boots: 1,
            operations: 0,
            horizon: None,
            holding: false,
            held: Vec::new(),
            capacity: None,
            faults: Faults::default(),
            losses: Losses::default(),
            tears: true,
            dice: fastrand::Rng::with_seed(seed),
        }
    }

    pub fn copy(&self, seed: u64) -> Self {
        let settle = |(id, inode): (&u64, &Inode)| (*id, Inode::settled(inode.written.clone()));
        Self {
            names: self.names.clone(),
            synced_names: self.names.clone(),
            inodes: self.inodes.iter().map(settle).collect(),
            operations: self.operations,
            boots: self.boots,
            ..Self::new(seed)
        }
    }

    /// Begins the next life; what was requested in this one is handed back to be dropped.
    pub fn restart(&mut self) -> Vec<HeldSync> {
        self.life += 1;
        self.locks.clear();
        self.faults = Faults::default();
        self.holding = false;
        std::mem::take(&mut self.held)
    }

    pub fn lose_unsynced(&mut self) {
        let changes = std::mem::take(&mut self.unsynced_names);
        let kept = self.dice.usize(0..=changes.len());
        for change in changes.into_iter().take(kept) {
            change.apply(&mut self.synced_names);
        }
        self.names = self.synced_names.clone();
        let alive: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|id, _| alive.contains(id));
        for inode in self.inodes.values_mut() {
            inode.lose_unsynced(&mut self.dice, self.tears, &mut self.losses);
        }
    }

    pub fn check_life(&self, life: u64) -> io::Result<()> {
        if life == self.life {
            return Ok(());
        }
        Err(io::Error::other("the process that opened this was killed"))
    }

    pub fn inode_of(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub fn inode(&self, id: u64) -> io::Result<&Inode> {
        self.inodes.get(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub fn find(&self, path: &Path) -> io::Result<&Inode> {
        self.inode(self.inode_of(path)?)
    }

    pub fn overwrite(&mut self, path: &Path, bytes: Vec<u8>) {
        if let Ok(id) = self.inode_of(path) {
            self.inodes.insert(id, Inode::settled(bytes));
        }
    }

    pub fn create(&mut self, path: &Path) -> io::Result<u64> {
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.count_down()?;
        // The number of the operation that makes an inode names it.
        let id = self.operations;
        self.inodes.insert(id, Inode::default());
        self.change_names(NameChange::Set(path.to_owned(), id));
        Ok(id)
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.inode_of(from)?;
        self.count_down()?;
        self.change_names(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.inode_of(path)?;
        self.count_down()?;
        self.change_names(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    pub fn sync_names(&mut self, directory: &Path) -> io::Result<()> {
        self.count_down()?;
        let synced = &mut self.synced_names;
        self.unsynced_names.retain(|change| {
            let covered = change.path().parent() == Some(directory);
            if covered {
                change.apply(synced);
            }
            !covered
        });
        Ok(())
    }

    pub fn append(&mut self, id: u64, bytes: &[u8]) -> io::Result<()> {
        self.count_down()?;
        let (fits, failure) = self.room_for(bytes.len());
        self.change_bytes(id, ByteChange::Append(bytes[..fits].to_vec()))?;
        failure.map_or(Ok(()), |kind| Err(kind.into()))
    }

    pub fn truncate(&mut self, id: u64, length: u64) -> io::Result<()> {
        self.count_down()?;
        if self.faults.truncates {
            return Err(io::Error::other("simulated"));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.change_bytes(id, ByteChange::Truncate(length))
    }

    pub fn sync(&mut self, id: u64) -> io::Result<()> {
        self.count_down()?;
        if self.faults.syncs {
            return Err(io::Error::other("simulated"));
        }
        let horizon = self.horizon.unwrap_or(u64::MAX);
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.sync(horizon);
        }
        Ok(())
    }

    /// One more change or sync, if any may still succeed.
    fn count_down(&mut self) -> io::Result<()> {
        match &mut self.faults.all_after {
            Some(0) => Err(io::Error::other("simulated")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub fn used(&self) -> u64 {
        self.inodes.values().map(Inode::length).sum()
    }

    /// Bytes that have room yet.
    pub fn free(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    /// How much of an append gets through, and what it fails with.
    fn room_for(&self, length: usize) -> (usize, Option<io::ErrorKind>) {
        if self.faults.appends {
            return (length / 2, Some(io::ErrorKind::Other));
        }
        match usize::try_from(self.free()) {
            Ok(free) if free < length => (free, Some(io::ErrorKind::StorageFull)),
            _ => (length, None),
        }
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
        self.operations += 1;
    }

    fn change_bytes(&mut self, id: u64, change: ByteChange) -> io::Result<()> {
        let inode = self.inodes.get_mut(&id).ok_or(io::ErrorKind::NotFound)?;
        change.apply(&mut inode.written);
        inode.unsynced.push((self.operations, change));
        self.operations += 1;
        Ok(())
    }
}

impl Inode {
    fn settled(bytes: Vec<u8>) -> Self {
        Self { written: bytes.clone(), synced: bytes, unsynced: Vec::new() }
    }

    pub fn length(&self) -> u64 {
        u64::try_from(self.written.len()).unwrap_or(u64::MAX)
    }

    fn sync(&mut self, horizon: u64) {
        let covered = self.unsynced.partition_point(|(number, _)| *number < horizon);
        for (_, change) in self.unsynced.drain(..covered) {
            change.apply(&mut self.synced);
        }
    }

    /// Keeps a prefix of what was not synced, and perhaps a torn part of the write behind it.
    fn lose_unsynced(&mut self, dice: &mut fastrand::Rng, tears: bool, losses: &mut Losses) {
        let changes = std::mem::take(&mut self.unsynced);
        let kept = dice.usize(0..=changes.len());
        losses.changes += (changes.len() - kept) as u64;
        let mut survived = std::mem::take(&mut self.synced);
        for (number, (_, change)) in changes.into_iter().enumerate().take(kept + 1) {
            match change {
                change if number < kept => change.apply(&mut survived),
                ByteChange::Append(bytes) if tears => {
                    losses.torn += 1;
                    tear(&mut survived, &bytes, dice);
                }
                _ => {}
            }
        }
        *self = Self::settled(survived);
    }
}

/// Appends a prefix of `bytes`, then nothing, zeros or garbage in the place of the rest.
fn tear(survived: &mut Vec<u8>, bytes: &[u8], dice: &mut fastrand::Rng) {
    let (whole, rest) = bytes.split_at(dice.usize(0..=bytes.len()));
    survived.extend_from_slice(whole);
    match dice.u8(0..4) {
        0 => survived.extend(rest.iter().map(|_| 0)),
        1 => survived.extend(rest.iter().map(|_| dice.u8(..))),
        _ => {}
    }
}

impl ByteChange {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Truncate(length) => bytes.truncate(*length),
        }
    }
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            Self::Set(path, _) | Self::Rename(_, path) | Self::Remove(path) => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Set(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}
