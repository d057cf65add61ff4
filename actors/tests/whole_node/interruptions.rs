//! A comparison of replicas that is interrupted in each of its phases, in each way: it comes to the
//! same end within five seconds.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use henge_actors::{
    simulation::{PeerRequest, RequestFrame},
    transport::Lane,
};
use henge_kernel::{
    coordination::{PutOptions, ReadOptions},
    key::PartitionCount,
};

use crate::world::{Plan, World, get, key, name, pass, put, simulate, texts};

/// What the leader of an exchange asks, in this order.
const PHASES: [&str; 7] = ["Compare", "Branches", "Leaves", "Keys", "Digests", "Read", "Store"];

#[derive(Clone, Copy, Debug)]
enum Interruption {
    Cut,
    Kill(&'static str),
    Fall(&'static str),
}

/// What a frame asks for, as far as exchanges do.
fn phase_of(lane: Lane, frame: &Bytes) -> Option<&'static str> {
    if lane != Lane::Request {
        return None;
    }
    let asked = match RequestFrame::decode(frame).ok()? {
        RequestFrame::Request { request: PeerRequest::Trees(question), .. } => {
            format!("{question:?}")
        }
        RequestFrame::Request { request: PeerRequest::Read { .. }, .. } => "Read".to_owned(),
        RequestFrame::Request { request: PeerRequest::Store { .. }, .. } => "Store".to_owned(),
        _ => return None,
    };
    PHASES.into_iter().find(|phase| asked.starts_with(phase))
}

/// Tells when one of the two nodes first asks for what belongs to a phase.
fn watch(world: &World, phase: &'static str) -> Arc<AtomicBool> {
    let seen = Arc::new(AtomicBool::new(false));
    for node in ["a", "c"] {
        let seen = Arc::clone(&seen);
        world.network.twist(&name(node), move |lane, frame| {
            seen.fetch_or(phase_of(lane, &frame) == Some(phase), Relaxed);
            frame
        });
    }
    seen
}

async fn until_seen(seen: &AtomicBool, phase: &str) {
    for _ in 0..20_000 {
        if seen.load(Relaxed) {
            return;
        }
        pass(1).await;
    }
    panic!("no exchange came to {phase}");
}

async fn interrupt(world: &mut World, how: Interruption) {
    match how {
        Interruption::Cut => {
            world.cut("a", "c");
            pass(3_000).await;
            world.network.heal_all();
        }
        Interruption::Kill(node) => {
            world.kill(node).await;
            pass(500).await;
            world.start_node(node).await;
        }
        Interruption::Fall(actor) => {
            world.node("a").plant_panic(actor, 0);
            world.node("c").plant_panic(actor, 0);
        }
    }
}

/// Three nodes with few and dense trees, the last of which differs from the others in keys of its
/// own, of theirs, and of both.
async fn differing(seed: u64) -> (World, Vec<String>) {
    let mut plan = Plan::three(seed);
    plan.profile.delay_us = 2_000..=2_000;
    plan.adjust = |_, settings| settings.ring.partitions = PartitionCount::new(8).unwrap();
    let world = World::start(plan).await;
    let mut keys: Vec<String> = (0..300).map(|number| format!("same-{number}")).collect();
    for text in &keys {
        put(world.node("a"), text, text, PutOptions::default().w(3)).await.unwrap();
    }
    world.network.isolate(&name("c"));
    world.until_seen(&["a", "b"], "c", "down").await;
    for other in ["a", "b"] {
        world.until_seen(&["c"], other, "down").await;
    }
    for (node, side) in [("a", "left"), ("c", "right")] {
        for number in 0..40 {
            for text in [format!("{side}-{number}"), format!("both-{number}")] {
                put(world.node(node), &text, node, PutOptions::default().w(1)).await.unwrap();
                keys.push(text);
            }
        }
    }
    keys.sort();
    keys.dedup();
    (world, keys)
}

async fn until_all_equal(world: &World, keys: &[String], what: &str) {
    let mut waited = 0;
    for text in keys {
        loop {
            let digests = world.digests(&key(text)).await;
            if digests[0].is_some() && digests.iter().all(|digest| *digest == digests[0]) {
                break;
            }
            assert!(waited < 5_000, "{what}: {text} differs after {waited} ms: {digests:?}");
            pass(10).await;
            waited += 10;
        }
    }
}

fn interrupt_in_each_phase(how: Interruption) {
    for (seed, phase) in (30..).zip(PHASES) {
        simulate(async {
            let (mut world, keys) = differing(seed).await;
            let seen = watch(&world, phase);
            world.network.heal_all();
            until_seen(&seen, phase).await;
            // It is on its way, and not answered.
            interrupt(&mut world, how).await;
            until_all_equal(&world, &keys, &format!("{how:?} at {phase}")).await;
            for (text, expected) in [("both-7", &["a", "c"][..]), ("left-7", &["a"])] {
                let got = get(world.node("b"), text, ReadOptions::default()).await;
                assert_eq!(texts(&got), expected, "{how:?} at {phase}: {text}");
            }
        });
    }
}

#[test]
fn an_exchange_that_is_cut_off_in_any_phase_ends_equal_soon() {
    interrupt_in_each_phase(Interruption::Cut);
}

#[test]
fn an_exchange_whose_sides_are_killed_in_any_phase_ends_equal_soon() {
    interrupt_in_each_phase(Interruption::Kill("a"));
    interrupt_in_each_phase(Interruption::Kill("c"));
}

#[test]
fn an_exchange_whose_workers_fall_in_any_phase_ends_equal_soon() {
    interrupt_in_each_phase(Interruption::Fall("AntiEntropyWorker"));
}

#[test]
fn an_exchange_whose_shards_fall_in_any_phase_ends_equal_soon() {
    interrupt_in_each_phase(Interruption::Fall("StorageShard"));
}
