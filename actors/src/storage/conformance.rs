//! What every engine must do. Each law takes a factory of empty engines; the macro at the end runs
//! all of them for each engine.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, mpsc},
};

use bytes::Bytes;
use henge_kernel::key::{Key, Token};

use super::{
    Change, Engine, KeyRange, PAYLOAD_BYTES_MAX, Sequence, Start, StorageError, Visited,
    disk_files::FileDisk,
    disk_simulated::SimulatedDisk,
    log::{LogEngine, LogSettings, SEGMENT_BYTES_DEFAULT},
    memory::MemoryEngine,
};

/// An engine, and what must outlive it.
pub struct Subject {
    pub engine: Box<dyn Engine>,
    _directory: Option<tempfile::TempDir>,
}

/// Makes an engine that holds nothing.
pub type Factory = fn() -> Subject;

fn memory() -> Subject {
    Subject { engine: Box::new(MemoryEngine::new()), _directory: None }
}

fn log_simulated() -> Subject {
    let disk = Arc::new(SimulatedDisk::new(1));
    let settings = LogSettings { directory: "/log".into(), segment_bytes: 1000, salt: 1 };
    Subject { engine: Box::new(LogEngine::open(disk, settings).unwrap().0), _directory: None }
}

fn log_files() -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let settings = LogSettings {
        directory: directory.path().join("shard-0"),
        segment_bytes: SEGMENT_BYTES_DEFAULT,
        salt: 1,
    };
    let engine = LogEngine::open(Arc::new(FileDisk), settings).unwrap().0;
    Subject { engine: Box::new(engine), _directory: Some(directory) }
}

pub fn key(bucket: &str, key: &str) -> Key {
    Key::new(bucket.to_owned(), key.to_owned()).unwrap()
}

/// Puts one record at the key's own token.
fn put(engine: &mut dyn Engine, key: &Key, payload: &[u8]) -> Sequence {
    engine.append(&[Change::Record { token: key.token(), key, payload: &[payload] }]).unwrap()
}

/// Everything in an engine, by a scan in pages of three; each page goes on behind the last.
pub fn everything(engine: &dyn Engine) -> Vec<(Token, Key, Result<Bytes, StorageError>)> {
    let mut all: Vec<(Token, Key, _)> = Vec::new();
    loop {
        let last = all.last().map(|(token, key, _)| (*token, key.clone()));
        let start = match &last {
            Some((token, key)) => Start::After(*token, key),
            None => Start::At(Token(0)),
        };
        let range = KeyRange { start, ..KeyRange::ALL };
        let visited = engine.scan(range, 3, &mut |listed, payload| {
            all.push((listed.token, listed.to_key().unwrap(), payload));
            ControlFlow::Continue(())
        });
        if visited == Visited::All {
            return all;
        }
    }
}

fn listed(engine: &dyn Engine, range: KeyRange<'_>, limit: usize) -> (Vec<Key>, Visited) {
    let mut keys = Vec::new();
    let visited = engine.keys(range, limit, &mut |listed| {
        keys.push(listed.to_key().unwrap());
        ControlFlow::Continue(())
    });
    (keys, visited)
}

pub fn a_record_is_read_as_it_was_written(factory: Factory) {
    let Subject { mut engine, _directory } = factory();
    let (whole, pieces, empty) = (key("b", "whole"), key("b", "pieces"), key("b", "empty"));
    put(&mut *engine, &whole, b"one piece");
    let payload: &[&[u8]] = &[b"several", b"", b" ", b"pieces"];
    engine.append(&[Change::Record { token: pieces.token(), key: &pieces, payload }]).unwrap();
    engine.append(&[Change::Record { token: empty.token(), key: &empty, payload: &[] }]).unwrap();

    let get = |key: &Key| engine.get(key.token(), key).unwrap();
    assert_eq!(get(&whole), Some(Bytes::from_static(b"one piece")));
    assert_eq!(get(&pieces), Some(Bytes::from_static(b"several pieces")));
    assert_eq!(get(&empty), Some(Bytes::new()));
    assert_eq!(get(&key("other", "whole")), None);
}

