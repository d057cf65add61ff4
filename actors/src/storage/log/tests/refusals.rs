//! What the log or its disk refuses.

use std::sync::mpsc;

use super::*;
use crate::storage::disk_simulated::Faults;

#[test]
fn an_unknown_format_is_refused_by_name_and_nothing_is_changed() {
    let (disk, ..) = sample_disk(300);
    let paths = segments(&disk);
    let newest = paths.last().unwrap();
    // A header of version 2, with its preamble sum, over a tail that would be cut.
    let mut bytes = disk.contents(newest).unwrap();
    bytes[8] = 2;
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..12]).to_le_bytes();
    bytes[12..16].copy_from_slice(&sum[..4]);
    bytes.extend_from_slice(b"torn");
    disk.overwrite(newest, bytes.clone());
    let refused = LogEngine::open(Arc::new(disk.clone()), settings(300)).err().unwrap();
    let told = format!("{} has format version 2; this build knows version 1", newest.display());
    assert_eq!(refused.to_string(), told);
    assert_eq!((segments(&disk), disk.contents(newest)), (paths.clone(), Some(bytes)));
}

#[test]
fn a_directory_has_one_log_at_a_time() {
    let disk = SimulatedDisk::new(0);
    let (engine, _) = open(&disk, 1 << 20);
    let second = LogEngine::open(Arc::new(disk.clone()), settings(1 << 20)).err().unwrap();
    assert_eq!(second.to_string(), "/log/LOCK is locked by another process");
    drop(engine);
    open(&disk, 1 << 20);
}

#[test]
fn a_segment_size_beyond_the_format_is_refused() {
    let disk = SimulatedDisk::new(0);
    let refused = LogEngine::open(Arc::new(disk), settings((1 << 30) + 1)).err().unwrap();
    assert!(matches!(refused, StorageError::TooLarge { what: "segment_bytes", .. }));
}

#[test]
fn a_full_disk_refuses_a_batch_whole_and_goes_on_when_it_has_room() {
    for (segment_bytes, capacity) in [(1 << 20, 0..600), (300, 0..900)] {
        for capacity in capacity {
            let disk = SimulatedDisk::new(0);
            let (mut engine, _) = open(&disk, segment_bytes);
            disk.set_capacity(Some(64 + capacity));
            let mut held = Contents::new();
            for batch in sample().0 {
                match append(&mut engine, &batch) {
                    Ok(_) => apply(&mut held, &batch),
                    Err(StorageError::Full { free, needed }) => {
                        assert!(free < needed, "{free} {needed}");
                    }
                    Err(error) => panic!("{error}"),
                }
                assert_eq!(contents(&engine), held);
            }
            disk.set_capacity(None);
            let more: Batch = vec![(key("b", "more"), Some(vec![1; 100]))];
            append(&mut engine, &more).unwrap();
            apply(&mut held, &more);
            disk.kill();
            let (engine, report) = open(&disk, segment_bytes);
            assert_eq!((&report.cut, report.is_suspect()), (&None, false));
            assert_eq!(contents(&engine), held);
        }
    }
}

#[test]
fn a_failed_write_poisons_and_leaves_no_trace() {
    for truncates in [false, true] {
        let (disk, batches, held) = sample_disk(1 << 20);
        let (mut engine, _) = open(&disk, 1 << 20);
        disk.set_faults(Faults { appends: true, truncates, ..Faults::default() });
        let failed = append(&mut engine, &batches[0]).unwrap_err();
        assert!(matches!(failed, StorageError::Poisoned { .. }), "{failed}");
        disk.set_faults(Faults::default());
        let refused = append(&mut engine, &batches[0]).unwrap_err();
        assert_eq!(refused.to_string(), failed.to_string());
        assert_eq!(engine.poisoned().unwrap().to_string(), failed.to_string());
        assert_eq!(contents(&engine), held);
        drop(engine);
        let (mut engine, report) = open(&disk, 1 << 20);
        assert_eq!((report.cut.is_some(), report.is_suspect()), (truncates, false));
        assert_eq!(contents(&engine), held);
        append(&mut engine, &batches[0]).unwrap();
    }
}

#[test]
fn a_segment_that_cannot_be_synced_is_not_sealed() {
    let (disk, batches, held) = sample_disk(1 << 20);
    let (mut engine, _) = open(&disk, 600);
    disk.set_faults(Faults { syncs: true, ..Faults::default() });
    let larger: Batch = vec![(key("b", "a"), Some(vec![0; 500]))];
    assert!(matches!(append(&mut engine, &larger), Err(StorageError::Poisoned { .. })));
    disk.set_faults(Faults::default());
    assert!(matches!(append(&mut engine, &batches[0]), Err(StorageError::Poisoned { .. })));
    assert_eq!((segments(&disk).len(), contents(&engine)), (1, held));
}

#[test]
fn a_failed_sync_poisons_and_is_never_forgotten() {
    let (disk, batches, mut held) = sample_disk(1 << 20);
    let (mut engine, _) = open(&disk, 1 << 20);
    let synced = engine.counts().last;
    append(&mut engine, &batches[1]).unwrap();
    apply(&mut held, &batches[1]);
    let (sent, received) = mpsc::channel();
    let sync = |engine: &mut LogEngine| {
        let sent = sent.clone();
        engine.request_sync(Box::new(move |synced| sent.send(synced).unwrap()));
    };
    disk.hold_syncs();
    disk.set_faults(Faults { syncs: true, ..Faults::default() });
    sync(&mut engine);
    sync(&mut engine);
    disk.run_syncs();
    disk.set_faults(Faults::default());
    sync(&mut engine);
    let outcomes: Vec<_> = received.try_iter().map(Result::unwrap_err).collect();
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.iter().all(|error| matches!(error, StorageError::Poisoned { .. })));
    assert!(matches!(append(&mut engine, &batches[0]), Err(StorageError::Poisoned { .. })));
    assert_eq!(engine.counts().synced, synced);
    assert_eq!(contents(&engine), held);
}
