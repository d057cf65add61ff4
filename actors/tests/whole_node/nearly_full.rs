//! Disks that are nearly full: what is still taken, who takes the rest, and how it ends.

use henge_actors::{api::Got, reports::Readiness};
use henge_kernel::{
    coordination::{DeleteOptions, PutOptions, ReadOptions, RequestError},
    id::WriteId,
};

use crate::{
    overheard::Overheard,
    sloppy::{cut_off, five, replica, sides},
    world::{Plan, World, delete, get, pass, put, simulate, texts},
};

const RESERVE: u64 = 64 << 10;

fn reserving(plan: Plan) -> Plan {
    Plan { adjust: |_, settings| settings.storage.reserve_bytes = RESERVE, ..plan }
}

/// What `observer` has been told of the disk of `node`.
fn told(world: &World, observer: &str, node: &str) -> String {
    let members = world.node(observer).cluster().members;
    let member = members.into_iter().find(|member| member.name == node).unwrap();
    member.health.map_or_else(|| "nothing".to_owned(), |health| health.storage.into_owned())
}

async fn until_told(world: &World, node: &str, storage: &str) {
    let all = |world: &World| world.names().iter().all(|by| told(world, by, node) == storage);
    for _ in 0..1_000 {
        if all(world) {
            return;
        }
        pass(10).await;
    }
    panic!("{node} is {} and not {storage} after 10 s", told(world, node, node));
}

/// Leaves so much room on the disks of these nodes, and waits until all know of it.
async fn leave(world: &World, nodes: &[String], bytes: u64) {
    for node in nodes {
        world.disk(node).set_capacity(Some(world.disk(node).used() + bytes));
    }
    for node in nodes {
        until_told(world, node, "full").await;
    }
}

async fn make_room(world: &World, nodes: &[String]) {
    for node in nodes {
        world.disk(node).set_capacity(None);
    }
    for node in nodes {
        until_told(world, node, "ok").await;
    }
}

#[test]
fn nearly_full_disks_refuse_puts_with_numbers_and_take_deletes_and_reads() {
    simulate(async {
        let (heard, _guard) = Overheard::listen();
        let world = World::start(reserving(Plan::three(1))).await;
        let all = ["a", "b", "c"].map(str::to_owned);
        let context = put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        leave(&world, &all, RESERVE / 2).await;
        assert_eq!(heard.count("the disk is nearly full"), 3, "once each");
        for node in &all {
            let refused = put(world.node(node), "j", "w", PutOptions::default()).await.unwrap_err();
            let RequestError::StorageFull { free, needed } = refused else { panic!("{refused:?}") };
            assert!((1..=RESERVE / 2).contains(&free), "{free}");
            assert!((RESERVE..RESERVE * 2).contains(&needed), "{needed}");
            assert!(matches!(world.node(node).readiness(), Readiness::Ready), "it is read from");
            assert_eq!(world.sees("a", node), "up");
        }
        assert_eq!(texts(&get(world.node("b"), "k", ReadOptions::default().r(3)).await), ["v"]);
        let options = DeleteOptions::default().context(context.body.context).w(3);
        delete(world.node("a"), "k", options).await.unwrap();
        let got = get(world.node("c"), "k", ReadOptions::default().r(3)).await;
        assert!(matches!(got, Got::Deleted { .. }), "{got:?}");
        make_room(&world, &all).await;
        put(world.node("a"), "j", "w", PutOptions::default().w(3)).await.unwrap();
        assert_eq!(heard.count("the disk is nearly full"), 3);
    });
}

#[test]
fn a_retry_of_what_was_minted_before_is_answered_as_before() {
    simulate(async {
        let world = World::start(reserving(Plan::three(2))).await;
        let all = ["a", "b", "c"].map(str::to_owned);
        let again = PutOptions { write_id: Some(WriteId(7)), ..PutOptions::default().w(3) };
        let first = put(world.node("a"), "k", "v", again.clone()).await.unwrap();
        leave(&world, &all, RESERVE / 2).await;
        let second = put(world.node("a"), "k", "v", again).await.unwrap();
        assert_eq!(first.body.dot, second.body.dot);
    });
}

