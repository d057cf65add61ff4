//! Who counts.

use std::time::Duration;

use henge_kernel::{
    coordination::{PutOptions, ReadOptions},
    planted::Defect,
};

use super::{Scenario, Scene, Stage, Story};
use crate::simulation::world::name;

const THREE: Stage = Stage::of(3);

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "a-node-counts-once-however-many-it-stands-in-for",
        finds: &[Defect::FallbackCountedTwice],
        stage: Stage::of(4),
        play: alone,
    },
    Scenario {
        name: "homes-that-are-asked-for-must-be-homes",
        finds: &[Defect::PrimariesIgnored],
        stage: Stage::of(5),
        play: primaries,
    },
    Scenario {
        name: "a-home-and-a-stranger-make-no-not-found",
        finds: &[Defect::EmptyFallbackCounts],
        stage: Stage::of(5),
        play: no_guess,
    },
    Scenario {
        name: "a-home-with-a-new-disk-does-not-count",
        finds: &[Defect::IncompleteHomeCounts],
        stage: THREE,
        play: new_disk,
    },
    Scenario {
        name: "a-read-mends-who-is-behind",
        finds: &[Defect::ReadRepairDropped],
        stage: Stage { converge_ms: 500, anti_entropy: Duration::from_hours(1), ..THREE },
        play: read_repair,
    },
    Scenario {
        name: "an-overwrite-outlives-what-a-slow-clock-says",
        finds: &[Defect::StampNotInContext],
        stage: Stage { lww: true, anti_entropy: Duration::from_hours(1), ..THREE },
        play: slow_clock,
    },
];

fn alone(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let (homes, alone) = (scene.homes.clone(), scene.fallbacks[0].clone());
        // Something must be acknowledged, or nothing is proved.
        let first = scene.put_ok(&homes[0], None, PutOptions::default().w(3)).await?;
        // It does not know yet that they are away.
        for home in &homes {
            scene.world.network.isolate(&name(home));
        }
        let _ = scene.put(&alone, Some(&first), PutOptions::default().w(2)).await;
        // What is stuck on the way goes with its link.
        scene.pass(10_000).await;
        scene.wipe(&alone).await;
        scene.end(0).await
    })
}

fn primaries(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let homes = scene.homes.clone();
        let first = scene.put_ok(&homes[0], None, PutOptions::default().w(3)).await?;
        scene.cut_off(&homes[1..]).await?;
        let both = PutOptions { pw: Some(2), ..PutOptions::default().w(2) };
        let _ = scene.put(&homes[0], Some(&first), both).await;
        scene.end(0).await
    })
}

fn no_guess(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let (homes, fallbacks) = (scene.homes.clone(), scene.fallbacks.clone());
        for one in &homes[..2] {
            for other in homes[2..].iter().chain(&fallbacks) {
                scene.cut(one, other);
            }
        }
        for away in homes[2..].iter().chain(&fallbacks) {
            scene.until_seen(&homes[..2], away, "down").await?;
        }
        scene.put_ok(&homes[0], None, PutOptions::default().w(2)).await?;
        for away in &homes[..2] {
            scene.world.network.isolate(&name(away));
            scene.until_seen(&homes[2..], away, "down").await?;
        }
        scene.get(&homes[2], ReadOptions::default().r(2)).await;
        scene.end(0).await
    })
}

fn new_disk(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        // The home that missed the write reads first of itself, then of the next in the ring.
        let [next, _, behind] = &scene.homes.clone()[..] else { return Ok(()) };
        scene.world.kill(behind).await;
        let strict = PutOptions { sloppy: Some(false), ..PutOptions::default().w(2) };
        scene.put_ok(next, None, strict).await?;
        scene.wipe(next).await;
        for home in [next, behind] {
            scene.start(home).await?;
        }
        for _ in 0..400 {
            let options = ReadOptions {
                sloppy: Some(false),
                timeout: Some(Duration::from_millis(300)),
                ..ReadOptions::default().r(2)
            };
            scene.get(behind, options).await;
            scene.pass(5).await;
        }
        scene.end(0).await
    })
}

fn read_repair(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let [first, _, behind] = &scene.homes.clone()[..] else { return Ok(()) };
        scene.put_ok(first, None, PutOptions::default().w(3)).await?;
        scene.world.kill(behind).await;
        let soon = PutOptions::default().w(2).timeout(Duration::from_millis(150));
        scene.put_ok(first, None, soon).await?;
        scene.start(behind).await?;
        // Anti-entropy looks twice, a second apart: a read is faster.
        let all = || ReadOptions::default().r(3).timeout(Duration::from_millis(50));
        while scene.get(first, all()).await.is_none() {
            scene.pass(10).await;
        }
        scene.mark_heal();
        scene.pass(200).await;
        scene.dump(1).await;
        scene.end(2).await
    })
}

/// Two concurrent writes, and an overwrite of the greater one at a home that has heard of neither.
fn slow_clock(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let [fast, slow, between] = &scene.homes.clone()[..] else { return Ok(()) };
        scene.world.clock(fast).set_skew_ms(4_500);
        scene.world.clock(between).set_skew_ms(500);
        for home in [fast, between] {
            scene.cut(slow, home);
        }
        scene.cut_one_way(fast, between);
        let one = || PutOptions::default().w(1).timeout(Duration::from_millis(200));
        scene.put_ok(fast, None, one()).await?;
        let seen = scene.get(fast, ReadOptions::default().r(1)).await.unwrap_or_default();
        scene.put_ok(slow, Some(&seen), one()).await?;
        scene.put_ok(between, None, one()).await?;
        scene.pass(50).await;
        scene.cut(fast, between);
        scene.pass(1_000).await;
        scene.heal(slow, between);
        scene.node(slow).compare_replicas();
        let digest =
            async |scene: &Scene, home: &str| scene.held(home).await.and_then(|held| held.digest);
        let equal = async |scene: &Scene| {
            let (one, other) = (digest(scene, slow).await, digest(scene, between).await);
            scene.node(slow).compare_replicas();
            one == other
        };
        scene.until("two homes are equal", equal).await?;
        scene.end(0).await
    })
}
