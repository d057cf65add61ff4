//! The schedule, one statement each.

use henge_kernel::{
    anti_entropy::{
        Schedule, TreeId,
        exchange::Report,
        schedule::{
            AFTER_RETURN, EVERY, HINTS_WAIT_MAX, LAG, RETRY_AFTER, ROUNDS_MAX, RUNNING_MAX,
            STALLED, ScheduleEffect, ScheduleEvent,
        },
    },
    id::NodeId,
    key::PartitionId,
    machine::Machine,
    time::Instant,
};

const NODE: NodeId = NodeId(5);
/// A peer that this node leads, and one that leads it.
const LED: NodeId = NodeId(6);
const LEADER: NodeId = NodeId(4);

struct Plan {
    machine: Schedule,
    effects: Vec<ScheduleEffect>,
    now: Instant,
}

impl Plan {
    /// Of a ring in which all of `peers` share something with this node and are up, when it is
    /// time to compare with them.
    fn with(peers: &[NodeId]) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let mut plan = Self { machine: Schedule::new(NODE, EVERY), effects: Vec::new(), now };
        plan.handle(ScheduleEvent::RingChanged(peers.to_vec()));
        for peer in peers {
            assert_eq!(plan.handle(ScheduleEvent::PeerUp(*peer)), [], "hints come first");
        }
        plan.now = plan.now.after(AFTER_RETURN);
        plan.machine.expire(plan.now, &mut plan.effects);
        plan
    }

    fn handle(&mut self, event: ScheduleEvent) -> &[ScheduleEffect] {
        self.effects.clear();
        self.machine.handle(self.now, event, &mut self.effects);
        &self.effects
    }

    fn wait(&mut self) -> &[ScheduleEffect] {
        self.effects.clear();
        self.now = self.machine.deadline().unwrap();
        self.machine.expire(self.now, &mut self.effects);
        &self.effects
    }

    fn compared(&mut self, peer: NodeId, differing: &[u16]) -> &[ScheduleEffect] {
        let tree = |partition: &u16| TreeId { partition: PartitionId(*partition), n: 3 };
        let differing = differing.iter().map(tree).collect();
        self.handle(ScheduleEvent::Compared { peer, differing })
    }

    /// The exchange came to its end, and so many keys were mended.
    fn finished(&mut self, peer: NodeId, keys: u64) -> &[ScheduleEffect] {
        let report = Report { complete: true, keys, ..Report::default() };
        self.handle(ScheduleEvent::Finished { peer, report })
    }

    fn dirty(&mut self, peer: NodeId, partition: u16) -> &[ScheduleEffect] {
        self.handle(ScheduleEvent::Dirty { peer, partitions: vec![PartitionId(partition)] })
    }

    /// So many hints are kept for the home.
    fn hinted(&mut self, home: NodeId, count: u64) -> &[ScheduleEffect] {
        self.handle(ScheduleEvent::HintsKept([(home, count)].into()))
    }

    /// What it wants after this time.
    fn after(&mut self, wait: core::time::Duration) -> &[ScheduleEffect] {
        self.effects.clear();
        self.now = self.now.after(wait);
        self.machine.expire(self.now, &mut self.effects);
        &self.effects
    }

    fn due(&self) -> core::time::Duration {
        self.machine.deadline().unwrap().since(self.now)
    }
}

fn start(peer: NodeId, first: &[u16]) -> ScheduleEffect {
    ScheduleEffect::Start { peer, first: first.iter().copied().map(PartitionId).collect() }
}

fn clean(peer: NodeId, partition: u16) -> ScheduleEffect {
    ScheduleEffect::Clean { peer, partition: PartitionId(partition) }
}

