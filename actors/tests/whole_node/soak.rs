//! Random traffic under cuts, stops and kills; then all heals, and every key is judged.
//!
//! The judge knows nothing of dots: each value is unique, and a write covers exactly the values
//! that its context's read returned. What was acknowledged and never covered must be there; what
//! an acknowledged write covered must be gone, also where a write was forwarded and two nodes have
//! minted it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use henge_actors::{NodeHandle, api::Got};
use henge_kernel::coordination::{DeleteOptions, Fate, PutOptions, ReadOptions};

use crate::{
    sloppy::{replica, sides},
    world::{Plan, World, delete, key, name, pass, put, simulate, texts},
};

const KEYS: usize = 8;
const CLIENTS: u64 = 4;

/// What the clients know of one key.
#[derive(Default)]
struct Account {
    acknowledged: BTreeSet<String>,
    /// Covered by a write that may have been applied.
    perhaps_covered: BTreeSet<String>,
    /// Covered by a write that was acknowledged.
    covered: BTreeSet<String>,
}

type Ledger = Rc<RefCell<BTreeMap<String, Account>>>;

/// One client: reads, blind writes, writes and deletes with what it has read.
async fn client(number: u64, seed: u64, nodes: Vec<NodeHandle>, ledger: Ledger) {
    let mut rng = fastrand::Rng::with_seed(seed * 1000 + number);
    for turn in 0..60 {
        let text = format!("k{}", rng.usize(..KEYS));
        let node = &nodes[rng.usize(..nodes.len())];
        let value = format!("{number}-{turn}");
        pass(rng.u64(1..150)).await;
        let blind = rng.u8(..4) == 0;
        let (seen, context) = if blind {
            (Vec::new(), None)
        } else {
            let Ok(got) = node.get(&key(&text), ReadOptions::default()).await else { continue };
            (texts(&got), Some(got.context()))
        };
        let deletes = context.as_ref().is_some_and(|held| !held.is_empty()) && rng.u8(..5) == 0;
        let timeout = Duration::from_millis(rng.u64(300..2_000));
        let outcome = if deletes {
            let context = context.unwrap_or_default();
            let options = DeleteOptions::default().context(context).timeout(timeout);
            delete(node, &text, options).await
        } else {
            let context = context.unwrap_or_default();
            let options = PutOptions::default().context(context).timeout(timeout);
            put(node, &text, &value, options).await
        };
        let mut ledger = ledger.borrow_mut();
        let account = ledger.entry(text).or_default();
        match outcome {
            Ok(_) => {
                account.covered.extend(seen.iter().cloned());
                account.perhaps_covered.extend(seen);
                if !deletes {
                    account.acknowledged.insert(value);
                }
            }
            Err(error) if error.fate() == Fate::Unknown => account.perhaps_covered.extend(seen),
            Err(_) => {}
        }
    }
}

/// Cuts, one-way cuts, stops and falls of actors. As many nodes are cut off as leave a majority.
async fn trouble(world: &mut World, rng: &mut fastrand::Rng) {
    let names = world.names();
    let node = names[rng.usize(..names.len())];
    match rng.u8(..5) {
        0 => {
            for _ in 0..names.len() / 2 {
                world.network.isolate(&name(names[rng.usize(..names.len())]));
            }
            pass(rng.u64(200..4_000)).await;
            world.network.heal_all();
        }
        1 => {
            let other = names[rng.usize(..names.len())];
            if other != node {
                world.network.cut_one_way(&name(node), &name(other));
                pass(rng.u64(200..4_000)).await;
                world.network.heal_all();
            }
        }
        2 => {
            world.network.pause(&name(node));
            pass(rng.u64(200..3_000)).await;
            world.network.resume(&name(node));
        }
        3 => world
            .node(node)
            .plant_panic(NodeHandle::ACTORS[rng.usize(..NodeHandle::ACTORS.len())], 0),
        _ => pass(rng.u64(100..1_000)).await,
    }
}

/// What all homes hold together; a link may still be coming up.
async fn from_all(world: &World, text: &str) -> Got {
    for _ in 0..500 {
        let options = ReadOptions { pr: Some(3), ..ReadOptions::default().r(3) };
        if let Ok(got) = world.node("a").get(&key(text), options).await {
            return got.body;
        }
        pass(10).await;
    }
    panic!("{text} cannot be read from all homes 5 s after the heal");
}

/// Reads mend: a repair that is lost with a fallen actor is made again by the next read.
async fn until_equal(world: &World, text: &str) {
    for _ in 0..10 {
        from_all(world, text).await;
        pass(100).await;
        let digests = digests_at_home(world, text).await;
        if digests.iter().all(|digest| *digest == digests[0]) {
            return;
        }
    }
    panic!("{text} is not equal after ten reads: {:?}", digests_at_home(world, text).await);
}

async fn digests_at_home(world: &World, text: &str) -> Vec<Option<String>> {
    let mut digests = Vec::new();
    for home in sides(world, text).0 {
        digests.push(replica(world, &home, text).await.digest);
    }
    digests
}

/// Waits until no node keeps anything for another.
async fn until_drained(world: &World, text: &str) {
    for node in world.names() {
        world.until_marked(node, text, 0).await;
    }
}

fn run(seed: u64, nodes: usize, shards: Vec<u64>, loss_percent: u8) {
    let mut plan = Plan { nodes, shards, ..Plan::three(seed) };
    plan.profile.loss_percent = loss_percent;
    simulate(async {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::start(plan).await;
        let ledger = Ledger::default();
        for _ in 0..3 {
            let nodes: Vec<_> = world.names().iter().map(|node| world.node(node).clone()).collect();
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (nodes, ledger) = (nodes.clone(), Rc::clone(&ledger));
                    let number = number + rng.u64(..1_000_000) * CLIENTS;
                    tokio::task::spawn_local(client(number, seed, nodes, ledger))
                })
                .collect();
            while clients.iter().any(|client| !client.is_finished()) {
                trouble(&mut world, &mut rng).await;
            }
            // A node falls between two bursts, with what it was doing, and comes back.
            let node = world.names()[rng.usize(..world.names().len())];
            world.kill(node).await;
            pass(rng.u64(..3_000)).await;
            world.start_node(node).await;
            world.until_linked().await;
        }
        world.network.heal_all();
        world.until_linked().await;
        let ledger = ledger.take();
        assert!(ledger.values().map(|account| account.acknowledged.len()).sum::<usize>() > 50);
        for (text, account) in &ledger {
            until_drained(&world, text).await;
            let got = from_all(&world, text).await;
            let live: BTreeSet<String> = texts(&got).into_iter().collect();
            let lost: Vec<_> = account
                .acknowledged
                .difference(&account.perhaps_covered)
                .filter(|value| !live.contains(*value))
                .collect();
            assert!(lost.is_empty(), "seed {seed}: {text} lost {lost:?}; live {live:?}");
            let risen: Vec<_> = live.intersection(&account.covered).collect();
            assert!(risen.is_empty(), "seed {seed}: {text}: {risen:?} came back");
            until_equal(&world, text).await;
        }
    });
}

#[test]
fn no_acknowledged_write_is_lost_and_nothing_covered_comes_back() {
    for seed in 0..20 {
        run(seed, 3, vec![1], 1);
    }
}

#[test]
fn the_same_holds_with_several_shards_and_a_bad_network() {
    for seed in 100..110 {
        run(seed, 3, vec![2, 1, 3], 10);
    }
}

#[test]
fn the_same_holds_where_other_nodes_stand_in_for_homes() {
    for seed in 200..210 {
        run(seed, 5, vec![1, 2], 1);
    }
}