#[test]
fn a_home_whose_disk_is_nearly_full_leaves_a_put_to_the_others_and_gets_it_when_it_has_room() {
    simulate(async {
        let world = World::start(reserving(five(3))).await;
        let (homes, fallbacks) = sides(&world, "k");
        leave(&world, &homes[..1], RESERVE / 2).await;
        let node = world.node(&homes[0]);
        let written = put(node, "k", "v", PutOptions::default().w(3)).await.unwrap();
        assert_eq!((written.replicas.acks, written.replicas.fallbacks), (3, 1));
        assert_eq!(replica(&world, &homes[0], "k").await.digest, None, "it has no room");
        assert_eq!(replica(&world, &fallbacks[0], "k").await.marks, homes[..1]);
        // A tombstone has.
        let context = put(world.node(&homes[1]), "j", "v", PutOptions::default().w(2)).await;
        let options = DeleteOptions::default().context(context.unwrap().body.context);
        let deleted = delete(world.node(&homes[1]), "j", options.w(3)).await.unwrap();
        assert_eq!((deleted.replicas.acks, deleted.replicas.fallbacks), (3, 0));
        make_room(&world, &homes[..1]).await;
        world.until_marked(&fallbacks[0], "k", 0).await;
        assert!(replica(&world, &homes[0], "k").await.digest.is_some());
    });
}

#[test]
fn what_is_kept_for_others_is_handed_over_out_of_the_reserve() {
    simulate(async {
        let world = World::start(reserving(five(4))).await;
        let (homes, fallbacks) = sides(&world, "k");
        cut_off(&world, &homes[..1]).await;
        put(world.node(&homes[1]), "k", "v", PutOptions::default().w(3)).await.unwrap();
        world.until_marked(&fallbacks[0], "k", 1).await;
        let keeper = &fallbacks[..1];
        world.disk(&keeper[0]).set_capacity(Some(world.disk(&keeper[0]).used() + RESERVE / 2));
        world.network.heal_all();
        world.until_marked(&keeper[0], "k", 0).await;
        until_told(&world, &keeper[0], "full").await;
        assert!(replica(&world, &homes[0], "k").await.digest.is_some());
        assert_eq!(replica(&world, &keeper[0], "k").await.digest, None);
    });
}

#[test]
fn fallbacks_take_what_no_home_has_room_for_and_hand_it_over_later() {
    simulate(async {
        let world = World::start(reserving(five(5))).await;
        let (homes, fallbacks) = sides(&world, "k");
        leave(&world, &homes, RESERVE / 2).await;
        let written = put(world.node(&homes[0]), "k", "v", PutOptions::default()).await.unwrap();
        assert_eq!((written.replicas.acks, written.replicas.fallbacks), (2, 2));
        let strict = PutOptions { sloppy: Some(false), ..PutOptions::default() };
        let refused = put(world.node(&homes[0]), "k", "v", strict).await.unwrap_err();
        assert!(matches!(refused, RequestError::StorageFull { .. }), "{refused:?}");
        make_room(&world, &homes).await;
        for fallback in &fallbacks {
            world.until_marked(fallback, "k", 0).await;
        }
        let got = get(world.node(&homes[0]), "k", ReadOptions::default().r(3)).await;
        assert_eq!(texts(&got), ["v"]);
    });
}

#[test]
fn what_one_shard_writes_is_seen_before_the_reserve_is_gone() {
    simulate(async {
        let world = World::start(reserving(Plan::three(6))).await;
        let all = ["a", "b", "c"];
        for node in all {
            world.disk(node).set_capacity(Some(world.disk(node).used() + 2 * RESERVE));
        }
        // All at once: nobody looks at the disk in between because time has passed.
        let value = "x".repeat(1_000);
        let keys: Vec<_> = (0..200).map(|number| format!("k{number}")).collect();
        let puts =
            keys.iter().map(|text| put(world.node("a"), text, &value, PutOptions::default()));
        let refused = futures_util::future::join_all(puts).await;
        assert!(refused.iter().any(Result::is_err));
        for node in all {
            let disk = world.disk(node);
            let left = henge_actors::storage::disk::Disk::free(&**disk, "/".as_ref()).unwrap();
            assert!(left > RESERVE / 4 * 3, "{left} bytes are left at {node}");
        }
    });
}