#[test]
fn a_peer_that_returned_is_compared_with_by_the_one_that_leads_after_its_hints() {
    let mut plan = Plan::with(&[LED]);
    assert_eq!(plan.effects, [start(LED, &[])]);
    let plan_of_led = Plan::with(&[LEADER]);
    assert_eq!(plan_of_led.effects, []);
    assert_eq!(plan_of_led.due(), LAG);
    plan.finished(LED, 0);
    plan.handle(ScheduleEvent::PeerDown(LED));
    assert_eq!(plan.machine.deadline(), None);
    assert_eq!(plan.handle(ScheduleEvent::PeerUp(LED)), []);
    assert_eq!(plan.due(), AFTER_RETURN);
    assert_eq!(plan.wait(), [start(LED, &[])]);
}

#[test]
fn in_steady_state_the_one_that_leads_begins() {
    let mut plan = Plan::with(&[LED]);
    plan.finished(LED, 0);
    assert_eq!(plan.due(), EVERY);
    assert_eq!(plan.wait(), [start(LED, &[])]);
    let mut plan = Plan::with(&[LEADER]);
    assert_eq!(plan.handle(ScheduleEvent::Served(LEADER)), []);
    assert_eq!(plan.due(), EVERY * 2, "and the other one, should nothing come");
    assert_eq!(plan.wait(), [start(LEADER, &[])]);
}

#[test]
fn it_goes_on_until_nothing_is_left_to_mend() {
    let mut plan = Plan::with(&[LED]);
    plan.compared(LED, &[7]);
    assert_eq!(plan.finished(LED, 12), [start(LED, &[7])]);
    plan.compared(LED, &[]);
    assert_eq!(plan.finished(LED, 0), []);
    assert_eq!(plan.due(), EVERY);
}

#[test]
fn a_peer_that_stays_different_is_not_asked_without_end() {
    let mut plan = Plan::with(&[LED]);
    for _ in 0..ROUNDS_MAX {
        assert_eq!(plan.finished(LED, 1), [start(LED, &[])]);
    }
    assert_eq!(plan.finished(LED, 1), []);
    assert_eq!(plan.due(), EVERY);
}

#[test]
fn an_exchange_that_failed_is_begun_again() {
    let mut plan = Plan::with(&[LED]);
    let report = Report::default();
    assert_eq!(plan.handle(ScheduleEvent::Finished { peer: LED, report }), []);
    assert_eq!(plan.due(), RETRY_AFTER);
}

#[test]
fn a_dirty_partition_is_compared_at_once_and_stays_dirty_until_it_is_equal() {
    let mut plan = Plan::with(&[LEADER]);
    assert_eq!(plan.dirty(LEADER, 7), [start(LEADER, &[7])], "whoever leads");
    assert_eq!(plan.compared(LEADER, &[7]), []);
    assert_eq!(plan.finished(LEADER, 1), [start(LEADER, &[7])]);
    assert_eq!(plan.compared(LEADER, &[]), [clean(LEADER, 7)]);
}

#[test]
fn a_partition_that_became_dirty_meanwhile_is_compared_once_more() {
    let mut plan = Plan::with(&[LED]);
    assert_eq!(plan.dirty(LED, 7), [], "one exchange at a time");
    assert_eq!(plan.compared(LED, &[]), []);
    assert_eq!(plan.finished(LED, 0), [start(LED, &[7])]);
}

#[test]
fn a_dirty_partition_of_a_peer_that_is_down_waits_for_it() {
    for peer in [LED, LEADER] {
        let mut plan = Plan::with(&[peer]);
        plan.handle(ScheduleEvent::PeerDown(peer));
        assert_eq!(plan.dirty(peer, 7), []);
        assert_eq!(plan.handle(ScheduleEvent::PeerUp(peer)), [start(peer, &[7])], "whoever leads");
    }
}

#[test]
fn it_is_known_since_when_a_partition_differs() {
    let mut plan = Plan::with(&[LED]);
    let since = plan.now;
    plan.compared(LED, &[7, 9]);
    plan.finished(LED, 5);
    plan.now = plan.now.after(LAG);
    plan.compared(LED, &[9]);
    let diverged: Vec<_> = plan.machine.diverged().collect();
    assert_eq!(diverged, [(LED, PartitionId(9), since)]);
    assert_eq!(plan.machine.compared(LED), Some(plan.now));
    plan.finished(LED, 0);
    assert_eq!(plan.machine.diverged().count(), 0, "it was on its way");
}

