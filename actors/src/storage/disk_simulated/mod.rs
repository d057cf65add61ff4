//! A disk in memory for tests and simulations: it can be killed, cut from power, filled and
//! damaged, and does the same again for the same seed.
//!
//! Each file remembers what was written since its last sync, each directory the names that changed
//! since its own. A power cut keeps, by seed, some prefix of those, and may tear the write behind
//! that prefix: a part of it survives, followed by zeros, garbage or nothing.
//!
//! There are no threads. A requested sync completes within the request, or, after
//! [`SimulatedDisk::hold_syncs`], when [`SimulatedDisk::run_syncs`] is called.

mod state;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::disk::{Disk, DiskFile, DiskLock, SyncDone, SyncLane};
use state::{Inode, State};

/// The disk of one simulated machine. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    shared: Arc<Mutex<State>>,
}

/// Which operations fail from now on.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Faults {
    /// Appends write half of their bytes, then fail.
    pub appends: bool,
    /// Syncs of files fail, having synced nothing.
    pub syncs: bool,
    /// Truncations fail.
    pub truncates: bool,
    /// Reads fail.
    pub reads: bool,
    /// After so many more changes and syncs, every one fails: the power is about to go.
    pub all_after: Option<u64>,
}

/// What power cuts took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Changes of files that were not synced, and are gone.
    pub changes: u64,
    /// The appends among them of which a part may be left, or garbage.
    pub torn: u64,
}

impl SimulatedDisk {
    /// An empty disk, whose power cuts are decided by `seed`.
    pub fn new(seed: u64) -> Self {
        Self { shared: Arc::new(Mutex::new(State::new(seed))) }
    }

    /// The machine's process is killed: what was written stays, locks, faults and requested syncs
    /// go, and files that were open answer with errors.
    pub fn kill(&self) {
        let held = self.state().restart();
        drop(held);
    }

    /// The machine loses its power: as [`SimulatedDisk::kill`], and what was not synced may be lost.
    pub fn power_cut(&self) {
        let mut state = self.state();
        let held = state.restart();
        state.lose_unsynced();
        state.boots += 1;
        drop(state);
        drop(held);
    }

    /// A disk of its own that holds what this one holds, all of it synced, as if it had been copied
    /// after a kill.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        Self { shared: Arc::new(Mutex::new(self.state().copy(seed))) }
    }

    /// From now on syncs wait for [`SimulatedDisk::run_syncs`].
    pub fn hold_syncs(&self) {
        self.state().holding = true;
    }

    /// Completes the syncs that wait, in the order of their requests; later ones complete at once
    /// again. Returns how many waited.
    pub fn run_syncs(&self) -> usize {
        let held = {
            let mut state = self.state();
            state.holding = false;
            std::mem::take(&mut state.held)
        };
        let count = held.len();
        for sync in held {
            sync.run(&self.shared);
        }
        count
    }

    /// Lets the disk have room for `bytes` in all, or without end.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes that all files have together.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Chooses which operations fail from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Chooses whether a power cut may leave a torn part of a write; at first it may.
    pub fn set_tearing(&self, tears: bool) {
        self.state().tears = tears;
    }

    /// What power cuts took so far.
    pub fn losses(&self) -> Losses {
        self.state().losses
    }

    /// The files under `directory`, in byte order.
    pub fn files(&self, directory: &Path) -> Vec<PathBuf> {
        self.state().names.keys().filter(|path| path.starts_with(directory)).cloned().collect()
    }

    /// What `path` holds.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        self.state().find(path).ok().map(|inode| inode.written.clone())
    }

    /// Puts `bytes` in the place of what `path` holds, durably and without a trace: damage.
    pub fn overwrite(&self, path: &Path, bytes: Vec<u8>) {
        self.state().overwrite(path, bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }

    fn handle(&self, state: &State, inode: u64) -> Arc<dyn DiskFile> {
        Arc::new(OpenInode { shared: Arc::clone(&self.shared), inode, life: state.life })
    }
}

