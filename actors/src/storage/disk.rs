//! The disk, as far as the storage needs one: everything that touches a file system goes through
//! here, so that a test can put a machine without one, and without mercy, in its place.
//!
//! Calls are synchronous, because writes to the page cache and reads from it are faster than any
//! hand-over to a thread. Those that wait for the device say so; in ordinary service that wait is a
//! request with a completion instead, see [`SyncLane`].

use std::{io, path::Path, sync::Arc};

/// Receives the outcome of a [`SyncLane::request`]; runs on whatever thread did the sync.
pub type SyncDone = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A file system, or what passes for one.
pub trait Disk: Send + Sync {
    /// Creates the directory `path` and whatever of its parents is missing, durably. Waits for the
    /// device if something was.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates the file `path`, which must not exist. Its name survives a power cut only after
    /// [`Disk::sync_dir`] of its directory.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens the file `path`, which must exist, for reading and appending.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives `from` the name `to` in the same directory, replacing what was called so.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the file `path`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of the files directly in `directory`, in byte order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Makes creations, renames and removals in `directory` survive a power cut. Waits for the
    /// device.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;

    /// Locks the file `path` against every other process, creating it if need be. The lock ends
    /// with the guard, or with the process. An error of kind `WouldBlock` says that somebody else
    /// holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;

    /// Names the machine's time since its last start: what was written but not synced survives within
    /// it, if the disk holds, and not beyond it. 0 if that cannot be told.
    fn boot(&self) -> u64;

    /// How many bytes may yet be written to the file system of the directory `path`.
    fn free(&self, path: &Path) -> io::Result<u64>;

    /// A lane for syncs beside the calling thread; one per log. `name` names it in diagnostics.
    fn sync_lane(&self, name: &str) -> io::Result<Box<dyn SyncLane>>;
}

/// An open file that grows at its end.
pub trait DiskFile: Send + Sync {
    /// Writes `bytes` at the end with one write(2). On an error any part of them may be there;
    /// an error of kind `StorageFull` says that the disk has no room.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Fills `buffer` from `offset`; an error of kind `UnexpectedEof` if the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Makes the bytes written so far survive a power cut. Waits for the device, so it is for
    /// start, stop and rare small files; a log uses its [`SyncLane`].
    fn sync(&self) -> io::Result<()>;
}

/// Holds a lock of [`Disk::lock`] until it is dropped.
pub trait DiskLock: Send {}

/// Syncs beside the calling thread, in the order of the requests.
///
/// Whoever requests bounds how many are under way; the log's shard keeps to one.
/// Dropping the lane finishes what was requested first.
pub trait SyncLane: Send {
    /// Does [`DiskFile::sync`], then calls `done`. What is written after this call is not covered.
    fn request(&self, file: Arc<dyn DiskFile>, done: SyncDone);
}
