//! The log on a simulated disk: what crashes, damage and a full disk leave of it.

mod crashes;
mod damage;
mod refusals;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use henge_kernel::key::{Key, Token};

use crate::storage::{
    Change, Engine, Sequence, StorageError,
    conformance::{everything, key},
    disk_simulated::SimulatedDisk,
    log::{LogEngine, LogSettings, OpenReport, mend_segment},
};

/// What a log should hold.
type Contents = BTreeMap<(Token, Key), Bytes>;

/// A batch as a test writes it: none is a removal.
type Batch = Vec<(Key, Option<Vec<u8>>)>;

fn settings(segment_bytes: u32) -> LogSettings {
    LogSettings { directory: "/log".into(), segment_bytes, salt: 0x5a17 }
}

fn open(disk: &SimulatedDisk, segment_bytes: u32) -> (LogEngine, OpenReport) {
    LogEngine::open(Arc::new(disk.clone()), settings(segment_bytes)).unwrap()
}

fn segments(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let files = disk.files(Path::new("/log")).into_iter();
    files.filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect()
}

fn append(engine: &mut LogEngine, batch: &Batch) -> Result<Sequence, StorageError> {
    let pieces: Vec<[&[u8]; 1]> =
        batch.iter().map(|(_, payload)| [payload.as_deref().unwrap_or_default()]).collect();
    let changes: Vec<Change<'_>> = batch
        .iter()
        .zip(&pieces)
        .map(|((key, payload), pieces)| {
            let token = key.token();
            match payload {
                Some(_) => Change::Record { token, key, payload: pieces },
                None => Change::Removal { token, key },
            }
        })
        .collect();
    engine.append(&changes)
}

fn apply(contents: &mut Contents, batch: &Batch) {
    for (key, payload) in batch {
        let place = (key.token(), key.clone());
        match payload {
            Some(payload) => contents.insert(place, Bytes::from(payload.clone())),
            None => contents.remove(&place),
        };
    }
}

/// What the log holds; panics if any of it is damaged.
fn contents(engine: &LogEngine) -> Contents {
    let all = everything(engine).into_iter();
    all.map(|(token, key, payload)| ((token, key), payload.unwrap())).collect()
}

/// Some batches over a few keys, so that most are overwritten, and what they make in the end.
fn sample() -> (Vec<Batch>, Contents) {
    let record = |name: &str, payload: &str| (key("b", name), Some(payload.as_bytes().to_vec()));
    let batches: Vec<Batch> = vec![
        vec![record("a", "a1"), record("b", "b1"), record("c", "c1")],
        vec![record("d", "d1")],
        vec![record("a", "a2"), (key("b", "b"), None)],
        vec![record("c", "c2"), record("d", "d2 which is a longer one than the others")],
        vec![record("b", "b2")],
    ];
    let mut contents = Contents::new();
    for batch in &batches {
        apply(&mut contents, batch);
    }
    (batches, contents)
}

/// A disk with the sample on it.
fn sample_disk(segment_bytes: u32) -> (SimulatedDisk, Vec<Batch>, Contents) {
    let disk = SimulatedDisk::new(0);
    let (batches, held) = sample();
    let (mut engine, _) = open(&disk, segment_bytes);
    for batch in &batches {
        append(&mut engine, batch).unwrap();
    }
    assert_eq!(contents(&engine), held);
    disk.kill();
    (disk, batches, held)
}
