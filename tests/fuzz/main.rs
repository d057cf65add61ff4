//! Everything that reads bytes from outside: on the inputs that are kept, and on some thousands that
//! are new. The command in `command.rs` does the same for as long as you like.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod allocator;
mod corpus;

use std::{collections::BTreeSet, fs, sync::Mutex, time::Duration};

use henge::fuzzing::targets;
use henge_actors::fuzzing::{
    Allocates, Bounds, Crash, Features, Target, fuzz, replay, write_input,
};

/// Memory is counted for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Of each target, at most; what takes long is bounded by time instead.
const EXECUTIONS: u64 = 8_000;
const TIME: Duration = Duration::from_millis(400);

fn bounds() -> Bounds {
    Bounds { seed: 1, executions: EXECUTIONS, time: TIME, memory: Some(allocator::memory()) }
}

fn told(target: &Target, crash: &Crash) -> String {
    format!("{}: {}\n  {}", target.name, crash.reason, write_input(&crash.input))
}

#[test]
fn inputs_that_are_kept_do_no_harm() {
    let _alone = ONE_AT_A_TIME.lock();
    let mut harm = Vec::new();
    for target in targets() {
        for input in corpus::of(&target) {
            let crash = replay(&target, &input, Some(allocator::memory()));
            harm.extend(crash.map(|crash| told(&target, &crash)));
        }
    }
    assert!(harm.is_empty(), "{}", harm.join("\n"));
}

#[test]
fn thousands_of_changed_inputs_do_no_harm() {
    let _alone = ONE_AT_A_TIME.lock();
    let mut harm = Vec::new();
    for target in targets() {
        let report = fuzz(&target, &corpus::of(&target), &bounds());
        println!("{}: {} runs, {} features", target.name, report.executions, report.features);
        harm.extend(report.crash.map(|crash| told(&target, &crash)));
    }
    assert!(harm.is_empty(), "{}", harm.join("\n"));
}

#[test]
fn every_corpus_belongs_to_a_target_and_every_target_to_one_name() {
    let all = targets();
    let names: BTreeSet<String> = all.iter().map(|target| format!("{}.txt", target.name)).collect();
    assert_eq!(names.len(), all.len());
    let directory = corpus::path_of(&all[0]);
    for entry in fs::read_dir(directory.parent().unwrap()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{name} is nobody's");
    }
}

/// Reads a length, and believes it.
fn gullible(input: &[u8], _: &mut Features) {
    if let Some(length) = input.first_chunk() {
        drop(Vec::<u8>::with_capacity(usize::from(u16::from_le_bytes(*length))));
    }
}

#[test]
fn memory_out_of_proportion_is_found() {
    let _alone = ONE_AT_A_TIME.lock();
    let target = Target {
        name: "gullible",
        seeds: || vec![b"\x01\0".to_vec()],
        words: &[],
        mend: None,
        run: gullible,
        allocates: Allocates::LITTLE,
    };
    let crash = fuzz(&target, &[], &bounds()).crash.expect("found");
    assert!(crash.reason.contains("would be in proportion"), "{}", crash.reason);
}
