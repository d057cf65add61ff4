//! Records whose bytes are damaged where nobody, or nobody any more, has another copy.

use bytes::Bytes;
use henge_actors::api::Got;
use henge_kernel::{
    bucket::BucketChange,
    coordination::{PutOptions, ReadOptions},
};

use crate::{
    anti_entropy::damage,
    overheard::Overheard,
    sloppy::{cut_off, five, replica, sides},
    world::{Plan, World, get, key, name, pass, put, simulate, texts},
};

const LOST: &str = "a damaged record is lost";

/// Waits until a node has read what it holds of a key, or that it holds nothing.
async fn until_readable(world: &World, node: &str, text: &str) {
    for _ in 0..600 {
        let report = world.node(node).anti_entropy();
        let doubts = report.quarantined + report.incomplete;
        if doubts == 0 && world.node(node).replica(&key(text)).await.is_ok() {
            return;
        }
        pass(100).await;
    }
    panic!("{:?}", world.node(node).replica(&key(text)).await);
}

/// Writes more, so that what was written before is no torn tail.
async fn follow(world: &World, node: &str, w: u8) {
    for number in 0..20 {
        let text = format!("after-{number}");
        put(world.node(node), &text, "v", PutOptions::default().w(w)).await.unwrap();
    }
}

#[test]
fn a_damaged_record_that_no_other_home_has_is_lost_loudly_and_its_key_is_written_again() {
    for restart in [false, true] {
        simulate(async {
            let (heard, _guard) = Overheard::listen();
            let mut world = World::start(Plan::three(1)).await;
            world.network.isolate(&name("a"));
            world.until_seen(&["b", "c"], "a", "down").await;
            put(world.node("a"), "k", "<alone>", PutOptions::default().w(1)).await.unwrap();
            follow(&world, "a", 1).await;
            if restart {
                world.kill("a").await;
            }
            damage(&world, "a", "<alone>");
            if restart {
                world.start_node("a").await;
            }
            assert!(world.node("a").replica(&key("k")).await.is_err(), "never nothing at first");
            pass(5_000).await;
            assert!(world.node("a").replica(&key("k")).await.is_err(), "nobody could be asked");
            assert_eq!(heard.count(LOST), 0);
            world.network.heal_all();
            world.until_linked().await;
            until_readable(&world, "a", "k").await;
            assert_eq!(replica(&world, "a", "k").await.digest, None);
            assert!(matches!(
                get(world.node("b"), "k", ReadOptions::default().r(3)).await,
                Got::NotFound
            ));
            put(world.node("a"), "k", "again", PutOptions::default().w(3)).await.unwrap();
            pass(15_000).await;
            let got = get(world.node("a"), "k", ReadOptions::default().r(3)).await;
            assert_eq!(texts(&got), ["again"]);
            assert_eq!((heard.count(LOST), world.node("a").anti_entropy().scrub.lost), (1, 1));
        });
    }
}

#[test]
fn a_damaged_record_that_another_home_has_is_not_lost() {
    simulate(async {
        let (heard, _guard) = Overheard::listen();
        let world = World::start(Plan::three(2)).await;
        put(world.node("a"), "k", "<kept>", PutOptions::default().w(3)).await.unwrap();
        damage(&world, "a", "<kept>");
        assert!(world.node("a").replica(&key("k")).await.is_err());
        until_readable(&world, "a", "k").await;
        assert!(replica(&world, "a", "k").await.digest.is_some());
        assert_eq!(heard.count(LOST), 0);
        assert!(heard.count("is damaged, and quarantined") > 0);
    });
}

#[test]
fn a_damaged_record_of_one_home_alone_is_never_not_found() {
    simulate(async {
        let (heard, _guard) = Overheard::listen();
        let world = World::start(Plan::three(4)).await;
        let (bucket, text) = (Bytes::from_static(b"bucket"), "k");
        let change = BucketChange::default();
        let change =
            ["n=1", "r=1", "w=1"].iter().fold(change, |all, one| all.parse_pair(one).unwrap());
        world.node("a").set_bucket(&bucket, change).await.unwrap();
        pass(1_000).await;
        let home = world.node("a").preference_list(&key(text)).homes[0].clone();
        put(world.node(&home), text, "<alone>", PutOptions::default()).await.unwrap();
        follow(&world, &home, 1).await;
        damage(&world, &home, "<alone>");
        for _ in 0..2 {
            let got = world.node("b").get(&key(text), ReadOptions::default()).await;
            assert!(got.is_err(), "{got:?}");
            pass(5_000).await;
        }
        assert_eq!(heard.count(LOST), 0);
    });
}

#[test]
fn a_hinted_copy_that_rots_is_lost_loudly_and_waits_for_nobody() {
    for restart in [false, true] {
        simulate(async {
            let (heard, _guard) = Overheard::listen();
            let mut world = World::start(five(3)).await;
            let (homes, fallbacks) = sides(&world, "k");
            let (home, keeper) = (homes[0].clone(), fallbacks[0].clone());
            cut_off(&world, &homes[..1]).await;
            put(world.node(&homes[1]), "k", "<kept>", PutOptions::default().w(3)).await.unwrap();
            world.until_marked(&keeper, "k", 1).await;
            follow(&world, &homes[1], 3).await;
            if restart {
                world.kill(&keeper).await;
            }
            damage(&world, &keeper, "<kept>");
            if restart {
                world.start_node(&keeper).await;
            }
            world.network.heal_all();
            until_readable(&world, &keeper, "k").await;
            assert_eq!(replica(&world, &keeper, "k").await.digest, None);
            world.node(&keeper).hand_off();
            pass(10_000).await;
            let kept = world.node(&keeper).hints().await.unwrap().homes;
            assert!(kept.is_empty(), "{kept:?}");
            assert_eq!((heard.count(LOST), world.node(&keeper).anti_entropy().scrub.lost), (1, 1));
            // Those that have it give it to the home.
            until_readable(&world, &home, "k").await;
            let got = replica(&world, &home, "k").await;
            assert!(got.digest.is_some(), "{got:?}");
        });
    }
}
