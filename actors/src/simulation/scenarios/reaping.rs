//! What is gone for good.

use std::time::Duration;

use henge_kernel::{
    coordination::{DeleteOptions, PutOptions},
    planted::Defect,
};

use super::{Scenario, Scene, Stage, Story, Stuck};

const THREE: Stage = Stage::of(3);

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "a-copy-that-was-stuck-comes-after-the-reap",
        finds: &[Defect::NoGenerationCheck],
        stage: THREE,
        play: stuck,
    },
    Scenario {
        name: "a-disk-is-restored-from-before-the-reap",
        finds: &[Defect::LeftBehindUnnoticed],
        stage: THREE,
        play: restored,
    },
    Scenario {
        name: "a-home-loses-power-right-after-its-promise",
        finds: &[Defect::PromiseUnsynced],
        stage: Stage { sync_interval: Duration::from_secs(10), ..THREE },
        play: power_cut,
    },
];

/// Deletes what was put, and has all forget it.
async fn reap(scene: &mut Scene, through: &str, put: &str) -> Result<(), Stuck> {
    scene.delete_ok(through, put, DeleteOptions::default()).await?;
    scene.until_equal().await?;
    scene.pass(50).await;
    scene.node(through).reap().await.map_err(super::scene::stuck)?;
    Ok(())
}

fn stuck(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let [first, second, third] = &scene.homes.clone()[..] else { return Ok(()) };
        scene.cut_one_way(first, third);
        let put = scene.put_ok(first, None, PutOptions::default().w(2)).await?;
        reap(scene, second, &put).await?;
        scene.world.network.heal_all();
        scene.pass(5_000).await;
        scene.end(0).await
    })
}

fn restored(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let [first, _, third] = &scene.homes.clone()[..] else { return Ok(()) };
        let put = scene.put_ok(first, None, PutOptions::default().w(3)).await?;
        scene.pass(500).await;
        let old = scene.world.back_up(third);
        reap(scene, first, &put).await?;
        scene.world.kill(third).await;
        scene.world.restore(third, old);
        scene.start(third).await?;
        scene.pass(10_000).await;
        scene.end(0).await
    })
}

fn power_cut(scene: &mut Scene) -> Story<'_> {
    Box::pin(async {
        let [first, _, third] = &scene.homes.clone()[..] else { return Ok(()) };
        let put = scene.put_ok(first, None, PutOptions::default().w(3)).await?;
        scene.pass(11_000).await;
        reap(scene, first, &put).await?;
        scene.world.power_cut(third).await;
        scene.start(third).await?;
        scene.pass(10_000).await;
        scene.end(0).await
    })
}
