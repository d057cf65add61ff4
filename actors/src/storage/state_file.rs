//! Small files that are replaced whole: identity, layout, generations, bucket properties.
//!
//! ```text
//!  0  magic     8 bytes  says what the file is
//!  8  version   u32      format version of the content
//! 12  length    u32      of the content, in bytes
//! 16  content
//!     sum       u64      xxh3-64 over everything before it
//! ```
//!
//! A new content is written to a temporary file, synced, renamed into place, and the directory is
//! synced. What was there before is kept as `NAME.prev` by the same steps, so that at no moment the
//! file is missing. The predecessor is read only if the file itself does not hold, and loudly.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::{StorageError, check_size, disk::Disk};

/// The greatest content of a state file, in bytes: 64 MiB.
pub const STATE_BYTES_MAX: usize = 64 << 20;

const HEAD_BYTES: usize = 16;
const SUM_BYTES: usize = 8;

/// What a state file is, apart from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateFormat {
    /// Begins the file.
    pub magic: [u8; 8],
    /// The one version of the content that this build reads and writes.
    pub version: u32,
    /// What the file is called in errors, such as `bucket properties file`.
    pub what: &'static str,
}

/// A small file with one writer. Its calls wait for the device.
#[derive(Clone)]
pub struct StateFile {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    name: String,
    format: StateFormat,
}

/// What a state file held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The content as it was written.
    pub content: Bytes,
    /// If this is the content before the last: why the last could not be read.
    pub fallback: Option<String>,
}

impl StateFile {
    /// The file `name` in `directory`, which must exist. Touches nothing yet.
    pub fn new(
        disk: Arc<dyn Disk>,
        directory: impl Into<PathBuf>,
        name: impl Into<String>,
        format: StateFormat,
    ) -> Self {
        Self { disk, directory: directory.into(), name: name.into(), format }
    }

    /// Where the file lies.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// Reads the content; none if it was never written. Falls back to the content before it if the
    /// file is missing or damaged; if both are, that is an error, and so is another file, or a
    /// version that this build does not know.
    pub fn read(&self) -> Result<Option<State>, StorageError> {
        let why = match self.read_one(&self.path()) {
            Ok(Some(content)) => return Ok(Some(State { content, fallback: None })),
            Ok(None) => "it is missing".to_owned(),
            Err(StorageError::DamagedFile { detail, .. }) => detail,
            Err(error) => return Err(error),
        };
        match self.read_one(&self.previous())? {
            Some(content) => {
                let path = self.path();
                tracing::error!(
                    target: "henge::storage",
                    path = %path.display(), why, "reading the content before the last one"
                );
                Ok(Some(State { content, fallback: Some(why) }))
            }
            None if why == "it is missing" => Ok(None),
            None => Err(StorageError::DamagedFile { path: self.path(), detail: why }),
        }
    }

    /// Replaces the content; durable when this returns. After an error the content is the old one
    /// or the new one, whole.
    pub fn write(&self, content: &[u8]) -> Result<(), StorageError> {
        check_size(self.format.what, content.len(), STATE_BYTES_MAX)?;
        match self.read_one(&self.path()) {
            Ok(Some(held)) => self.replace(&self.previous(), &held)?,
            // A damaged file must not take the place of a predecessor that holds.
            Ok(None) | Err(StorageError::DamagedFile { .. }) => {}
            Err(error) => return Err(error),
        }
        self.replace(&self.path(), content)?;
        self.disk.sync_dir(&self.directory).map_err(StorageError::io("sync", &self.directory))
    }

