//! What the log costs on this machine: `cargo bench -p henge-actors --bench storage [keys]`.
//!
//! Times are of one thread on an otherwise idle machine, with values of 1 KiB in the page cache.
#![allow(clippy::disallowed_methods, reason = "a benchmark has its own clock")]

use std::{error::Error, ops::ControlFlow, sync::Arc, time::Instant};

use henge_actors::storage::{
    Change, Engine, KeyRange,
    disk_files::FileDisk,
    log::{LogEngine, LogSettings, SEGMENT_BYTES_DEFAULT},
};
use henge_kernel::key::{Key, Token};

/// Any error ends the benchmark, and is told.
type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // `cargo bench` passes `--bench`.
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let directory = tempfile::tempdir_in(".")?;
    let settings = LogSettings {
        directory: directory.path().join("shard-0"),
        segment_bytes: SEGMENT_BYTES_DEFAULT,
        salt: 1,
    };
    let open = || LogEngine::open(Arc::new(FileDisk), settings.clone());
    let (mut engine, _) = open()?;
    let keys: Vec<(Token, Key)> = (0..count).map(key).collect::<Outcome<_>>()?;
    let value = vec![7; 1024];

    let before = resident_bytes();
    report("put, batches of 1", &keys, |chunk| put(&mut engine, chunk, &value), 1)?;
    let grown = resident_bytes().saturating_sub(before);
    println!("{:<28}{:>9} bytes a key, 26 of them the key", "directory", grown / keys.len());
    report("put, batches of 32", &keys, |chunk| put(&mut engine, chunk, &value), 32)?;
    let mut shuffled = keys;
    fastrand::Rng::with_seed(1).shuffle(&mut shuffled);
    let get = |chunk: &[(Token, Key)]| {
        let (token, key) = &chunk[0];
        assert!(engine.get(*token, key)?.is_some());
        Ok(())
    };
    report("get", &shuffled, get, 1)?;
    let walk = |_: &[(Token, Key)]| {
        engine.keys(KeyRange::ALL, usize::MAX, &mut |_| ControlFlow::Continue(()));
        Ok(())
    };
    report("list", &shuffled, walk, shuffled.len())?;
    drop(engine);
    report("open (two entries a key)", &shuffled, |_| Ok(open().map(drop)?), shuffled.len())
}

fn key(number: usize) -> Outcome<(Token, Key)> {
    let key = Key::new("bench", format!("key-{number:022}"))?;
    Ok((key.token(), key))
}

fn put(engine: &mut LogEngine, keys: &[(Token, Key)], value: &[u8]) -> Outcome<()> {
    let payload = [value];
    let record = |(token, key)| Change::Record { token, key, payload: &payload };
    let batch: Vec<_> = keys.iter().map(|(token, key)| record((*token, key))).collect();
    Ok(engine.append(&batch).map(drop)?)
}

fn report(
    what: &str,
    keys: &[(Token, Key)],
    work: impl FnMut(&[(Token, Key)]) -> Outcome<()>,
    batch: usize,
) -> Outcome<()> {
    let start = Instant::now();
    keys.chunks(batch).try_for_each(work)?;
    let each = start.elapsed().as_nanos() / keys.len() as u128;
    println!("{what:<28}{each:>9} ns a key");
    Ok(())
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
