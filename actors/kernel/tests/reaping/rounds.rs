//! The round, one statement each.

use henge_kernel::{
    causality::Digest,
    coordination::Generation,
    id::NodeId,
    key::{Key, PartitionId},
    machine::Machine,
    reaping::{
        Fence, Purpose, Round,
        fence::{Copy, Held, Refusal, Standing},
        round::{Answer, Outcome, PATIENCE, Reason, RoundEffect, RoundEvent},
    },
    time::Instant,
};

use crate::support::ask;

const MEMBERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

struct Asking {
    machine: Round,
    effects: Vec<RoundEffect>,
}

impl Asking {
    fn with(down: &[NodeId]) -> Self {
        let mut asking = Self { machine: Round::default(), effects: Vec::new() };
        let members = MEMBERS.map(|member| (member, down.contains(&member)));
        let ask = ask(Purpose::Reap, 0, Digest(1));
        asking.machine.start(Instant::default(), ask, &members, &mut asking.effects);
        asking
    }

    /// All were heard: one is at generation 4, and the others below.
    fn heard() -> Self {
        let mut asking = Self::with(&[]);
        for (member, generation) in MEMBERS.into_iter().zip([2, 4, 3]) {
            asking.handle(heard(member, generation, 0));
        }
        asking
    }

    /// All have promised.
    fn promised() -> Self {
        let mut asking = Self::heard();
        for member in MEMBERS {
            asking.handle(promised(member));
        }
        asking
    }

    fn handle(&mut self, event: RoundEvent) -> &[RoundEffect] {
        self.effects.clear();
        self.machine.handle(Instant::default(), event, &mut self.effects);
        &self.effects
    }

    fn expire(&mut self) -> &[RoundEffect] {
        self.effects.clear();
        self.machine.expire(Instant::default().after(PATIENCE), &mut self.effects);
        &self.effects
    }
}

fn to_all(effect: impl Fn(NodeId) -> RoundEffect) -> [RoundEffect; 3] {
    MEMBERS.map(effect)
}

fn answer(member: NodeId, answer: Answer) -> RoundEvent {
    RoundEvent::Answered { member, round: 1, answer }
}

fn heard(member: NodeId, generation: u64, finished: u64) -> RoundEvent {
    let (generation, finished) = (Generation(generation), Generation(finished));
    answer(member, Answer::Heard { generation, finished })
}

fn promised(member: NodeId) -> RoundEvent {
    answer(member, Answer::Promised)
}

fn drop_at(member: NodeId) -> RoundEffect {
    RoundEffect::Drop { member, ask: ask(Purpose::Reap, 5, Digest(1)) }
}

fn blocked(member: NodeId, reason: Reason) -> RoundEffect {
    RoundEffect::Finish(Outcome::Blocked { member, reason })
}

#[test]
fn nothing_is_dropped_before_every_member_has_promised() {
    let mut asking = Asking::heard();
    let asked = |member| RoundEffect::Ask { member, ask: ask(Purpose::Reap, 5, Digest(1)) };
    assert_eq!(asking.effects, to_all(asked));
    assert_eq!(asking.handle(promised(NodeId(1))), []);
    assert_eq!(asking.handle(promised(NodeId(1))), [], "twice");
    assert_eq!(asking.handle(promised(NodeId(2))), []);
    assert_eq!(asking.handle(promised(NodeId(9))), [], "who is that?");
    assert_eq!(asking.handle(promised(NodeId(3))), to_all(drop_at));
}

#[test]
fn every_member_is_heard_before_anybody_is_raised() {
    let mut asking = Asking::with(&[]);
    let hear = |member| RoundEffect::Hear { member, partition: PartitionId(3), round: 1 };
    assert_eq!(asking.effects, to_all(hear));
    assert_eq!(asking.handle(heard(NodeId(1), 7, 2)), []);
    assert_eq!(asking.handle(heard(NodeId(2), 5, 5)), []);
    let mut ask = ask(Purpose::Reap, 8, Digest(1));
    ask.finished = Generation(5);
    let asked = |member| RoundEffect::Ask { member, ask: ask.clone() };
    assert_eq!(asking.handle(heard(NodeId(3), 6, 4)), to_all(asked));
    assert_eq!(asking.handle(heard(NodeId(3), 9, 9)), [], "twice");
}

