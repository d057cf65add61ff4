//! Self-health, clocks, the view.

use super::world::{World, millis};
use crate::{
    id::NodeId,
    membership::{HintsKept, SelfHealth, StorageState, SwimEvent, clock_skew},
    time::WallMillis,
};

fn health(wall: u64) -> SelfHealth {
    let kept = HintsKept { home: NodeId(2), count: 412, oldest: WallMillis(wall - 120_000) };
    SelfHealth {
        loop_lag_ms: 7,
        storage: StorageState::Full,
        wall: WallMillis(wall),
        keys: 81_204,
        disk_bytes: 1_200_000_000,
        hints: vec![kept],
    }
}

#[test]
fn a_clock_is_skewed_more_than_five_seconds_off_the_median() {
    assert_eq!(clock_skew([]), None);
    assert_eq!(clock_skew([10_000]), None, "of two, each may be the right one");
    assert_eq!(clock_skew([10_002]), Some(-5_001));
    assert_eq!(clock_skew([0, 3_600_000]), None, "the majority is right");
    assert_eq!(clock_skew([-3_600_000, -3_600_000]), Some(3_600_000));
    assert_eq!(clock_skew([0, 3, 90_000]), None, "one wrong peer convinces nobody");
    assert_eq!(clock_skew([-60_000, -60_010, 0]), Some(30_000));
    assert_eq!(clock_skew([-20_000, -10_000]), Some(10_000));
    assert_eq!(clock_skew([i64::MIN, i64::MIN]), Some(i64::MAX));
}

#[test]
fn self_health_is_seen_by_all_and_moves_nobody() {
    let mut world = World::settled(3, 1);
    for (node, wall) in [(1, 1_000_000), (2, 1_000_100), (3, 1_020_000)] {
        world.event(NodeId(node), SwimEvent::HealthSampled(health(wall)));
    }
    world.run(millis(100));
    for (node, wall) in [(1, 1_000_100), (2, 1_000_200), (3, 1_020_100)] {
        world.event(NodeId(node), SwimEvent::HealthSampled(health(wall)));
    }
    world.run(millis(100));
    assert_eq!(world.reports, []);
    let view = |node| world.nodes[&NodeId(node)].view();
    assert_eq!(view(1).get(NodeId(3)).unwrap().health.clone(), Some(health(1_020_100)));
    assert_eq!(view(1).get(NodeId(1)).unwrap().health.clone(), Some(health(1_000_100)));
    let skew = view(3).clock_skew().unwrap();
    assert!((19_900..=20_000).contains(&skew), "{skew}");
    assert_eq!(view(1).clock_skew(), None, "two of three clocks agree");
    for one in 1..=3 {
        assert_eq!(
            [1, 2, 3].map(|peer| one != peer && view(one).is_skewed(NodeId(peer))),
            [false, false, one != 3]
        );
    }
}

#[test]
fn a_view_knows_itself_as_up_and_strangers_not_at_all() {
    let world = World::settled(3, 1);
    let view = world.nodes[&NodeId(1)].view();
    assert!(view.is_up(NodeId(1)) && view.all_known());
    assert!(!view.is_up(NodeId(9)) && !view.is_down(NodeId(9)) && !view.known(NodeId(9)));
    assert_eq!(view.iter().len(), 3);
}
