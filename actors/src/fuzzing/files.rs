//! What lies in the data directory: segments of a log, and the small files beside them.

use std::{collections::BTreeMap, fmt::Debug, path::Path, sync::Arc};

use bytes::Bytes;
use henge_kernel::{
    anti_entropy::Ledger,
    bucket::{BucketProperties, BucketTable},
    causality::Stamp,
    coordination::Generation,
    id::NodeId,
    key::{Key, PartitionId, Token},
    reaping::Fence,
};
use xxhash_rust::xxh3::xxh3_64;

use super::{Allocates, Features, Target};
use crate::{
    fence_file::{FenceFile, Fences, Kept},
    ledger_file::{LedgerFile, LogFound, OpenedLedger},
    register_file::RegisterFile,
    storage::{
        Change, Engine as _, KeyRange, Sequence, StorageError,
        disk::Disk as _,
        disk_simulated::SimulatedDisk,
        log::{LogEngine, LogSettings, OpenReport, mend_segment},
    },
    wire::{ControlMessage, samples::controls},
};

const DIRECTORY: &str = "/data";

pub(super) fn targets() -> Vec<Target> {
    // The disk in memory holds copies of copies, and the log reads through a window.
    let allocates = Allocates { floor: 512 << 10, each: 1 << 10 };
    let file = |name, seeds, run| Target {
        name,
        seeds,
        words: &[b"HENGE", b"\":", b"[", b"]", b"null", b"1e999", b"65536"],
        mend: Some(mend_state),
        run,
        allocates,
    };
    vec![
        Target { words: &[b"HENGELOG"], mend: Some(mend_log), ..file("log", log_seeds, run_log) },
        file("fence-file", fence_seeds, run_fences),
        file("ledger-file", ledger_seeds, run_ledger),
        file("bucket-file", register_seeds, run_registers),
    ]
}

