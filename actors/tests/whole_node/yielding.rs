//! Work in the background yields to clients: it stands still while they take most of what a shard
//! can do, and goes on when they do not.

use std::{cell::Cell, rc::Rc};

use henge_actors::NodeHandle;
use henge_kernel::{
    coordination::{PutOptions, ReadOptions},
    key::PartitionCount,
};
use tokio::task::{JoinHandle, spawn_local};

use crate::{
    sloppy::{cut_off, five, sides},
    world::{Plan, World, key, name, pass, put, simulate},
};

const PLACES: u32 = 128;
const HINTS: u64 = 200;

/// Clients that take more than half of the places of a node, as long as they are told to.
struct Crowd {
    goes_on: Rc<Cell<bool>>,
    clients: Vec<JoinHandle<u64>>,
}

impl Crowd {
    fn at(nodes: &[&NodeHandle], text: &str, clients: u32) -> Self {
        let goes_on = Rc::new(Cell::new(true));
        let one = |(number, node): (u64, &NodeHandle)| {
            let (node, key, goes_on) = (node.clone(), key(text), Rc::clone(&goes_on));
            spawn_local(async move {
                // Not all in step, or there were moments without any.
                pass(number % 41).await;
                let mut served = 0;
                while goes_on.get() {
                    let outcome = node.get(&key, ReadOptions::default()).await;
                    served += u64::from(outcome.is_ok());
                    pass(1).await;
                }
                served
            })
        };
        let nodes = nodes.iter().flat_map(|node| (0..clients).map(move |_| *node));
        let clients = (0..).zip(nodes).map(one).collect();
        Self { goes_on, clients }
    }

    /// Lets them go; how many requests they had served.
    async fn leave(self) -> u64 {
        self.goes_on.set(false);
        let mut served = 0;
        for client in self.clients {
            served += client.await.unwrap();
        }
        served
    }
}

/// Packets take so long that each request is in the node for a while.
fn slow(plan: Plan) -> Plan {
    let mut plan = plan;
    plan.profile.delay_us = 20_000..=20_000;
    plan.adjust = |_, settings| {
        settings.limits.requests_in_flight_max = PLACES;
        // Deliveries alone are to be seen.
        settings.anti_entropy.interval = std::time::Duration::from_hours(1);
    };
    plan
}

async fn kept(node: &NodeHandle) -> u64 {
    node.hints().await.unwrap().homes.iter().map(|home| home.count).sum()
}

#[test]
fn hints_wait_while_clients_take_most_places_and_are_delivered_when_they_have_gone() {
    simulate(async {
        let world = World::start(slow(five(1))).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes).await;
        let keeper = world.node(&fallbacks[0]).clone();
        let mut round = 0;
        while kept(&keeper).await < HINTS {
            let text = format!("k{round}");
            let _ = put(&keeper, &text, "v", PutOptions::default().w(1)).await;
            round += 1;
        }
        let before = kept(&keeper).await;
        // They read what lies with those who are here.
        let near =
            |text: &String| fallbacks.iter().all(|node| sides(&world, text).0.contains(node));
        let near = (0..10_000).map(|number| format!("crowd {number}")).find(near).unwrap();
        let crowd = Crowd::at(&[&keeper], &near, PLACES * 3 / 4);
        pass(500).await;
        world.network.heal_all();
        for home in &homes {
            world.until_seen(&[&fallbacks[0]], home, "up").await;
        }
        pass(5_000).await;
        let after = kept(&keeper).await;
        assert!(after >= before, "{before} hints, {after} are left");
        assert!(crowd.leave().await > 1_000, "the clients were served all the while");
        pass(3_000).await;
        assert_eq!(kept(&keeper).await, 0);
    });
}

#[test]
fn hints_are_delivered_beside_a_few_clients() {
    simulate(async {
        let world = World::start(slow(five(1))).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes).await;
        let keeper = world.node(&fallbacks[0]).clone();
        for round in 0..100 {
            let _ = put(&keeper, &format!("k{round}"), "v", PutOptions::default().w(1)).await;
        }
        let crowd = Crowd::at(&[&keeper], "crowd", PLACES / 4);
        world.network.heal_all();
        pass(8_000).await;
        assert_eq!(kept(&keeper).await, 0);
        crowd.leave().await;
    });
}

/// Three nodes, one of which has missed a hundred writes and comes back to nodes with a crowd at
/// each; how many were mended in six seconds. Then the crowds go.
async fn return_to_crowds(clients: u32) -> (World, u64) {
    let mut plan = slow(Plan::three(2));
    // Few trees, so that the way down to the keys is short.
    plan.adjust = |name, settings| {
        (slow(Plan::three(2)).adjust)(name, settings);
        settings.ring.partitions = PartitionCount::new(8).unwrap();
    };
    let world = World::start(plan).await;
    put(world.node("a"), "crowd", "v", PutOptions::default().w(3)).await.unwrap();
    world.network.isolate(&name("c"));
    world.until_seen(&["a", "b"], "c", "down").await;
    world.until_seen(&["c"], "a", "down").await;
    world.until_seen(&["c"], "b", "down").await;
    for text in missed() {
        put(world.node("a"), &text, "v", PutOptions::default().w(1)).await.unwrap();
    }
    let nodes: Vec<_> = ["a", "b", "c"].iter().map(|node| world.node(node)).collect();
    let crowd = Crowd::at(&nodes, "crowd", clients);
    pass(500).await;
    world.network.heal_all();
    pass(6_000).await;
    let mended = mended_by_all(&world);
    assert!(crowd.leave().await > 1_000, "the clients were served all the while");
    (world, mended)
}

fn missed() -> impl Iterator<Item = String> {
    (0..100).map(|number| format!("k{number}"))
}

fn mended_by_all(world: &World) -> u64 {
    ["a", "b", "c"].iter().map(|node| world.node(node).anti_entropy().mended).sum()
}

#[test]
fn exchanges_stand_still_while_clients_take_most_places_and_go_on_when_they_have_gone() {
    simulate(async {
        let (world, mended) = return_to_crowds(PLACES * 3 / 4).await;
        assert_eq!(mended, 0);
        pass(10_000).await;
        for text in missed() {
            world.until_equal(&key(&text)).await;
        }
        assert!(mended_by_all(&world) >= 100);
    });
}

#[test]
fn exchanges_go_on_beside_a_few_clients() {
    simulate(async {
        let (_world, mended) = return_to_crowds(PLACES / 8).await;
        assert!(mended >= 100, "{mended}");
    });
}
