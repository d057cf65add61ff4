//! The delivery, one statement each.

use henge_kernel::{
    handoff::{
        Delivery,
        delivery::{DeliveryEffect, DeliveryEvent, Due, RETRY_AFTER, SILENCE_MAX, SWEEP_EVERY},
    },
    id::NodeId,
    machine::Machine,
    time::Instant,
};

use crate::support::{HOME, OTHER, THIRD, at, digest, key};

/// A delivery with a window of 100 bytes, and what it wanted last.
struct Drain {
    machine: Delivery,
    effects: Vec<DeliveryEffect>,
    now: Instant,
}

impl Drain {
    fn new() -> Self {
        Self { machine: Delivery::new(at(0), HOME, 100), effects: Vec::new(), now: at(0) }
    }

    /// To a home that is up and has these hints, fetched already.
    fn up(hints: &[(usize, u64)]) -> Self {
        let mut drain = Self::new();
        assert_eq!(drain.handle(DeliveryEvent::HomeUp), [fetch(None, false)]);
        drain.fetched(hints);
        drain
    }

    fn handle(&mut self, event: DeliveryEvent) -> &[DeliveryEffect] {
        self.effects.clear();
        self.machine.handle(self.now, event, &mut self.effects);
        &self.effects
    }

    fn fetched(&mut self, hints: &[(usize, u64)]) -> &[DeliveryEffect] {
        let due = |(index, bytes): &(usize, u64)| due(*index, *bytes, &[]);
        self.fetched_due(hints.iter().map(due).collect())
    }

    /// Answers the last fetch.
    fn fetched_due(&mut self, hints: Vec<Due>) -> &[DeliveryEffect] {
        let fetches = self.effects.iter().filter_map(|effect| match effect {
            DeliveryEffect::Fetch { after, aged } => Some((after.clone(), *aged)),
            _ => None,
        });
        let (after, aged) = fetches.last().expect("a fetch");
        self.handle(DeliveryEvent::Fetched { after, aged, hints })
    }

    fn acknowledged(&mut self, from: NodeId, index: usize) -> &[DeliveryEffect] {
        let (key, digest) = (key(index), digest(index as u128));
        self.handle(DeliveryEvent::Acknowledged { from, key, digest })
    }

    fn failed(&mut self, from: NodeId, index: usize) -> &[DeliveryEffect] {
        self.handle(DeliveryEvent::Failed { from, key: key(index) })
    }

    fn outdated(&mut self, from: NodeId, index: usize) -> &[DeliveryEffect] {
        self.handle(DeliveryEvent::Outdated { from, key: key(index) })
    }

    /// Waits for the machine's deadline.
    fn wait(&mut self) -> &[DeliveryEffect] {
        self.effects.clear();
        self.now = self.machine.deadline().unwrap();
        self.machine.expire(self.now, &mut self.effects);
        &self.effects
    }
}

fn due(index: usize, bytes: u64, others: &[NodeId]) -> Due {
    Due { key: key(index), bytes, others: others.into() }
}

fn fetch(after: Option<usize>, aged: bool) -> DeliveryEffect {
    DeliveryEffect::Fetch { after: after.map(key), aged }
}

fn send(to: NodeId, indices: &[usize]) -> DeliveryEffect {
    DeliveryEffect::Send { to, keys: indices.iter().map(|index| key(*index)).collect() }
}

fn release(index: usize) -> DeliveryEffect {
    DeliveryEffect::Release { key: key(index), digest: digest(index as u128) }
}

#[test]
fn delivery_begins_when_the_home_is_up_and_ends_when_nothing_is_left() {
    let mut drain = Drain::new();
    drain.handle(DeliveryEvent::HomeUp);
    assert_eq!(drain.fetched(&[(0, 10), (1, 10)]), [send(HOME, &[0, 1]), fetch(Some(1), false)]);
    assert_eq!(drain.fetched(&[]), []);
    assert_eq!(drain.acknowledged(HOME, 1), [release(1)]);
    assert_eq!(drain.acknowledged(HOME, 0), [release(0)]);
    assert!(drain.machine.is_idle());
    assert_eq!(drain.machine.deadline(), Some(drain.now.after(SWEEP_EVERY)));
}

#[test]
fn no_more_is_sent_than_the_window_has_room_for() {
    let mut drain = Drain::up(&[(0, 60), (1, 60), (2, 30)]);
    assert_eq!(drain.effects, [send(HOME, &[0])]);
    assert_eq!(
        drain.acknowledged(HOME, 0),
        [release(0), send(HOME, &[1, 2]), fetch(Some(2), false)]
    );
    assert_eq!(drain.machine.bytes_in_flight(), 90);
}

#[test]
fn a_record_that_is_greater_than_the_window_goes_alone() {
    let mut drain = Drain::up(&[(0, 500), (1, 1)]);
    assert_eq!(drain.effects, [send(HOME, &[0])]);
    assert_eq!(drain.acknowledged(HOME, 0), [release(0), send(HOME, &[1]), fetch(Some(1), false)]);
}