/// A disk on which the file `name` holds `bytes`.
fn disk_with(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> SimulatedDisk {
    let disk = SimulatedDisk::new(0);
    for (name, bytes) in files {
        // A new disk takes everything.
        let written = disk.create(&path(&name)).and_then(|file| file.append(&bytes));
        assert!(written.is_ok(), "{written:?}");
    }
    disk
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(DIRECTORY).join(name)
}

fn contents(disk: &SimulatedDisk, name: &str) -> Vec<Vec<u8>> {
    disk.contents(&path(name)).into_iter().collect()
}

/// Makes length and checksum of a small file right.
fn mend_state(file: &mut [u8]) {
    const HEAD: usize = 16;
    const SUM: usize = 8;
    let Some(length) = file.len().checked_sub(HEAD + SUM) else { return };
    let told = HEAD + length;
    file[12..HEAD].copy_from_slice(&u32::try_from(length).unwrap_or(0).to_le_bytes());
    let sum = xxh3_64(&file[..told]).to_le_bytes();
    file[told..].copy_from_slice(&sum);
}

/// What was read, written again, is read as the same.
fn stays<T: Debug + PartialEq>(
    features: &mut Features,
    read: impl Fn() -> Result<T, StorageError>,
    write: impl Fn(&T) -> Result<(), StorageError>,
) {
    let first = read();
    features.outcome(&first);
    let Ok(first) = first else { return };
    assert!(write(&first).is_ok(), "it was read and cannot be written");
    assert_eq!(read().ok().as_ref(), Some(&first), "it is read as something else again");
}

fn fence_seeds() -> Vec<Vec<u8>> {
    let disk = SimulatedDisk::new(0);
    let file = FenceFile::new(Arc::new(disk.clone()), Path::new(DIRECTORY));
    let kept = |generation| Kept {
        fence: Fence {
            generation: Generation(generation),
            finished: Generation(generation - 1),
            reaped: Stamp(5),
        },
        clearing: generation > 1,
        aside: 9,
    };
    let fences = Fences::from([(PartitionId(3), kept(7)), (PartitionId(u16::MAX), kept(1))]);
    assert!(file.write(&fences).is_ok());
    contents(&disk, "fences")
}

fn run_fences(input: &[u8], features: &mut Features) {
    let disk = disk_with([("fences".to_owned(), input.to_vec())]);
    let file = FenceFile::new(Arc::new(disk), Path::new(DIRECTORY));
    stays(features, || file.read(), |fences| file.write(fences));
}

fn ledger_seeds() -> Vec<Vec<u8>> {
    let disk = SimulatedDisk::new(0);
    let Ok(opened) = open_ledger(&disk) else { return Vec::new() };
    let mut ledger = Ledger::default();
    ledger.doubt(PartitionId(9));
    ledger.owe(NodeId(u64::MAX), PartitionId(7));
    if let Ok(key) = Key::new("bucket", vec![0xff, 0]) {
        ledger.quarantine(PartitionId(3), key);
    }
    assert!(opened.file.write(&ledger, Sequence(5), true).is_ok());
    contents(&disk, "ledger")
}

fn open_ledger(disk: &SimulatedDisk) -> Result<OpenedLedger, StorageError> {
    let report = OpenReport::default();
    let found = LogFound { directory: Path::new(DIRECTORY), last: Sequence(5), report: &report };
    LedgerFile::open(Arc::new(disk.clone()), found, [PartitionId(3)].into_iter(), 0)
}

/// A second opening finds what the first one has: no doubt goes away by itself.
fn run_ledger(input: &[u8], features: &mut Features) {
    let disk = disk_with([("ledger".to_owned(), input.to_vec())]);
    let first = open_ledger(&disk).map(|opened| (opened.ledger, opened.lost));
    features.outcome(&first);
    let Ok((first, _)) = first else { return };
    let again = open_ledger(&disk).map(|opened| opened.ledger);
    let doubts = |ledger: &Ledger| ledger.incomplete().collect::<Vec<_>>();
    let again = again.map(|again| {
        let same = again.quarantined().eq(first.quarantined()) && again.owed().eq(first.owed());
        (same, doubts(&first).iter().all(|doubt| doubts(&again).contains(doubt)))
    });
    assert_eq!(again.ok(), Some((true, true)), "a second opening finds something else");
}

fn register_seeds() -> Vec<Vec<u8>> {
    let disk = SimulatedDisk::new(0);
    let mut table = BucketTable::new(BucketProperties::default());
    for control in controls() {
        if let ControlMessage::Registers { registers, .. } = control {
            assert!(registers.into_iter().all(|register| table.merge(register).is_ok()));
        }
    }
    let file = RegisterFile::new(Arc::new(disk.clone()), Path::new(DIRECTORY));
    assert!(file.write(&table).is_ok());
    contents(&disk, "buckets")
}

fn run_registers(input: &[u8], features: &mut Features) {
    let disk = disk_with([("buckets".to_owned(), input.to_vec())]);
    let file = RegisterFile::new(Arc::new(disk), Path::new(DIRECTORY));
    let defaults = BucketProperties::default();
    let read = || file.read(&defaults);
    stays(features, read, |table: &Option<BucketTable>| {
        table.as_ref().map_or(Ok(()), |table| file.write(table))
    });
}

/// Segments, each after its length in 16 bits.
fn log_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for segment_bytes in [1 << 20, 300] {
        let disk = SimulatedDisk::new(0);
        let Ok((mut engine, _)) = open_log(&disk, segment_bytes) else { continue };
        for (round, names) in ["abc", "a", "bd", "c", "a"].into_iter().enumerate() {
            let payload =
                [b'0'; 9].map(|zero| zero.saturating_add(u8::try_from(round).unwrap_or(0)));
            let keys: Vec<Key> =
                names.chars().filter_map(|name| Key::new("b", name.to_string()).ok()).collect();
            let pieces = [&payload[..]];
            let change = |(at, key): (usize, _)| match (round + at) % 4 {
                3 => Change::Removal { token: Key::token(key), key },
                _ => Change::Record { token: Key::token(key), key, payload: &pieces },
            };
            let batch: Vec<Change<'_>> = keys.iter().enumerate().map(change).collect();
            assert!(engine.append(&batch).is_ok());
        }
        drop(engine);
        let segments = disk.files(Path::new(DIRECTORY)).into_iter();
        let segments = segments.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        let mut seed = Vec::new();
        for bytes in segments.filter_map(|path| disk.contents(&path)) {
            seed.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes());
            seed.extend(bytes);
        }
        seeds.push(seed);
    }
    seeds
}

