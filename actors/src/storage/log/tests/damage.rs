//! Damage that a crash cannot explain.

use super::*;

/// Where `needle` begins in the file of a segment.
fn position(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).unwrap()
}

fn damage(disk: &SimulatedDisk, path: &Path, at: usize) {
    let mut bytes = disk.contents(path).unwrap();
    bytes[at] ^= 0x10;
    disk.overwrite(path, bytes);
}

#[test]
fn a_flipped_bit_never_makes_a_wrong_answer() {
    for segment_bytes in [1 << 20, 300] {
        let (disk, batches, held) = sample_disk(segment_bytes);
        let mut clean = 0;
        for path in segments(&disk) {
            let bytes = disk.contents(&path).unwrap();
            for bit in 0..bytes.len() * 8 {
                let copy = disk.copy(0);
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                copy.overwrite(&path, flipped);
                clean += usize::from(check_flipped(&copy, segment_bytes, &batches, &held));
            }
        }
        assert!(clean > 300, "flips in payloads should leave a log that is not suspect: {clean}");
    }
}

/// Whether the log opened without a cut or a loss; then each key must be right or corrupt.
fn check_flipped(
    disk: &SimulatedDisk,
    segment_bytes: u32,
    batches: &[Batch],
    held: &Contents,
) -> bool {
    let (engine, report) = open(disk, segment_bytes);
    let honest = report.cut.is_some() || report.is_suspect();
    let mut corrupt = 0;
    for key in ["a", "b", "c", "d"].map(|name| key("b", name)) {
        let newest = held.get(&(key.token(), key.clone()));
        match engine.get(key.token(), &key) {
            Err(StorageError::Corrupt { .. }) => corrupt += 1,
            Err(error) => panic!("{error}"),
            Ok(payload) if payload.as_ref() == newest => {}
            Ok(payload) => {
                assert!(honest, "an older record without a word: {payload:?} for {key:?}");
                let written = |change: &(Key, Option<Vec<u8>>)| {
                    change.0 == key && change.1.as_deref() == payload.as_deref()
                };
                assert!(payload.is_none() || batches.iter().flatten().any(written), "{payload:?}");
            }
        }
    }
    assert_eq!(corrupt, report.quarantined);
    !honest
}

#[test]
fn a_record_that_rots_while_the_log_is_open_is_corrupt() {
    let (disk, _, held) = sample_disk(1 << 20);
    let (engine, _) = open(&disk, 1 << 20);
    let path = &segments(&disk)[0];
    let bytes = disk.contents(path).unwrap();
    let d = key("b", "d");
    damage(&disk, path, position(&bytes, b"longer"));
    assert!(matches!(engine.get(d.token(), &d), Err(StorageError::Corrupt { .. })));
    let damaged = everything(&engine).into_iter().filter(|(.., payload)| payload.is_err());
    assert!(damaged.map(|(_, key, _)| key).eq([d.clone()]));
    disk.overwrite(path, bytes[..bytes.len() / 2].to_vec());
    assert!(matches!(engine.get(d.token(), &d), Err(StorageError::Corrupt { .. })));
    disk.overwrite(path, bytes);
    assert_eq!(contents(&engine), held);
}

#[test]
fn a_damaged_record_is_quarantined_until_it_is_written_again() {
    let (disk, _, mut held) = sample_disk(1 << 20);
    let path = &segments(&disk)[0];
    damage(&disk, path, position(&disk.contents(path).unwrap(), b"longer"));
    let d = key("b", "d");
    for _ in 0..2 {
        let (engine, report) = open(&disk, 1 << 20);
        assert_eq!((report.quarantined, report.is_suspect(), &report.cut), (1, false, &None));
        assert!(matches!(engine.get(d.token(), &d), Err(StorageError::Corrupt { .. })));
        assert_eq!((engine.counts().keys, engine.counts().quarantined), (4, 1));
        assert_eq!(engine.bucket_keys(b"b"), 4);
    }
    let (mut engine, _) = open(&disk, 1 << 20);
    let mended: Batch = vec![(d, Some(b"d3".to_vec()))];
    append(&mut engine, &mended).unwrap();
    apply(&mut held, &mended);
    assert_eq!((contents(&engine), engine.counts().quarantined), (held.clone(), 0));
    drop(engine);
    let (engine, report) = open(&disk, 1 << 20);
    assert_eq!((contents(&engine), report.quarantined), (held, 0));
}