#[test]
fn the_home_sets_the_window() {
    let mut drain = Drain::up(&[(0, 60), (1, 60)]);
    assert_eq!(drain.handle(DeliveryEvent::Window(120)), [send(HOME, &[1]), fetch(Some(1), false)]);
}

#[test]
fn a_pause_sends_nothing_new_and_takes_in_what_comes() {
    let mut drain = Drain::up(&[(0, 60), (1, 60)]);
    assert_eq!(drain.handle(DeliveryEvent::Paused), []);
    assert_eq!(drain.acknowledged(HOME, 0), [release(0)]);
    assert_eq!(drain.handle(DeliveryEvent::Resumed), [send(HOME, &[1]), fetch(Some(1), false)]);
}

#[test]
fn a_home_that_goes_down_mid_way_stops_the_delivery_and_loses_nothing() {
    let mut drain = Drain::up(&[(0, 60), (1, 60)]);
    assert_eq!(drain.handle(DeliveryEvent::HomeDown), []);
    assert!(drain.machine.is_idle());
    assert_eq!(drain.acknowledged(HOME, 0), [], "too late: the hint stays");
    assert_eq!(drain.handle(DeliveryEvent::HomeUp), [fetch(None, false)]);
}

#[test]
fn a_mark_that_was_kept_because_its_record_changed_is_delivered_again() {
    let mut drain = Drain::up(&[(0, 10)]);
    drain.fetched(&[]);
    assert_eq!(drain.acknowledged(HOME, 0), [release(0)]);
    assert_eq!(drain.handle(DeliveryEvent::Changed), [fetch(None, false)]);
}

#[test]
fn a_mark_that_could_not_be_taken_off_is_delivered_again_after_a_pause() {
    let mut drain = Drain::up(&[(0, 10)]);
    drain.fetched(&[]);
    assert_eq!(drain.acknowledged(HOME, 0), [release(0)]);
    assert_eq!(drain.handle(DeliveryEvent::Unreleased), []);
    assert_eq!(drain.machine.deadline(), Some(drain.now.after(RETRY_AFTER)));
    assert_eq!(drain.wait(), [fetch(None, false)]);
    // Also if the pass that it was delivered in is not over.
    drain.fetched(&[(0, 10)]);
    assert_eq!(drain.acknowledged(HOME, 0), [release(0)]);
    assert_eq!(drain.handle(DeliveryEvent::Unreleased), []);
    let (after, hints) = (Some(key(0)), Vec::new());
    drain.handle(DeliveryEvent::Fetched { after, aged: false, hints });
    assert_eq!(drain.machine.deadline(), Some(drain.now.after(RETRY_AFTER)));
}

#[test]
fn a_hint_that_comes_while_a_pass_is_under_way_is_not_forgotten() {
    let mut drain = Drain::up(&[(1, 10)]);
    drain.fetched(&[]);
    drain.handle(DeliveryEvent::Hinted);
    assert_eq!(drain.acknowledged(HOME, 1), [release(1), fetch(None, false)]);
    drain.fetched(&[]);
    assert!(drain.machine.is_idle());
    assert_eq!(
        drain.handle(DeliveryEvent::Hinted),
        [fetch(None, false)],
        "nor one that comes later"
    );
}

#[test]
fn a_refusal_pauses_the_delivery_and_does_not_stand_before_the_other_hints() {
    let mut drain = Drain::up(&[(0, 60), (1, 60)]);
    assert_eq!(drain.failed(HOME, 0), []);
    assert_eq!(drain.machine.deadline(), Some(drain.now.after(RETRY_AFTER)));
    assert_eq!(drain.wait(), [fetch(Some(1), false)], "behind the batch that was refused");
    assert_eq!(drain.fetched(&[]), [fetch(None, false)], "and then that one again");
    drain.fetched(&[(0, 60), (1, 60)]);
    drain.failed(HOME, 0);
    assert_eq!(drain.machine.deadline(), Some(drain.now.after(RETRY_AFTER * 2)), "for longer");
}

#[test]
fn a_record_of_a_generation_that_passed_is_sent_again_at_once_and_once() {
    let mut drain = Drain::up(&[(0, 60), (1, 60)]);
    assert_eq!(drain.outdated(OTHER, 0), [], "who was not asked");
    assert_eq!(drain.outdated(HOME, 0), [send(HOME, &[0])]);
    assert_eq!(drain.machine.bytes_in_flight(), 60);
    assert_eq!(drain.outdated(HOME, 0), []);
    assert_eq!(drain.machine.deadline(), Some(drain.now.after(RETRY_AFTER)), "as if refused");
    assert_eq!(drain.outdated(HOME, 0), [], "nothing is under way");
    let mut drain = Drain::up(&[(0, 60)]);
    drain.outdated(HOME, 0);
    assert!(drain.acknowledged(HOME, 0).contains(&release(0)));
}

