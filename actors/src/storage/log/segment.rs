//! Segments: the files of a log, each with a header and then entries.
//!
//! ```text
//!  0  magic          8 bytes  "HENGELOG"
//!  8  version        u32      format version, 1
//! 12  preamble sum   u32      low half of xxh3-64 over bytes 0..12; so far the same in every version
//! 16  number         u32      of this segment
//! 20  marker         u32      begins each of its entries
//! 24  base           u64      the sequence of its first entry
//! 32  reserved       24 bytes zero
//! 56  header sum     u64      xxh3-64 over bytes 0..56
//! ```
//!
//! Only the segment with the greatest number grows; the others are sealed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64;

use super::record::SEQUENCE_END;
use crate::storage::{
    StorageError,
    disk::{Disk, DiskFile},
};

/// Length of a segment's header, in bytes.
pub const HEADER_BYTES: u32 = 64;
const HEADER_LENGTH: usize = HEADER_BYTES as usize;
const MAGIC: [u8; 8] = *b"HENGELOG";
const VERSION: u32 = 1;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub number: u32,
    pub marker: u32,
    pub base: u64,
}

impl Header {
    fn encode(self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let preamble = preamble_sum(&bytes);
        bytes[12..16].copy_from_slice(&preamble);
        bytes[16..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.marker.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.base.to_le_bytes());
        let sum = xxh3_64(&bytes[..56]);
        bytes[56..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a header; nothing if it is damaged.
    fn decode(bytes: &[u8; HEADER_LENGTH]) -> Option<Self> {
        let sum = u64::from_le_bytes(*bytes.last_chunk()?);
        let whole = bytes.starts_with(&MAGIC) && sum == xxh3_64(&bytes[..56]);
        let header = Self {
            number: u32::from_le_bytes(*bytes[16..].first_chunk()?),
            marker: u32::from_le_bytes(*bytes[20..].first_chunk()?),
            base: u64::from_le_bytes(*bytes[24..].first_chunk()?),
        };
        (whole && header.base < SEQUENCE_END).then_some(header)
    }
}

/// The version that a header proves itself to have, if it proves one.
fn proven_version(bytes: &[u8; HEADER_LENGTH]) -> Option<u32> {
    let proven = bytes.starts_with(&MAGIC) && bytes[12..16] == preamble_sum(bytes);
    let version = u32::from_le_bytes(*bytes[8..].first_chunk()?);
    proven.then_some(version)
}

fn preamble_sum(bytes: &[u8; HEADER_LENGTH]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64(&bytes[..12]).to_le_bytes();
    [a, b, c, d]
}

/// A file of the log.
pub struct Segment {
    pub number: u32,
    pub marker: u32,
    pub path: PathBuf,
    pub file: Arc<dyn DiskFile>,
    /// In bytes, header included.
    pub length: u32,
}

impl Segment {
    /// Creates the segment of `header` in `directory`; its name and header survive a power cut.
    /// After an error its file is gone, or the error says why not.
    pub fn create(disk: &dyn Disk, directory: &Path, header: Header) -> Result<Self, StorageError> {
        let path = directory.join(file_name(header.number));
        let file = disk.create(&path).map_err(StorageError::io("create", &path))?;
        let written = file.append(&header.encode()).and_then(|()| file.sync());
        if let Err(refused) = written.and_then(|()| disk.sync_dir(directory)) {
            disk.remove(&path).map_err(StorageError::io("remove", &path))?;
            return Err(StorageError::io("write the header of", &path)(refused));
        }
        let Header { number, marker, .. } = header;
        Ok(Self { number, marker, path, file, length: HEADER_BYTES })
    }

    /// Opens the segment `number` and reads its header, if that can be read.
    pub fn open(
        disk: &dyn Disk,
        directory: &Path,
        number: u32,
    ) -> Result<(Self, Option<Header>), StorageError> {
        let path = directory.join(file_name(number));
        let file = disk.open(&path).map_err(StorageError::io("open", &path))?;
        let length = file.length().map_err(StorageError::io("measure", &path))?;
        let header = read_header(&*file, &path, length)?.filter(|header| header.number == number);
        let Ok(length) = u32::try_from(length) else {
            return Err(StorageError::ForeignFile { path, expected: "log segment" });
        };
        let marker = header.map_or(0, |header| header.marker);
        Ok((Self { number, marker, path, file, length }, header))
    }
}

fn read_header(
    file: &dyn DiskFile,
    path: &Path,
    length: u64,
) -> Result<Option<Header>, StorageError> {
    if length < u64::from(HEADER_BYTES) {
        return Ok(None);
    }
    let mut bytes = [0; HEADER_LENGTH];
    file.read_at(&mut bytes, 0).map_err(StorageError::io("read", path))?;
    match proven_version(&bytes) {
        Some(found) if found != VERSION => {
            Err(StorageError::UnknownFormat { path: path.to_owned(), found, known: VERSION })
        }
        _ => Ok(Header::decode(&bytes)),
    }
}

/// Makes the checksums of a segment right, its header's and its entries', as far as they can be
/// told apart: for fuzzing, which otherwise meets nothing but wrong ones.
#[cfg(feature = "simulation")]
pub(crate) fn mend(segment: &mut [u8]) {
    let Some((header, entries)) = segment.split_first_chunk_mut::<HEADER_LENGTH>() else { return };
    let preamble = preamble_sum(header);
    header[12..16].copy_from_slice(&preamble);
    let sum = xxh3_64(&header[..56]);
    header[56..].copy_from_slice(&sum.to_le_bytes());
    if let Some(marker) = header[20..].first_chunk().copied() {
        super::record::mend(entries, u32::from_le_bytes(marker));
    }
}

/// What the file of segment `number` is called.
fn file_name(number: u32) -> String {
    format!("segment-{number:08x}.log")
}

/// The number of the segment whose file is called `name`, if it is one.
pub fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".log")?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (file_name(number) == name).then_some(number)
}
