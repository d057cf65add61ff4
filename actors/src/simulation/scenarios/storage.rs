//! What is on a disk, and what is not yet.

use std::{slice, time::Duration};

use henge_kernel::{
    coordination::{PutOptions, ReadOptions},
    planted::Defect,
};

use super::{Scenario, Scene, Stage, Story, scene::stuck};
use crate::simulation::world::name;

const THREE: Stage = Stage::of(3);

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "a-write-that-failed-at-its-home-is-not-acknowledged",
        finds: &[Defect::DotBeforeWrite],
        stage: THREE,
        play: failed_at_home,
    },
    Scenario {
        name: "a-record-that-was-not-written-is-not-acknowledged",
        finds: &[Defect::StoredBeforeWrite],
        stage: THREE,
        play: failed_at_replica,
    },
    Scenario {
        name: "a-home-that-lost-power-mints-anew",
        finds: &[Defect::RightOfEarlierRun],
        stage: Stage { sync_interval: Duration::from_secs(10), ..THREE },
        play: mints_anew,
    },
    Scenario {
        name: "a-home-with-a-new-disk-mints-anew",
        finds: &[Defect::UidKept],
        stage: THREE,
        play: new_disk_mints_anew,
    },
    Scenario {
        name: "a-fallback-that-has-forgotten-a-key-mints-anew",
        finds: &[Defect::EpochRepeated],
        stage: Stage::of(5),
        play: forgotten_mints_anew,
    },
    Scenario {
        name: "a-damaged-record-is-no-missing-one",
        finds: &[Defect::CorruptIsNothing],
        stage: THREE,
        play: damaged,
    },
];

fn failed_at_home(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let alone = scene.homes[0].clone();
        let first = scene.put_ok(&alone, None, PutOptions::default().w(3)).await?;
        scene.cut_off(slice::from_ref(&alone)).await?;
        scene.break_disk(&alone, true);
        let _ = scene.put(&alone, Some(&first), PutOptions::default().w(1)).await;
        scene.end(0).await
    })
}

fn failed_at_replica(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let [first, second, third] = &scene.homes.clone()[..] else { return Ok(()) };
        let put = scene.put_ok(first, None, PutOptions::default().w(3)).await?;
        scene.cut_off(slice::from_ref(third)).await?;
        scene.break_disk(second, true);
        let _ = scene.put(first, Some(&put), PutOptions::default().w(2)).await;
        scene.world.kill(second).await;
        scene.wipe(first).await;
        scene.end(0).await
    })
}

fn mints_anew(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let [first, second, third] = &scene.homes.clone()[..] else { return Ok(()) };
        let old = scene.put_ok(first, None, PutOptions::default().w(3)).await?;
        scene.pass(11_000).await;
        scene.put_ok(first, Some(&old), PutOptions::default().w(2)).await?;
        scene.world.power_cut(first).await;
        for other in [second, third] {
            scene.cut(first, other);
        }
        scene.start(first).await?;
        scene.pass(3_000).await;
        let _ = scene.put(first, None, PutOptions::default().w(1)).await;
        scene.end(0).await
    })
}

/// A home wrote three times, loses its disk, and writes for a client that knows nothing.
fn new_disk_mints_anew(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let home = scene.homes[0].clone();
        let first = scene.put_ok(&home, None, PutOptions::default().w(3)).await?;
        let second = scene.put_ok(&home, Some(&first), PutOptions::default().w(3)).await?;
        scene.put_ok(&home, Some(&second), PutOptions::default().w(3)).await?;
        scene.wipe(&home).await;
        scene.start(&home).await?;
        for _ in 0..500 {
            let (_, outcome) = scene.put(&home, None, PutOptions::default().w(2)).await;
            if outcome.is_ok() {
                return scene.end(0).await;
            }
            scene.pass(20).await;
        }
        Err(stuck("no put was acknowledged"))
    })
}

/// A fallback writes, hands over, forgets, and writes the same key again.
fn forgotten_mints_anew(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let (homes, fallback) = (scene.homes.clone(), scene.fallbacks[0].clone());
        let one = || PutOptions::default().w(1);
        let mut seen = None;
        for _ in 0..3 {
            scene.cut_off(&homes).await?;
            let own = scene.put_ok(&fallback, seen.as_deref(), one()).await?;
            let own = scene.put_ok(&fallback, Some(&own), one()).await?;
            scene.put_ok(&fallback, None, one()).await?;
            scene.world.network.heal_all();
            let forgot = async |scene: &Scene| {
                scene.held(&fallback).await.is_some_and(|held| held.digest.is_none())
            };
            scene.until("the fallback has forgotten the key", forgot).await?;
            seen = Some(own);
        }
        scene.end(0).await
    })
}

fn damaged(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let [rotten, other, behind] = &scene.homes.clone()[..] else { return Ok(()) };
        scene.cut_off(slice::from_ref(behind)).await?;
        let strict = PutOptions { sloppy: Some(false), ..PutOptions::default().w(2) };
        scene.put_ok(rotten, None, strict).await?;
        scene.rot(rotten);
        scene.world.network.pause(&name(other));
        scene.heal(rotten, behind);
        for _ in 0..100 {
            let strict = ReadOptions { sloppy: Some(false), ..ReadOptions::default().r(2) };
            scene.get(behind, strict.timeout(Duration::from_millis(50))).await;
            scene.pass(10).await;
        }
        scene.world.network.resume(&name(other));
        scene.end(0).await
    })
}
