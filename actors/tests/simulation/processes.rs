//! Processes in miniature: what stops and what dies at a named place of its code.

use std::{cell::Cell, rc::Rc, time::Duration};

use henge_actors::{
    NodeHandle,
    simulation::{
        Site, World, WorldPlan,
        sites::{Act, Armed},
        world::Ended,
    },
    transport::simulated::NetworkProfile,
};
use henge_kernel::{causality::Value, coordination::PutOptions, key::Key};
use tokio::{
    runtime::Builder,
    task::LocalSet,
    time::{sleep, timeout},
};

fn simulate<T>(main: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, main)
}

async fn three() -> World {
    let profile = NetworkProfile { loss_percent: 0, ..NetworkProfile::default() };
    let adjust = Rc::new(|_: &str, _: &mut _| {});
    let mut world = World::new(WorldPlan { seed: 1, nodes: 3, shards: vec![1], profile, adjust });
    for node in world.names() {
        world.start(node, None).await.unwrap();
    }
    while !world.is_ready() {
        sleep(Duration::from_millis(10)).await;
    }
    world
}

async fn put(door: &NodeHandle) -> bool {
    let key = Key::new("bucket", "key").unwrap();
    let put = door.put(&key, Value::text("value"), PutOptions::default());
    timeout(Duration::from_secs(3), put).await.is_ok_and(|put| put.is_ok())
}

#[test]
fn a_node_dies_at_the_named_place_and_what_it_had_written_is_there_when_it_is_back() {
    simulate(async {
        for (site, is_written) in [(Site::BeforeWrite, false), (Site::AfterWrite, true)] {
            let mut world = three().await;
            world.arm("a", Armed { site, passes: 0, act: Act::Die });
            assert!(!put(world.node("a")).await, "nobody was left to acknowledge it");
            let ended = world.bury().await;
            assert_eq!(ended, [("a".to_owned(), Ended::At(Some(site)))]);
            world.start("a", None).await.unwrap();
            let key = Key::new("bucket", "key").unwrap();
            let replica = world.node("a").replica(&key).await.unwrap();
            assert_eq!(replica.digest.is_some(), is_written, "{site:?}");
        }
    });
}

#[test]
fn a_node_that_dies_at_its_start_is_not_started() {
    simulate(async {
        let mut world = three().await;
        world.kill("b").await;
        let armed = Armed { site: Site::AtRestart, passes: 0, act: Act::Die };
        assert!(world.start("b", Some(armed)).await.is_err());
        assert!(!world.runs("b"));
        world.start("b", None).await.unwrap();
    });
}

#[test]
fn a_stopped_node_does_nothing_until_it_goes_on() {
    simulate(async {
        let world = three().await;
        world.pause("a");
        let answered = Rc::new(Cell::new(false));
        let asked = {
            let (door, answered) = (world.node("a").clone(), Rc::clone(&answered));
            tokio::task::spawn_local(async move {
                let done = put(&door).await;
                answered.set(done);
            })
        };
        sleep(Duration::from_millis(900)).await;
        assert!(!answered.get());
        world.resume("a");
        asked.await.unwrap();
        assert!(answered.get());
    });
}