fn open_log(
    disk: &SimulatedDisk,
    segment_bytes: u32,
) -> Result<(LogEngine, OpenReport), StorageError> {
    let settings = LogSettings { directory: DIRECTORY.into(), segment_bytes, salt: 0x5a17 };
    LogEngine::open(Arc::new(disk.clone()), settings)
}

/// Where each segment of an input lies in it.
fn segments_of(input: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(length) = input.get(at..at + 2).and_then(|two| two.first_chunk().copied()) {
        let start = at + 2;
        at = (start + usize::from(u16::from_le_bytes(length))).min(input.len());
        segments.push(start..at);
    }
    segments
}

fn mend_log(input: &mut [u8]) {
    // The last segment takes what is there.
    if let Some(last) = segments_of(input).pop() {
        let length = u16::try_from(input.len() - last.start).unwrap_or(u16::MAX);
        input[last.start - 2..last.start].copy_from_slice(&length.to_le_bytes());
    }
    for segment in segments_of(input) {
        mend_segment(&mut input[segment]);
    }
}

type Found = BTreeMap<(Token, Key), Option<Bytes>>;

/// What a log holds; nothing for what is damaged.
fn everything(engine: &LogEngine) -> Found {
    let mut found = Found::new();
    let _ = engine.scan(KeyRange::ALL, usize::MAX, &mut |listed, payload| {
        let payload = match payload {
            Ok(payload) => Some(payload),
            Err(StorageError::Corrupt { .. }) => None,
            Err(other) => panic!("{other}"),
        };
        let Ok(key) = listed.to_key() else { panic!("what is no key is listed") };
        found.insert((listed.token, key), payload);
        std::ops::ControlFlow::Continue(())
    });
    found
}

/// A log opens, whatever its segments hold, or says why not; then it holds the same at the next
/// opening, and takes what is written to it.
fn run_log(input: &[u8], features: &mut Features) {
    let segments = segments_of(input).into_iter().enumerate();
    let files = segments
        .map(|(number, range)| (format!("segment-{number:08x}.log"), input[range].to_vec()));
    let disk = disk_with(files);
    let opened = open_log(&disk, 400);
    features.outcome(&opened.as_ref().map(|(_, report)| report));
    if let Ok((_, report)) = &opened {
        report.listed.iter().for_each(|loss| features.tell(&loss.what));
    }
    let Ok((mut engine, report)) = opened else { return };
    let mut held = everything(&engine);
    let damaged = held.values().filter(|payload| payload.is_none()).count();
    assert_eq!(damaged as u64, report.quarantined, "it tells how many are damaged");
    let Ok(key) = Key::new("fuzz", "new") else { return };
    let record = Change::Record { token: key.token(), key: &key, payload: &[b"written"] };
    let written = engine.append(&[record]);
    features.outcome(&written);
    assert!(written.is_ok(), "{written:?}");
    held.insert((key.token(), key), Some(Bytes::from_static(b"written")));
    assert_eq!(everything(&engine), held, "what is written is there, and the rest as it was");
    let last = engine.counts().last;
    drop(engine);
    let Ok((engine, again)) = open_log(&disk, 400) else { panic!("it does not open again") };
    assert_eq!(everything(&engine), held, "it holds the same at the next opening");
    assert_eq!(again.cut, None, "a torn tail is cut off once");
    assert!(engine.counts().last >= last, "it goes on counting");
    assert!(again.is_suspect() || !report.is_suspect(), "a loss is not forgotten");
}