#[test]
fn few_exchanges_are_under_way_at_a_time() {
    let peers: Vec<_> = (10..20).map(NodeId).collect();
    let mut plan = Plan::with(&[]);
    for peer in &peers {
        plan.handle(ScheduleEvent::PeerUp(*peer));
    }
    let starts = plan.handle(ScheduleEvent::RingChanged(peers.clone())).len();
    assert_eq!(starts, RUNNING_MAX);
    assert_eq!(plan.machine.deadline(), None);
    assert_eq!(plan.finished(peers[0], 0), [start(peers[2], &[])]);
}

#[test]
fn a_change_of_the_ring_is_compared_at_once_and_forgets_who_shares_nothing() {
    let mut plan = Plan::with(&[LED]);
    plan.compared(LED, &[7]);
    plan.finished(LED, 0);
    assert_eq!(plan.handle(ScheduleEvent::RingChanged(vec![LED])), [start(LED, &[])]);
    plan.handle(ScheduleEvent::RingChanged(vec![]));
    assert_eq!(plan.machine.deadline(), None);
    assert_eq!(plan.finished(LED, 1), []);
}

#[test]
fn a_comparison_waits_until_the_hints_for_one_of_the_two_have_arrived() {
    for home in [LED, NODE] {
        let mut plan = Plan::with(&[LED]);
        plan.finished(LED, 0);
        assert_eq!(plan.hinted(home, 9), []);
        assert_eq!(plan.after(EVERY.saturating_sub(STALLED / 2)), [], "others may have it by then");
        assert_eq!(plan.hinted(home, 5), []);
        assert_eq!(plan.after(STALLED / 2), []);
        assert_eq!(plan.hinted(home, 0), [start(LED, &[])]);
    }
    let mut plan = Plan::with(&[LED]);
    plan.finished(LED, 0);
    assert_eq!(plan.hinted(LEADER, 9), []);
    assert_eq!(plan.after(EVERY), [start(LED, &[])], "hints for a third node are none of theirs");
}

#[test]
fn hints_that_do_not_move_are_not_waited_for() {
    let mut plan = Plan::with(&[LED]);
    plan.finished(LED, 0);
    plan.after(EVERY / 2);
    plan.hinted(LED, 9);
    plan.after(STALLED / 2);
    plan.hinted(LED, 9);
    assert_eq!(plan.after(EVERY / 2), [start(LED, &[])]);
}

#[test]
fn hints_that_were_kept_through_an_absence_are_waited_for_anew() {
    let mut plan = Plan::with(&[LED]);
    plan.finished(LED, 0);
    plan.handle(ScheduleEvent::PeerDown(LED));
    plan.hinted(LED, 9);
    plan.after(EVERY * 2);
    plan.handle(ScheduleEvent::PeerUp(LED));
    assert_eq!(plan.after(AFTER_RETURN), []);
    assert_eq!(plan.after(STALLED), [start(LED, &[])]);
}

#[test]
fn nothing_waits_for_hints_for_ever_nor_does_what_is_dirty() {
    let mut plan = Plan::with(&[LED]);
    plan.finished(LED, 0);
    plan.after(EVERY.saturating_sub(STALLED));
    let mut count = 1_000;
    let mut waited = core::time::Duration::ZERO;
    while plan.hinted(LED, count).is_empty() && plan.after(STALLED / 2).is_empty() {
        waited += STALLED / 2;
        count -= 1;
    }
    assert!(waited >= HINTS_WAIT_MAX && waited < HINTS_WAIT_MAX + STALLED * 2, "{waited:?}");
    let mut plan = Plan::with(&[LED]);
    plan.finished(LED, 0);
    plan.hinted(LED, 9);
    assert_eq!(plan.dirty(LED, 3), [start(LED, &[3])]);
}
