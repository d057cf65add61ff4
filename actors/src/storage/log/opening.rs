//! The files of a directory become a log.

use std::{collections::BTreeMap, io, path::Path};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    LogSettings,
    index::Index,
    recovery::{Cut, OpenReport, Recovery, Tail},
    segment::{self, Header, Segment},
};
use crate::storage::{
    StorageError,
    disk::{Disk, DiskLock},
};

/// What a log begins with.
pub struct Opened {
    pub index: Index,
    pub sealed: BTreeMap<u32, Segment>,
    pub active: Segment,
    /// The sequence of the next change.
    pub next: u64,
    pub report: OpenReport,
}

/// Creates `directory` if need be and takes the lock in it.
pub fn lock_directory(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Box<dyn DiskLock>, StorageError> {
    disk.create_dir(directory).map_err(StorageError::io("create", directory))?;
    let path = directory.join("LOCK");
    disk.lock(&path).map_err(|refused| match refused.kind() {
        io::ErrorKind::WouldBlock => StorageError::Locked { path: path.clone() },
        _ => StorageError::io("lock", &path)(refused),
    })
}

/// Reads all segments, then cuts a torn tail off the last, or begins a new one behind them.
pub fn open(disk: &dyn Disk, settings: &LogSettings) -> Result<Opened, StorageError> {
    let mut recovery = Recovery::new();
    let mut sealed = BTreeMap::new();
    let mut growing = None;
    let mut number = 0;
    let segments = open_segments(disk, &settings.directory)?;
    let last = segments.len().saturating_sub(1);
    for (at, (mut segment, header)) in segments.into_iter().enumerate() {
        number = segment.number + 1;
        match recovery.read(&mut segment, header, at == last)? {
            Tail::Sealed => drop(sealed.insert(segment.number, segment)),
            Tail::Open(end) => growing = Some((segment, end)),
            Tail::Unborn => {
                disk.remove(&segment.path).map_err(StorageError::io("remove", &segment.path))?;
                number = segment.number;
            }
        }
    }
    let Recovery { index, next, mut report, .. } = recovery;
    report.quarantined = index.quarantined;
    let active = match growing {
        Some((segment, end)) => cut_tail(segment, end, &mut report)?,
        None => begin_segment(disk, settings, number, next)?,
    };
    Ok(Opened { index, sealed, active, next, report })
}

/// Begins the segment `number`, whose first change will be `base`.
pub fn begin_segment(
    disk: &dyn Disk,
    settings: &LogSettings,
    number: u32,
    base: u64,
) -> Result<Segment, StorageError> {
    let random = xxh3_64_with_seed(&number.to_le_bytes(), settings.salt);
    let [a, b, c, d, ..] = random.to_le_bytes();
    // Odd, so that no stretch of zeros looks like one.
    let marker = u32::from_le_bytes([a, b, c, d]) | 1;
    Segment::create(disk, &settings.directory, Header { number, marker, base })
}

/// Opens the segments of `directory` in the order of their numbers. One of an unknown format is an
/// error, before anything is changed.
fn open_segments(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Vec<(Segment, Option<Header>)>, StorageError> {
    let names = disk.list(directory).map_err(StorageError::io("list", directory))?;
    let numbers = names.iter().filter_map(|name| segment::number_of(name));
    numbers.map(|number| Segment::open(disk, directory, number)).collect()
}

/// Cuts off what lies behind `end`. The segment is then synced: a process that was killed may have
/// left any of it to the page cache, and later changes must not be durable without it.
fn cut_tail(
    mut segment: Segment,
    end: u32,
    report: &mut OpenReport,
) -> Result<Segment, StorageError> {
    let bytes = segment.length - end;
    if bytes > 0 {
        let cut = segment.file.truncate(end.into());
        cut.map_err(StorageError::io("cut the torn tail off", &segment.path))?;
        tracing::warn!(
            target: "henge::storage",
            path = %segment.path.display(), offset = end, bytes, "a torn tail was cut off"
        );
        report.cut = Some(Cut { path: segment.path.clone(), offset: end, bytes });
        segment.length = end;
    }
    segment.file.sync().map_err(StorageError::io("sync", &segment.path))?;
    Ok(segment)
}