#[test]
fn a_member_that_was_restored_is_not_raised_past_what_was_finished_with_it() {
    // Generation 1 is finished, and only one member knows: the last one drops its copies late, and
    // the first was restored from a backup.
    let mut asking = Asking::with(&[]);
    asking.handle(heard(NodeId(1), 0, 0));
    asking.handle(heard(NodeId(2), 1, 1));
    asking.handle(heard(NodeId(3), 1, 0));
    let [RoundEffect::Ask { ask, .. }, ..] = &asking.effects[..] else { panic!("no ask") };
    let held = |_: &Key| Held { is_home: false, copy: Copy::Nothing };
    let standing = Standing { epoch: ask.epoch, ..Standing::default() };
    let refused = Fence::default().promise(ask, standing, held);
    assert!(matches!(refused, Err(Refusal::LeftBehind(_))), "{refused:?}");
}

#[test]
fn a_member_that_is_down_blocks_visibly_and_nobody_is_asked() {
    let asking = Asking::with(&[NodeId(2)]);
    assert_eq!(asking.effects, [blocked(NodeId(2), Reason::Down)]);
    assert!(asking.machine.is_idle());
}

#[test]
fn one_member_that_does_not_promise_blocks_the_round() {
    let refusal = Refusal::Passed(Generation(5));
    let refused = answer(NodeId(2), Answer::Refused(refusal.clone()));
    let cases = [
        (refused, Reason::Refused(refusal)),
        (answer(NodeId(2), Answer::Failed), Reason::Silent),
        (RoundEvent::MemberDown(NodeId(2)), Reason::Down),
    ];
    for (event, reason) in cases {
        let mut asking = Asking::heard();
        assert_eq!(asking.handle(event), [blocked(NodeId(2), reason)]);
        assert_eq!(asking.handle(promised(NodeId(2))), []);
    }
    let mut asking = Asking::heard();
    asking.handle(promised(NodeId(1)));
    assert_eq!(asking.expire(), [blocked(NodeId(2), Reason::Silent)]);
}

#[test]
fn a_member_that_goes_down_after_its_promise_does_not_undo_it() {
    let mut asking = Asking::heard();
    asking.handle(promised(NodeId(1)));
    assert_eq!(asking.handle(RoundEvent::MemberDown(NodeId(1))), []);
}

#[test]
fn a_promise_that_was_given_to_an_earlier_round_is_none_to_this_one() {
    let mut asking = Asking::heard();
    asking.handle(promised(NodeId(1)));
    asking.handle(promised(NodeId(2)));
    let (member, answer) = (NodeId(3), Answer::Promised);
    assert_eq!(asking.handle(RoundEvent::Answered { member, round: 0, answer }), []);
    assert_eq!(asking.handle(promised(NodeId(3))), to_all(drop_at));
}

#[test]
fn who_does_not_hear_of_the_end_is_named() {
    let mut asking = Asking::promised();
    asking.handle(answer(NodeId(1), Answer::Dropped));
    asking.handle(answer(NodeId(3), Answer::Dropped));
    let missed = Outcome::Finished { missed: vec![NodeId(2)] };
    assert_eq!(asking.expire(), [RoundEffect::Finish(missed)]);
    let mut asking = Asking::promised();
    asking.handle(answer(NodeId(1), Answer::Dropped));
    asking.handle(answer(NodeId(2), Answer::Dropped));
    let finished = [RoundEffect::Finish(Outcome::Finished { missed: vec![] })];
    assert_eq!(asking.handle(answer(NodeId(3), Answer::Dropped)), finished);
    assert_eq!(asking.machine.deadline(), None);
}
