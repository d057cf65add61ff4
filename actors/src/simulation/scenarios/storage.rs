//! What is on a disk, and what is not yet.

use std::{slice, time::Duration};

use henge_kernel::{
    coordination::{PutOptions, ReadOptions},
    planted::Defect,
};

use super::{Scenario, Scene, Stage, Story};
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