pub fn the_last_change_of_a_batch_counts(factory: Factory) {
    let Subject { mut engine, _directory } = factory();
    let (a, b) = (key("b", "a"), key("b", "b"));
    let (token_a, token_b) = (a.token(), b.token());
    let batch = [
        Change::Record { token: token_a, key: &a, payload: &[b"1"] },
        Change::Record { token: token_a, key: &a, payload: &[b"22"] },
        Change::Record { token: token_b, key: &b, payload: &[b"3"] },
        Change::Removal { token: token_b, key: &b },
    ];
    assert_eq!(engine.append(&batch).unwrap(), Sequence(4));
    assert_eq!(engine.get(token_a, &a).unwrap(), Some(Bytes::from_static(b"22")));
    assert_eq!(engine.get(token_b, &b).unwrap(), None);
    assert_eq!(engine.append(&[]).unwrap(), Sequence(4));
    assert_eq!(engine.counts().keys, 1);
}

pub fn a_removed_key_is_gone_and_can_come_back(factory: Factory) {
    let Subject { mut engine, _directory } = factory();
    let key = key("bucket", "key");
    let removal = [Change::Removal { token: key.token(), key: &key }];
    engine.append(&removal).unwrap();
    put(&mut *engine, &key, b"first");
    engine.append(&removal).unwrap();
    assert_eq!(engine.get(key.token(), &key).unwrap(), None);
    assert!(everything(&*engine).is_empty());
    assert_eq!(engine.buckets(), []);
    put(&mut *engine, &key, b"second");
    assert_eq!(engine.get(key.token(), &key).unwrap(), Some(Bytes::from_static(b"second")));
}

pub fn keys_of_one_token_are_kept_apart_and_in_order(factory: Factory) {
    let Subject { mut engine, _directory } = factory();
    let token = Token(7);
    let keys = [key("b", "2"), key("a", "9"), key("b", "1"), key("ab", "1"), key("b", "10")];
    for key in &keys {
        engine.append(&[Change::Record { token, key, payload: &[key.key()] }]).unwrap();
    }
    for key in &keys {
        assert_eq!(engine.get(token, key).unwrap().as_ref(), Some(key.key()));
        assert_eq!(engine.get(Token(8), key).unwrap(), None);
    }
    let mut sorted = keys.to_vec();
    sorted.sort();
    assert_eq!(listed(&*engine, KeyRange::ALL, 9).0, sorted);
    for (at, key) in sorted.iter().enumerate() {
        let range = KeyRange { start: Start::After(token, key), through: token };
        assert_eq!(listed(&*engine, range, 9), (sorted[at + 1..].to_vec(), Visited::All));
    }
    for (gone, key) in sorted.iter().enumerate() {
        engine.append(&[Change::Removal { token, key }]).unwrap();
        assert_eq!(listed(&*engine, KeyRange::ALL, 9).0, sorted[gone + 1..]);
    }
}

pub fn a_visit_keeps_to_its_range_and_its_limit(factory: Factory) {
    let Subject { mut engine, _directory } = factory();
    let keys: Vec<Key> = (0..5).map(|number| key("b", &format!("key-{number}"))).collect();
    for (token, key) in (0..).zip(&keys) {
        let token = Token(token * 10);
        engine.append(&[Change::Record { token, key, payload: &[b"x"] }]).unwrap();
    }
    let range = |from, through| KeyRange { start: Start::At(Token(from)), through: Token(through) };
    let all = |slice: &[Key]| (slice.to_vec(), Visited::All);
    assert_eq!(listed(&*engine, range(10, 30), 9), all(&keys[1..4]));
    assert_eq!(listed(&*engine, range(10, 30), 3), all(&keys[1..4]));
    assert_eq!(listed(&*engine, range(10, 30), 2), (keys[1..3].to_vec(), Visited::Stopped));
    assert_eq!(listed(&*engine, range(11, 29), 9), all(&keys[2..3]));
    assert_eq!(listed(&*engine, range(30, 10), 9), all(&[]));
    assert_eq!(listed(&*engine, KeyRange::ALL, 0), (vec![], Visited::Stopped));
    let visited = engine.keys(KeyRange::ALL, 9, &mut |_| ControlFlow::Break(()));
    assert_eq!(visited, Visited::Stopped);
}

