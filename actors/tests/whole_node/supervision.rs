//! Actors that fall, and get up; one that falls too often ends its node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex},
};

use henge_actors::{NodeHandle, settings::Settings};
use henge_kernel::coordination::{PutOptions, ReadOptions};

use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::world::{Plan, World, get, key, name, pass, put, simulate, texts};

fn restarts(node: &NodeHandle, actor: &str) -> u64 {
    node.actors().iter().filter(|report| report.actor == actor).map(|report| report.restarts).sum()
}

#[test]
fn every_actor_gets_up_after_a_panic_and_others_do_not_notice() {
    for actor in NodeHandle::ACTORS {
        for shards in [1, 2] {
            simulate(async {
                let plan = Plan { shards: vec![shards], ..Plan::three(1) };
                let world = World::start(plan).await;
                put(world.node("a"), "k", "before", PutOptions::default().w(3)).await.unwrap();
                world.node("a").plant_panic(actor, 0);
                // Others are unharmed, at once.
                for node in ["b", "c"] {
                    put(world.node(node), node, "during", PutOptions::default()).await.unwrap();
                    let got = get(world.node(node), "k", ReadOptions::default()).await;
                    assert_eq!(texts(&got), ["before"]);
                }
                pass(100).await;
                assert!(restarts(world.node("a"), actor) >= 1, "{actor} was not rebuilt");
                // The node itself serves again.
                world.ready().await;
                let context = get(world.node("a"), "k", ReadOptions::default()).await.context();
                let after = PutOptions::default().context(context).w(3);
                put(world.node("a"), "k", "after", after).await.unwrap();
                let got = get(world.node("b"), "k", ReadOptions::default().r(3)).await;
                assert_eq!(texts(&got), ["after"], "{actor}");
            });
        }
    }
}

#[test]
fn a_request_in_a_falling_shard_is_told_so_and_is_never_half_done() {
    simulate(async {
        let world = World::start(Plan::three(2)).await;
        put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        world.node("a").plant_panic("StorageShard", 0);
        // The local home is away for a moment: the put goes to another home, or waits and is told.
        let outcome = put(world.node("a"), "j", "w", PutOptions::default()).await;
        pass(3_000).await;
        let got = get(world.node("b"), "j", ReadOptions::default().r(3)).await;
        match outcome {
            Ok(_) => assert_eq!(texts(&got), ["w"]),
            Err(error) => assert!(texts(&got).len() <= 1, "{error:?} {got:?}"),
        }
        let got = get(world.node("a"), "k", ReadOptions::default().r(3)).await;
        assert_eq!(texts(&got), ["v"]);
    });
}

#[test]
fn an_answer_to_a_question_from_before_a_fall_answers_no_later_one() {
    simulate(async {
        let mut plan = Plan::three(7);
        plan.profile.delay_us = 20_000..=20_000;
        let world = World::start(plan).await;
        // The peers hold what the asker does not.
        world.network.isolate(&name("a"));
        world.until_seen(&["b", "c"], "a", "down").await;
        put(world.node("b"), "k", "v", PutOptions::default()).await.unwrap();
        world.network.heal_all();
        world.until_linked().await;
        let node = world.node("a").clone();
        let asked = tokio::task::spawn_local(async move {
            node.get(&key("k"), ReadOptions::default().r(3)).await
        });
        pass(1).await;
        world.node("a").plant_panic("PeerLink", 0);
        // The links got up; the answers from the peers are still on their way.
        pass(20).await;
        let gets = (0..16).map(|round| {
            let node = world.node("a").clone();
            tokio::task::spawn_local(async move {
                get(&node, &format!("never-written-{round}"), ReadOptions::default().r(3)).await
            })
        });
        for got in gets.collect::<Vec<_>>() {
            let got = got.await.unwrap();
            assert!(texts(&got).is_empty(), "{got:?}");
        }
        assert!(asked.await.unwrap().is_err(), "its answers came to nobody");
    });
}

#[test]
fn an_actor_that_falls_too_often_ends_its_node_with_a_reason() {
    simulate(async {
        let world = World::start(Plan::three(3)).await;
        let failed = world.failed("a");
        for _ in 0..10 {
            world.node("a").plant_panic("RingManager", 0);
            pass(1_000).await;
        }
        let reason = failed.await.expect("the node ended by itself");
        assert!(reason.contains("RingManager") && reason.contains("planted"), "{reason}");
        put(world.node("b"), "k", "v", PutOptions::default()).await.unwrap();
    });
}

#[test]
fn the_fall_of_the_root_ends_its_node() {
    simulate(async {
        let world = World::start(Plan::three(7)).await;
        let failed = world.failed("a");
        world.node("a").plant_panic("NodeSupervisor", 0);
        assert!(failed.await.expect("the node ended by itself").contains("NodeSupervisor"));
    });
}

