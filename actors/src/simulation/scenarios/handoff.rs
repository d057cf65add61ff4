//! What is kept for homes that are away. One node stands in for all three of them.

use std::{slice, time::Duration};

use henge_kernel::{coordination::PutOptions, planted::Defect};

use super::{Scenario, Scene, Stage, Story, Stuck};

const FOUR: Stage = Stage::of(4);

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "a-copy-kept-for-three-goes-with-the-last",
        finds: &[Defect::FirstMarkDropsRecord],
        stage: FOUR,
        play: kept_for_three,
    },
    Scenario {
        name: "homes-without-room-take-no-hint",
        finds: &[Defect::HintReleasedBeforeAck],
        stage: FOUR,
        play: no_room_at_home,
    },
    Scenario {
        name: "a-copy-that-changed-on-its-way-is-sent-again",
        finds: &[Defect::ChangedHintReleased],
        stage: FOUR,
        play: changed_on_its_way,
    },
    Scenario {
        name: "homes-lose-power-after-they-took-a-hint",
        finds: &[Defect::DurableUnsynced],
        stage: Stage { sync_interval: Duration::from_secs(10), ..FOUR },
        play: power_cut_at_home,
    },
    Scenario {
        name: "what-only-a-fallback-has-comes-home",
        finds: &[Defect::HintForgotten],
        stage: FOUR,
        play: comes_home,
    },
];

/// All homes are away; the fallback takes a write.
async fn kept_by_the_fallback(scene: &mut Scene) -> Result<(String, String), Stuck> {
    let homes = scene.homes.clone();
    scene.cut_off(&homes).await?;
    let keeper = scene.fallbacks[0].clone();
    let put = scene.put_ok(&keeper, None, PutOptions::default().w(1)).await?;
    Ok((keeper, put))
}

fn comes_home(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let homes = scene.homes.clone();
        scene.cut_off(&homes[1..]).await?;
        let first = homes[0].clone();
        // The home and the fallback; then only the fallback is left.
        scene.put_ok(&first, None, PutOptions::default()).await?;
        scene.wipe(&first).await;
        scene.end(0).await
    })
}

fn kept_for_three(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let (keeper, _) = kept_by_the_fallback(scene).await?;
        scene.until_kept_for(&keeper, 3).await?;
        let first = scene.homes[0].clone();
        scene.heal(&keeper, &first);
        let taken = async |scene: &Scene| {
            let held = scene.held(&first).await;
            let marks = scene.held(&keeper).await.map_or(0, |held| held.marks.len());
            held.is_some_and(|held| held.digest.is_some()) && marks < 3
        };
        scene.until("the first home has it", taken).await?;
        scene.wipe(&first).await;
        scene.end(0).await
    })
}

/// All homes are away; the fallback takes a write; they return, and have no room for it.
async fn refused_by_the_homes(scene: &mut Scene) -> Result<(String, String), Stuck> {
    let (keeper, put) = kept_by_the_fallback(scene).await?;
    let homes = scene.homes.clone();
    for home in &homes {
        scene.world.disk(home).set_capacity(Some(scene.world.disk(home).used()));
    }
    scene.world.network.heal_all();
    for home in &homes {
        scene.until_seen(slice::from_ref(&keeper), home, "up").await?;
    }
    scene.pass(5_000).await;
    Ok((keeper, put))
}

fn no_room_at_home(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        refused_by_the_homes(scene).await?;
        scene.end(0).await
    })
}

fn changed_on_its_way(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let (keeper, old) = refused_by_the_homes(scene).await?;
        let homes = scene.homes.clone();
        // The homes take it now, and do not say so before they have synced it.
        for home in &homes {
            scene.world.disk(home).set_capacity(None);
            scene.world.disk(home).hold_syncs();
        }
        scene.node(&keeper).hand_off();
        let arrived = async |scene: &Scene| {
            let mut all = true;
            for home in &homes {
                all &= scene.held(home).await.is_some_and(|held| held.digest.is_some());
            }
            all
        };
        scene.until("all homes have it", arrived).await?;
        for home in &homes {
            scene.cut_one_way(&keeper, home);
        }
        let soon = PutOptions::default().w(1).timeout(Duration::from_millis(400));
        scene.put_ok(&keeper, Some(&old), soon).await?;
        for home in &homes {
            scene.world.disk(home).run_syncs();
            scene.pass(50).await;
        }
        // What is stuck on the way goes with its link.
        scene.pass(10_000).await;
        scene.end(0).await
    })
}

/// A power cut takes nothing now and then: so it is tried a few times.
fn power_cut_at_home(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let (homes, mut newest) = (scene.homes.clone(), None);
        for _ in 0..6 {
            scene.cut_off(&homes).await?;
            let keeper = scene.fallbacks[0].clone();
            let put = PutOptions::default().w(1);
            newest = Some(scene.put_ok(&keeper, newest.as_deref(), put).await?);
            scene.world.network.heal_all();
            let handed = async |scene: &Scene| {
                scene.held(&keeper).await.is_some_and(|held| held.digest.is_none())
            };
            scene.until("the fallback has given it away", handed).await?;
            for home in &homes {
                scene.world.power_cut(home).await;
            }
            for home in &homes {
                scene.start(home).await?;
            }
            scene.until("all are ready", async |scene: &Scene| scene.world.is_ready()).await?;
        }
        scene.end(0).await
    })
}