pub fn buckets_know_how_many_keys_they_have(factory: Factory) {
    let Subject { mut engine, _directory } = factory();
    for (bucket, name) in [("two", "a"), ("one", "a"), ("two", "b"), ("two", "a")] {
        put(&mut *engine, &key(bucket, name), b"x");
    }
    let bucket = |name: &'static str| Bytes::from_static(name.as_bytes());
    assert_eq!(engine.buckets(), [(bucket("one"), 1), (bucket("two"), 2)]);
    assert_eq!((engine.bucket_keys(b"two"), engine.bucket_keys(b"none")), (2, 0));
    let only = key("one", "a");
    engine.append(&[Change::Removal { token: only.token(), key: &only }]).unwrap();
    assert_eq!(engine.buckets(), [(bucket("two"), 2)]);
}

pub fn a_sync_covers_what_was_appended_before_it(factory: Factory) {
    let Subject { mut engine, _directory } = factory();
    for round in 1..=3 {
        let (sent, received) = mpsc::channel();
        assert_eq!(put(&mut *engine, &key("b", "k"), b"x"), Sequence(round));
        engine.request_sync(Box::new(move |synced| sent.send(synced).unwrap()));
        assert_eq!(received.recv().unwrap().unwrap(), Sequence(round));
        let counts = engine.counts();
        assert_eq!((counts.synced, counts.unsynced_bytes), (Sequence(round), 0));
    }
}

pub fn what_is_too_large_is_refused_whole(factory: Factory) {
    let Subject { mut engine, _directory } = factory();
    let (small, large) = (key("b", "small"), key("b", "large"));
    let half = vec![0; PAYLOAD_BYTES_MAX / 2 + 1];
    let batch = [
        Change::Record { token: small.token(), key: &small, payload: &[b"x"] },
        Change::Record { token: large.token(), key: &large, payload: &[&half, &half] },
    ];
    let refused = engine.append(&batch).unwrap_err();
    assert!(matches!(refused, StorageError::TooLarge { what: "payload", .. }), "{refused}");
    assert_eq!(engine.counts().keys, 0);
    assert!(engine.poisoned().is_none());
    assert_eq!(put(&mut *engine, &small, b"x"), Sequence(1));
}

pub fn an_engine_agrees_with_a_sorted_map(factory: Factory) {
    let Subject { mut engine, _directory } = factory();
    let mut dice = fastrand::Rng::with_seed(0x5eed);
    let mut model = BTreeMap::new();
    for _ in 0..300 {
        let count = dice.usize(1..5);
        let mut place = || {
            let key = key(&dice.u8(0..3).to_string(), &dice.u8(0..9).to_string());
            (Token(dice.u64(0..8)), key)
        };
        let places: Vec<(Token, Key)> = (0..count).map(|_| place()).collect();
        let payload: Vec<u8> = (0..dice.usize(0..200)).map(|_| dice.u8(..)).collect();
        let pieces: [&[u8]; 1] = [&payload];
        let removes = dice.u8(0..4) == 0;
        let change = |(token, key)| {
            if removes {
                Change::Removal { token, key }
            } else {
                Change::Record { token, key, payload: &pieces }
            }
        };
        let changes = places.iter().map(|(token, key)| change((*token, key)));
        engine.append(&changes.collect::<Vec<_>>()).unwrap();
        for place in places {
            if removes {
                model.remove(&place);
            } else {
                model.insert(place, Bytes::from(payload.clone()));
            }
        }
    }
    let all = everything(&*engine).into_iter();
    let found = all.map(|(token, key, payload)| ((token, key), payload.unwrap()));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), model);
    assert_eq!(engine.counts().keys, model.len() as u64);
}

/// One module of tests an engine, one test a law.
macro_rules! all_conform {
    ($($engine:ident),+) => {
        $(all_conform! { @ $engine:
            a_record_is_read_as_it_was_written
            the_last_change_of_a_batch_counts
            a_removed_key_is_gone_and_can_come_back
            keys_of_one_token_are_kept_apart_and_in_order
            a_visit_keeps_to_its_range_and_its_limit
            buckets_know_how_many_keys_they_have
            a_sync_covers_what_was_appended_before_it
            what_is_too_large_is_refused_whole
            an_engine_agrees_with_a_sorted_map
        })+
    };
    (@ $engine:ident: $($law:ident)+) => {
        mod $engine {
            $(#[test] fn $law() { super::$law(super::$engine); })+
        }
    };
}

all_conform!(memory, log_simulated, log_files);
