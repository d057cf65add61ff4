//! The disk of production: real files, and one thread per log that waits for the device.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use xxhash_rust::xxh3::xxh3_64;

use super::disk::{Disk, DiskFile, DiskLock, SyncDone, SyncLane};

/// Where Linux says under which random name it was started.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileDisk;

impl Disk for FileDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        self.create_dir(parent)?;
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            created => created?,
        }
        self.sync_dir(parent)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(path)?;
        Ok(Arc::new(OpenFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        Ok(Arc::new(OpenFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Names that are not UTF-8 are none of ours.
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let here = directory.as_os_str().is_empty();
        File::open(if here { Path::new(".") } else { directory })?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(FileLock { _locked: file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn boot(&self) -> u64 {
        let named = fs::read(BOOT_ID).unwrap_or_default();
        if named.is_empty() { 0 } else { xxh3_64(&named) }
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        let system = rustix::fs::statvfs(path)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    fn sync_lane(&self, name: &str) -> io::Result<Box<dyn SyncLane>> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let thread = thread::Builder::new().name(format!("sync-{name}")).spawn(move || {
            for request in inbox {
                (request.done)(request.file.sync());
            }
        })?;
        Ok(Box::new(SyncThread { requests: Some(requests), thread: Some(thread) }))
    }
}

/// One file; the descriptor appends, so that no offset is kept.
struct OpenFile(File);

impl DiskFile for OpenFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// The kernel drops the lock with the descriptor, also when the process is killed.
struct FileLock {
    _locked: File,
}

impl DiskLock for FileLock {}

struct Request {
    file: Arc<dyn DiskFile>,
    done: SyncDone,
}

/// The near end of a sync thread.
struct SyncThread {
    /// Taken on drop: closing the channel ends the thread.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl SyncLane for SyncThread {
    fn request(&self, file: Arc<dyn DiskFile>, done: SyncDone) {
        let request = Request { file, done };
        let refused = match &self.requests {
            Some(requests) => requests.send(request).err().map(|unsent| unsent.0),
            None => Some(request),
        };
        // The thread is gone only if a completion panicked on it.
        if let Some(request) = refused {
            (request.done)(Err(io::Error::other("the sync thread has ended")));
        }
    }
}

impl Drop for SyncThread {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "henge::storage", "a sync completion panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_finishes_what_was_requested_before_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let file = FileDisk.create(&directory.path().join("log")).unwrap();
        let (sent, received) = mpsc::channel();
        let lane = FileDisk.sync_lane("test").unwrap();
        for number in 0..3 {
            file.append(b"bytes").unwrap();
            let sent = sent.clone();
            let done = move |synced: io::Result<()>| sent.send((number, synced.is_ok())).unwrap();
            lane.request(Arc::clone(&file), Box::new(done));
        }
        drop(lane);
        assert_eq!(received.try_iter().collect::<Vec<_>>(), [(0, true), (1, true), (2, true)]);
    }

    #[test]
    fn a_lock_excludes_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("LOCK");
        let held = FileDisk.lock(&path).unwrap();
        assert_eq!(FileDisk.lock(&path).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(FileDisk.lock(&path).is_ok());
    }
}