#[test]
fn a_coordinator_that_falls_often_does_not_end_its_node() {
    simulate(async {
        let world = World::start(Plan::three(4)).await;
        for _ in 0..20 {
            world.node("a").plant_panic("Coordinator", 0);
            pass(200).await;
        }
        put(world.node("a"), "k", "v", PutOptions::default()).await.unwrap();
    });
}

#[test]
fn mailboxes_stay_shallow_under_load() {
    simulate(async {
        let world = World::start(Plan::three(5)).await;
        let mut clients = Vec::new();
        for client in 0..200 {
            let node = world.node(["a", "b", "c"][client % 3]).clone();
            clients.push(tokio::task::spawn_local(async move {
                for round in 0..20 {
                    let text = format!("k{client}-{round}");
                    put(&node, &text, "v", PutOptions::default()).await.unwrap();
                }
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
        for node in ["a", "b", "c"] {
            for report in world.node(node).actors() {
                // Three messages a request in flight, for 200 requests, is the bound of admission.
                assert!(report.depth_max <= 3 * 200, "{report:?}");
            }
        }
    });
}

#[test]
fn a_peer_that_asks_too_much_is_refused_and_the_mailbox_stays_bounded() {
    const PLACES: u32 = 16;
    const CLIENTS: usize = 300;
    simulate(async {
        let narrow = |node: &str, settings: &mut Settings| {
            if node == "b" {
                settings.limits.requests_in_flight_max = PLACES;
            }
        };
        let world = World::start(Plan { adjust: narrow, ..Plan::three(6) }).await;
        let puts = (0..CLIENTS).map(|client| {
            let node = world.node("a").clone();
            tokio::task::spawn_local(async move {
                put(&node, &format!("k{client}"), "v", PutOptions::default().w(1)).await
            })
        });
        let mut acknowledged = 0;
        for put in puts.collect::<Vec<_>>() {
            acknowledged += usize::from(put.await.unwrap().is_ok());
        }
        assert_eq!(acknowledged, CLIENTS, "a home that refuses is no reason to fail");
        pass(1000).await;
        let reports = world.node("b").actors();
        let of = |actor: &'static str| reports.iter().filter(move |report| report.actor == actor);
        assert!(of("PeerLink").map(|report| report.rejected).sum::<u64>() > 0, "{reports:?}");
        for storage in of("StorageShard") {
            // Those of two peers, and what the node asks of itself.
            assert!(storage.depth_max <= 3 * PLACES, "{storage:?}");
        }
        put(world.node("b"), "after", "v", PutOptions::default().w(3)).await.unwrap();
    });
}

/// An embedder's own layer: it turns the actors' events into fields.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "henge::actor" {
            let mut fields = BTreeMap::new();
            event.record(&mut Fields(&mut fields));
            self.0.lock().unwrap().push(fields);
        }
    }
}

#[test]
fn every_actor_reports_itself_each_interval_and_each_fall_at_once() {
    let heard = Heard::default();
    let _guard = tracing_subscriber::registry().with(heard.clone()).set_default();
    simulate(async {
        let world = World::start(Plan::three(6)).await;
        for round in 0..20 {
            put(world.node("a"), &format!("k{round}"), "v", PutOptions::default()).await.unwrap();
        }
        world.node("b").plant_panic("PeerLink", 0);
        pass(11_000).await;
    });
    let heard = heard.0.lock().unwrap();
    let named = |message: &'static str| {
        heard.iter().filter(move |event| event.get("message").is_some_and(|held| held == message))
    };
    let metrics: Vec<_> = named("actor_metrics").filter(|event| event["node"] == "a").collect();
    let reporting: BTreeSet<&str> = metrics.iter().map(|event| event["actor"].as_str()).collect();
    assert_eq!(
        reporting,
        NodeHandle::ACTORS.into_iter().chain(["ClientLink", "NodeSupervisor"]).collect()
    );
    let storage = metrics.iter().find(|event| event["actor"] == "StorageShard").unwrap();
    assert!(storage["handled"].parse::<u64>().unwrap() >= 20, "{storage:?}");
    for field in
        ["instance", "shard", "depth", "depth_max", "failed", "rejected", "wait_p50_us", "restarts"]
    {
        assert!(storage.contains_key(field), "{field} is missing in {storage:?}");
    }
    assert!(named("actor_started").count() >= 3 * 6);
    let falls: Vec<_> = named("actor_restarted").collect();
    assert!(!falls.is_empty());
    assert!(falls.iter().all(|fall| fall["reason"].contains("planted in PeerLink")), "{falls:?}");
}