#[test]
fn silence_ends_a_pass() {
    let mut drain = Drain::up(&[(0, 60), (1, 60)]);
    assert_eq!(drain.machine.deadline(), Some(drain.now.after(SILENCE_MAX)));
    assert_eq!(drain.wait(), []);
    assert_eq!((drain.machine.is_idle(), drain.machine.bytes_in_flight()), (true, 0));
    assert_eq!(drain.wait(), [fetch(Some(1), false)]);
}

#[test]
fn old_hints_of_a_home_that_is_down_go_to_every_other_home() {
    let mut drain = Drain::new();
    assert_eq!(drain.machine.deadline(), Some(at(0).after(SWEEP_EVERY)));
    assert_eq!(drain.wait(), [fetch(None, true)]);
    let hints = vec![due(0, 10, &[OTHER, THIRD])];
    let sent = [send(OTHER, &[0]), send(THIRD, &[0]), fetch(Some(0), true)];
    assert_eq!(drain.fetched_due(hints), sent);
    drain.fetched(&[]);
    assert_eq!(drain.acknowledged(OTHER, 0), [], "one of two");
    assert_eq!(drain.acknowledged(THIRD, 0), [DeliveryEffect::NoteDirty(key(0))]);
    assert_eq!(drain.handle(DeliveryEvent::DirtyNoted(key(0))), [release(0)]);
    assert_eq!(drain.machine.deadline(), Some(drain.now.after(SWEEP_EVERY)));
}

#[test]
fn an_old_hint_stays_if_one_of_the_other_homes_does_not_take_it() {
    let mut drain = Drain::new();
    drain.wait();
    drain.fetched_due(vec![due(0, 10, &[OTHER, THIRD])]);
    drain.acknowledged(OTHER, 0);
    assert_eq!(drain.failed(THIRD, 0), []);
    assert_eq!(drain.acknowledged(THIRD, 0), [], "too late");
}

#[test]
fn an_old_hint_stays_if_two_homes_took_different_records() {
    let mut drain = Drain::new();
    drain.wait();
    drain.fetched_due(vec![due(0, 10, &[OTHER, THIRD])]);
    drain.acknowledged(OTHER, 0);
    let changed = DeliveryEvent::Acknowledged { from: THIRD, key: key(0), digest: digest(9) };
    assert_eq!(drain.handle(changed), []);
}

#[test]
fn a_home_that_goes_down_is_not_waited_for_but_one_must_have_taken_it() {
    let mut drain = Drain::new();
    drain.wait();
    drain.fetched_due(vec![due(0, 10, &[OTHER, THIRD])]);
    drain.acknowledged(OTHER, 0);
    let noted = [DeliveryEffect::NoteDirty(key(0))];
    assert_eq!(drain.handle(DeliveryEvent::MemberDown(THIRD)), noted);
    let mut drain = Drain::new();
    drain.wait();
    drain.fetched_due(vec![due(0, 10, &[OTHER])]);
    assert_eq!(drain.handle(DeliveryEvent::MemberDown(OTHER)), []);
}

#[test]
fn with_no_home_to_give_it_to_a_copy_stays() {
    let mut drain = Drain::new();
    drain.wait();
    let hints = vec![due(0, 10, &[])];
    assert_eq!(drain.fetched_due(hints), [fetch(Some(0), true)]);
    assert_eq!(drain.fetched(&[]), []);
    assert_eq!(drain.machine.deadline(), Some(drain.now.after(SWEEP_EVERY)));
}

#[test]
fn a_home_that_returns_takes_its_old_hints_itself() {
    let mut drain = Drain::new();
    drain.wait();
    drain.fetched_due(vec![due(0, 10, &[OTHER])]);
    assert_eq!(drain.handle(DeliveryEvent::HomeUp), [fetch(None, false)]);
    assert_eq!(drain.acknowledged(OTHER, 0), []);
}

#[test]
fn an_answer_about_old_hints_is_not_taken_for_one_about_all() {
    let mut drain = Drain::new();
    drain.now = drain.machine.deadline().unwrap();
    drain.effects.clear();
    drain.machine.expire(drain.now, &mut drain.effects);
    assert_eq!(drain.effects, [fetch(None, true)]);
    assert_eq!(drain.handle(DeliveryEvent::HomeUp), [fetch(None, false)]);
    // None is old: that says nothing about the others.
    let old = DeliveryEvent::Fetched { after: None, aged: true, hints: Vec::new() };
    assert_eq!(drain.handle(old), []);
    let all = vec![due(1, 10, &[])];
    let sent = drain.handle(DeliveryEvent::Fetched { after: None, aged: false, hints: all });
    assert!(matches!(sent[0], DeliveryEffect::Send { to: HOME, .. }), "{sent:?}");
}