    fn previous(&self) -> PathBuf {
        self.directory.join(format!("{}.prev", self.name))
    }

    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), StorageError> {
        let temporary = self.directory.join(format!("{}.tmp", self.name));
        match self.disk.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::io("remove", &temporary)(error));
            }
            _ => {}
        }
        let file = self.disk.create(&temporary).map_err(StorageError::io("create", &temporary))?;
        let written = file.append(&self.encode(content)).and_then(|()| file.sync());
        written.map_err(StorageError::io("write", &temporary))?;
        self.disk.rename(&temporary, path).map_err(StorageError::io("rename", &temporary))
    }

    fn encode(&self, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + content.len() + SUM_BYTES);
        bytes.extend_from_slice(&self.format.magic);
        bytes.extend_from_slice(&self.format.version.to_le_bytes());
        // The length was checked.
        bytes.extend_from_slice(&u32::try_from(content.len()).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(content);
        let sum = xxh3_64(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn read_one(&self, path: &Path) -> Result<Option<Bytes>, StorageError> {
        let file = match self.disk.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(StorageError::io("open", path))?,
        };
        let length = file.length().map_err(StorageError::io("measure", path))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        check_size(self.format.what, length, STATE_BYTES_MAX + HEAD_BYTES + SUM_BYTES)?;
        let mut bytes = vec![0; length];
        file.read_at(&mut bytes, 0).map_err(StorageError::io("read", path))?;
        self.decode(path, &Bytes::from(bytes)).map(Some)
    }

    fn decode(&self, path: &Path, bytes: &Bytes) -> Result<Bytes, StorageError> {
        let path = path.to_owned();
        let Some((told, sum)) = bytes.split_last_chunk::<SUM_BYTES>() else {
            return Err(StorageError::DamagedFile { path, detail: "it is too short".to_owned() });
        };
        if sum != &xxh3_64(told).to_le_bytes() || told.len() < HEAD_BYTES {
            let detail = "its checksum does not match".to_owned();
            return Err(StorageError::DamagedFile { path, detail });
        }
        let StateFormat { magic, version: known, what } = self.format;
        if !told.starts_with(&magic) {
            return Err(StorageError::ForeignFile { path, expected: what });
        }
        let found = told[8..].first_chunk().map_or(0, |version| u32::from_le_bytes(*version));
        if found != known {
            return Err(StorageError::UnknownFormat { path, found, known });
        }
        let end = told.len();
        Ok(bytes.slice(HEAD_BYTES..end))
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk_simulated::{Faults, SimulatedDisk};
    use super::*;

    const FORMAT: StateFormat = StateFormat { magic: *b"HENGETST", version: 3, what: "test file" };

    fn file(disk: &SimulatedDisk) -> StateFile {
        StateFile::new(Arc::new(disk.clone()), "/data", "state", FORMAT)
    }

    fn content(disk: &SimulatedDisk) -> Option<Bytes> {
        file(disk).read().unwrap().map(|state| state.content)
    }

    fn flip(disk: &SimulatedDisk, path: &str) {
        let mut bytes = disk.contents(Path::new(path)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        disk.overwrite(Path::new(path), bytes);
    }

    #[test]
    fn what_was_written_is_read() {
        let disk = SimulatedDisk::new(0);
        assert_eq!(content(&disk), None);
        for text in ["", "one", "two"] {
            file(&disk).write(text.as_bytes()).unwrap();
            assert_eq!(content(&disk), Some(Bytes::from(text)));
        }
        disk.power_cut();
        assert_eq!(content(&disk), Some(Bytes::from("two")));
    }

    #[test]
    fn a_damaged_file_falls_back_and_says_so() {
        let disk = SimulatedDisk::new(0);
        file(&disk).write(b"one").unwrap();
        file(&disk).write(b"two").unwrap();
        flip(&disk, "/data/state");
        let state = file(&disk).read().unwrap().unwrap();
        assert_eq!(state.content, Bytes::from("one"));
        assert_eq!(state.fallback.as_deref(), Some("its checksum does not match"));

        // The next write keeps the predecessor that holds.
        disk.set_faults(Faults { all_after: Some(3), ..Faults::default() });
        assert!(file(&disk).write(b"three").is_err());
        disk.kill();
        assert_eq!(content(&disk), Some(Bytes::from("one")));

        flip(&disk, "/data/state.prev");
        assert!(matches!(file(&disk).read(), Err(StorageError::DamagedFile { .. })));
    }

    #[test]
    fn a_write_that_the_power_interrupts_leaves_the_old_or_the_new() {
        let mut seen = [0; 2];
        for (seed, steps) in (0..200).flat_map(|seed| (0..12).map(move |steps| (seed, steps))) {
            let disk = SimulatedDisk::new(seed);
            file(&disk).write(b"older").unwrap();
            file(&disk).write(b"old").unwrap();
            disk.set_faults(Faults { all_after: Some(steps), ..Faults::default() });
            let written = file(&disk).write(b"new");
            disk.power_cut();
            let state = file(&disk).read().unwrap().unwrap();
            assert_eq!(state.fallback, None);
            let is_new = state.content == "new";
            assert!(is_new || (written.is_err() && state.content == "old"));
            seen[usize::from(is_new)] += 1;
            // And the next write is not in the way of what the last one left.
            file(&disk).write(b"next").unwrap();
            assert_eq!(content(&disk), Some(Bytes::from("next")));
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }

    #[test]
    fn an_unknown_version_and_a_foreign_file_are_refused_and_left_alone() {
        let disk = SimulatedDisk::new(0);
        file(&disk).write(b"from the future").unwrap();
        let read_as = |format| StateFile { format, ..file(&disk) };
        let older = read_as(StateFormat { version: 2, ..FORMAT });
        let other = read_as(StateFormat { magic: *b"HENGEOTH", ..FORMAT });
        for outcome in [older.read().map(drop), older.write(b"x")] {
            let refused = outcome.unwrap_err();
            assert_eq!(
                refused.to_string(),
                "/data/state has format version 3; this build knows version 2"
            );
        }
        for outcome in [other.read().map(drop), other.write(b"x")] {
            assert_eq!(outcome.unwrap_err().to_string(), "/data/state is not a test file");
        }
        assert_eq!(content(&disk), Some(Bytes::from("from the future")));
    }
}