impl Disk for SimulatedDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let inode = state.create(path)?;
        Ok(self.handle(&state, inode))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        let inode = state.inode_of(path)?;
        Ok(self.handle(&state, inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(directory));
        let names = inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.state().sync_names(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (path, life) = (path.to_owned(), state.life);
        Ok(Box::new(HeldLock { shared: Arc::clone(&self.shared), path, life }))
    }

    fn boot(&self) -> u64 {
        self.state().boots
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.state().free())
    }

    fn sync_lane(&self, _: &str) -> io::Result<Box<dyn SyncLane>> {
        let life = self.state().life;
        Ok(Box::new(Lane { shared: Arc::clone(&self.shared), life }))
    }
}

/// An open file of one life of the machine.
struct OpenInode {
    shared: Arc<Mutex<State>>,
    inode: u64,
    life: u64,
}

impl OpenInode {
    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.shared);
        state.check_life(self.life)?;
        act(&mut state, self.inode)
    }

    fn inode<T>(&self, act: impl FnOnce(&Inode) -> io::Result<T>) -> io::Result<T> {
        self.with(|state, inode| act(state.inode(inode)?))
    }
}

impl DiskFile for OpenInode {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.with(|state, inode| state.append(inode, bytes))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|state, inode| {
            if state.faults.reads {
                return Err(io::Error::other("the disk does not read"));
            }
            let inode = state.inode(inode)?;
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = inode.written.get(start..start.saturating_add(buffer.len()));
            buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.with(|state, inode| state.truncate(inode, length))
    }

    fn length(&self) -> io::Result<u64> {
        self.inode(|inode| Ok(inode.length()))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(State::sync)
    }
}

struct HeldLock {
    shared: Arc<Mutex<State>>,
    path: PathBuf,
    life: u64,
}

impl DiskLock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        if state.check_life(self.life).is_ok() {
            state.locks.remove(&self.path);
        }
    }
}

struct Lane {
    shared: Arc<Mutex<State>>,
    life: u64,
}

impl SyncLane for Lane {
    fn request(&self, file: Arc<dyn DiskFile>, done: SyncDone) {
        let mut state = lock(&self.shared);
        if let Err(dead) = state.check_life(self.life) {
            drop(state);
            return done(Err(dead));
        }
        let held = HeldSync { file, horizon: state.operations, done };
        if state.holding {
            state.held.push(held);
        } else {
            drop(state);
            held.run(&self.shared);
        }
    }
}

/// A requested sync that covers what was written before the request, and no more than that.
struct HeldSync {
    file: Arc<dyn DiskFile>,
    horizon: u64,
    done: SyncDone,
}

impl HeldSync {
    fn run(self, shared: &Mutex<State>) {
        lock(shared).horizon = Some(self.horizon);
        let synced = self.file.sync();
        lock(shared).horizon = None;
        (self.done)(synced);
    }
}

/// A test that panicked elsewhere leaves the state whole: each operation is one step.
fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a power cut leaves of a synced "a", a "b" written during a sync that covers "a" alone,
    /// and a name that was never synced.
    fn survivors(seed: u64) -> (Vec<PathBuf>, Vec<u8>) {
        let disk = SimulatedDisk::new(seed);
        let path = Path::new("/dir/file");
        let file = disk.create(path).unwrap();
        disk.sync_dir(Path::new("/dir")).unwrap();
        disk.create(Path::new("/dir/other")).unwrap();
        let lane = disk.sync_lane("test").unwrap();
        file.append(b"a").unwrap();
        disk.hold_syncs();
        lane.request(Arc::clone(&file), Box::new(|synced| synced.unwrap()));
        file.append(b"b").unwrap();
        assert_eq!(disk.run_syncs(), 1);
        disk.power_cut();
        assert!(file.append(b"c").is_err(), "the process that opened it is gone");
        (disk.files(Path::new("/dir")), disk.contents(path).unwrap())
    }

    #[test]
    fn a_power_cut_takes_no_more_than_what_was_not_synced_and_sometimes_that() {
        let all: Vec<_> = (0..100).map(survivors).collect();
        assert!(all.iter().all(|(_, bytes)| bytes.starts_with(b"a")));
        for whole in [true, false] {
            assert!(all.iter().any(|(_, bytes)| (bytes == b"ab") == whole));
            assert!(all.iter().any(|(names, _)| (names.len() == 2) == whole));
        }
    }

    #[test]
    fn the_same_seed_takes_the_same() {
        assert!((0..100).all(|seed| survivors(seed) == survivors(seed)));
    }
}