#[test]
fn behind_an_unreadable_head_reading_goes_on_and_the_log_is_suspect() {
    for segment_bytes in [1 << 20, 300] {
        let (disk, _, held) = sample_disk(segment_bytes);
        let path = &segments(&disk)[0];
        // The first entry's head begins behind the header of 64 bytes.
        damage(&disk, path, 64 + 20);
        let (engine, report) = open(&disk, segment_bytes);
        assert!(report.is_suspect());
        assert_eq!((&report.listed[0].path, report.listed[0].offset), (path, 64));
        // The lost change was overwritten later.
        assert_eq!(contents(&engine), held);
    }
}

#[test]
fn a_sealed_segment_that_ends_early_makes_the_log_suspect() {
    let (disk, batches, held) = sample_disk(300);
    let paths = segments(&disk);
    assert!(paths.len() > 1);
    let bytes = disk.contents(&paths[0]).unwrap();
    for length in 0..bytes.len() {
        let copy = disk.copy(0);
        copy.overwrite(&paths[0], bytes[..length].to_vec());
        // If only the payload of its last entry is missing, that key alone is in doubt.
        let whole = check_flipped(&copy, 300, &batches, &held);
        let payload = position(&bytes, b"d1");
        assert_eq!(whole, (payload..bytes.len()).contains(&length), "{length}");
    }
}

#[test]
fn a_damaged_header_loses_no_entry_and_the_segment_grows_no_more() {
    let (disk, batches, mut held) = sample_disk(1 << 20);
    let path = &segments(&disk)[0];
    damage(&disk, path, 22);
    let before = disk.contents(path).unwrap();
    let (mut engine, report) = open(&disk, 1 << 20);
    assert!(report.is_suspect());
    assert_eq!(contents(&engine), held);
    append(&mut engine, &batches[2]).unwrap();
    apply(&mut held, &batches[2]);
    assert_eq!(disk.contents(path).unwrap(), before);
    drop(engine);
    assert_eq!(contents(&open(&disk, 1 << 20).0), held);
}

#[test]
fn a_number_that_no_log_reaches_is_damage_whatever_its_sums_say() {
    // The base in the segment's header, the sequence of its second entry.
    for place in ["base", "entry"] {
        let (disk, batches, _) = sample_disk(1 << 20);
        let path = &segments(&disk)[0];
        let mut bytes = disk.contents(path).unwrap();
        let at = if place == "base" { 24 } else { position(&bytes, b"b1") - 44 + 16 };
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        mend_segment(&mut bytes);
        disk.overwrite(path, bytes);
        let (mut engine, report) = open(&disk, 1 << 20);
        assert!(report.is_suspect(), "{place}");
        append(&mut engine, &batches[0]).unwrap();
        let (last, held) = (engine.counts().last, contents(&engine));
        drop(engine);
        let (engine, _) = open(&disk, 1 << 20);
        assert_eq!((engine.counts().last, contents(&engine)), (last, held), "{place}");
    }
}

#[test]
fn an_entry_within_a_payload_is_not_taken_for_one() {
    // A client stores the bytes of a log as a value, and the head of that record is damaged.
    let victim = key("b", "victim");
    let forged = SimulatedDisk::new(0);
    let salt = LogSettings { salt: 1, ..settings(1 << 20) };
    let (mut engine, _) = LogEngine::open(Arc::new(forged.clone()), salt).unwrap();
    append(&mut engine, &vec![(victim.clone(), Some(b"forged".to_vec()))]).unwrap();
    let bytes = forged.contents(&segments(&forged)[0]).unwrap();

    let disk = SimulatedDisk::new(0);
    let (mut engine, _) = open(&disk, 1 << 20);
    append(&mut engine, &vec![(key("b", "carrier"), Some(bytes))]).unwrap();
    append(&mut engine, &vec![(key("b", "behind"), Some(b"x".to_vec()))]).unwrap();
    drop(engine);
    damage(&disk, &segments(&disk)[0], 64 + 20);
    let (engine, report) = open(&disk, 1 << 20);
    assert!(report.is_suspect());
    assert_eq!(engine.get(victim.token(), &victim).unwrap(), None);
    assert_eq!(engine.counts().keys, 1);
}
