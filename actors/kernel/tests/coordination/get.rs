//! Rules of the get, one statement each.

use core::time::Duration;
use std::sync::Arc;

use henge_kernel::{
    causality::{Conflict, Context, Digest, Record},
    coordination::{
        Failure, Fate, GetCoordination, Homes, Replicas, RequestError,
        get::{GetEffect, GetEvent, GetRequest, ReplicaAnswer},
        outcome::GetAnswer,
        quorum::QuorumSize,
    },
    id::NodeId,
    machine::Machine,
    time::WallMillis,
};

use crate::support::{
    DEADLINE, EARLY, LATE, STRANGER, at, delays, homes, node, record, replica, written,
};

/// A get under way, and what it wanted last.
struct Get {
    machine: GetCoordination,
    effects: Vec<GetEffect>,
}

impl Get {
    fn start(node: NodeId, homes: Homes, r: u8) -> Self {
        let mut get = Self { machine: GetCoordination::default(), effects: Vec::new() };
        get.start_again(node, homes, r);
        get
    }

    fn start_again(&mut self, node: NodeId, homes: Homes, r: u8) {
        self.effects.clear();
        let request = GetRequest {
            homes,
            fallbacks: Homes::new(),
            sloppy: false,
            node,
            quorum: QuorumSize { needed: r, primary: 0 },
            conflict: Conflict::Siblings,
            deadline: at(DEADLINE),
            hedge: delays(),
        };
        self.machine.start(at(0), request, &mut self.effects);
    }

    fn handle(&mut self, event: GetEvent) -> &[GetEffect] {
        self.effects.clear();
        self.machine.handle(at(1), event, &mut self.effects);
        &self.effects
    }

    fn answer(&mut self, home: usize, set: u8) -> &[GetEffect] {
        let answer = ReplicaAnswer::Holds(replica(set, 1));
        self.handle(GetEvent::Answered { node: node(home), complete: true, answer })
    }

    fn same(&mut self, home: usize) -> &[GetEffect] {
        let (node, answer) = (node(home), ReplicaAnswer::Same);
        self.handle(GetEvent::Answered { node, complete: true, answer })
    }

    fn answer_incomplete(&mut self, home: usize, set: u8) -> &[GetEffect] {
        let answer = ReplicaAnswer::Holds(replica(set, 1));
        self.handle(GetEvent::Answered { node: node(home), complete: false, answer })
    }

    fn fail(&mut self, home: usize, failure: Failure) -> &[GetEffect] {
        self.handle(GetEvent::Failed { node: node(home), failure })
    }

    fn down(&mut self, home: usize) -> &[GetEffect] {
        self.handle(GetEvent::MemberDown(node(home)))
    }

    fn expire(&mut self, millis: u64) -> &[GetEffect] {
        self.effects.clear();
        self.machine.expire(at(millis), &mut self.effects);
        &self.effects
    }
}

fn read(home: usize) -> GetEffect {
    GetEffect::ReadAt { node: node(home), known: None }
}

fn read_unless(home: usize, known: Digest) -> GetEffect {
    GetEffect::ReadAt { node: node(home), known: Some(known) }
}

fn repair(home: usize, set: u8) -> GetEffect {
    GetEffect::RepairAt { node: node(home), record: replica(set, 1) }
}

fn observe(millis: u64) -> GetEffect {
    GetEffect::Observe(Duration::from_millis(millis))
}

fn reply(record: Arc<Record>, acks: u8) -> GetEffect {
    let replicas = Replicas { acks, fallbacks: 0, homes: 3 };
    GetEffect::Reply(Ok(GetAnswer { record, replicas }))
}

fn quorum_not_met(needed: u8, got: u8, homes_down: u8) -> GetEffect {
    let fate = Fate::NotApplied;
    GetEffect::Reply(Err(RequestError::QuorumNotMet { needed, got, homes_down, fate }))
}

#[test]
fn as_few_replicas_as_the_quorum_needs_are_asked() {
    let get = Get::start(STRANGER, homes(3, 0), 2);
    assert_eq!(get.effects, [read(0), read(1)]);
}

#[test]
fn a_local_home_is_read_first_and_its_digest_spares_the_others_their_bodies() {
    let mut get = Get::start(node(1), homes(3, 0), 2);
    assert_eq!(get.effects, [read(1)]);
    let known = record(1).digest();
    assert_eq!(get.answer(1, 1), [read_unless(0, known)]);
    assert_eq!(get.same(0), [observe(1), reply(record(1), 2), GetEffect::Finish]);
}

#[test]
fn a_local_home_that_satisfies_the_quorum_leaves_the_others_alone() {
    let mut get = Get::start(node(0), homes(3, 0), 1);
    assert_eq!(get.answer(0, 1), [reply(record(1), 1), GetEffect::Finish]);
}

#[test]
fn a_local_home_that_fails_does_not_hold_up_the_others() {
    let mut get = Get::start(node(0), homes(3, 0), 2);
    assert_eq!(get.fail(0, Failure::Refused), [read(1), read(2)]);
    let mut get = Get::start(node(0), homes(3, 0), 2);
    assert_eq!(get.expire(LATE), [read(1), read(2)], "a silent one either");
}

#[test]
fn reply_is_not_finish() {
    let mut get = Get::start(STRANGER, homes(3, 0), 2);
    get.answer(0, 1);
    get.expire(EARLY);
    get.handle(GetEvent::HedgeGranted);
    assert_eq!(get.answer(1, 1), [reply(record(1), 2)]);
    assert_eq!(get.machine.deadline(), Some(at(DEADLINE)));
    assert_eq!(get.answer(2, 1), [GetEffect::Finish]);
    assert!(get.machine.is_idle());
}

#[test]
fn a_late_answer_is_merged_and_repairs_all_that_were_asked() {
    let mut get = Get::start(STRANGER, homes(3, 0), 1);
    get.expire(LATE);
    get.expire(2 * LATE);
    assert_eq!(get.answer(0, 1), [reply(record(1), 1)]);
    assert_eq!(get.answer(1, 2), [repair(0, 3), repair(1, 3)]);
    assert_eq!(get.answer(2, 3), [GetEffect::Finish]);
}

#[test]
fn nobody_is_repaired_before_the_client_has_its_answer_or_without_need() {
    let mut get = Get::start(STRANGER, homes(3, 0), 2);
    assert_eq!(get.answer(0, 0), []);
    let effects = [observe(1), reply(record(1), 2), repair(0, 1), GetEffect::Finish];
    assert_eq!(get.answer(1, 1), effects);
}

#[test]
fn a_repair_never_shrinks_what_its_receiver_answered() {
    let old = written(0, "a", Context::default());
    let new = written(1, "b", old.read(WallMillis(0)).context);
    let mut get = Get::start(STRANGER, homes(3, 0), 2);
    for (home, record) in [(0, &new), (1, &old)] {
        let mut replica = replica(0, 1);
        replica.record = Arc::new(record.clone());
        let answer = ReplicaAnswer::Holds(replica);
        get.handle(GetEvent::Answered { node: node(home), complete: true, answer });
    }
    let [_, GetEffect::Reply(Ok(answer)), GetEffect::RepairAt { node: at, record }, _] =
        &get.effects[..]
    else {
        panic!("{:?}", get.effects)
    };
    assert_eq!((at, &record.record), (&node(1), &answer.record));
    assert_eq!(answer.record.digest(), new.digest(), "the overwritten version is gone");
    assert!(record.record.history().is_superset(old.history()));
}

#[test]
fn a_repair_carries_the_lowest_generation_of_what_it_holds() {
    let mut get = Get::start(STRANGER, homes(2, 0), 2);
    for (home, set, generation) in [(0, 1, 9), (1, 3, 4)] {
        let answer = ReplicaAnswer::Holds(replica(set, generation));
        get.handle(GetEvent::Answered { node: node(home), complete: true, answer });
    }
    let repair = GetEffect::RepairAt { node: node(0), record: replica(3, 4) };
    assert!(get.effects.contains(&repair), "{:?}", get.effects);
}

#[test]
fn an_incomplete_home_is_merged_but_does_not_count() {
    let mut get = Get::start(STRANGER, homes(3, 0), 2);
    assert_eq!(get.answer_incomplete(0, 1), [read_unless(2, record(1).digest())]);
    assert_eq!(get.answer(1, 2), []);
    let rest = [reply(record(3), 2), repair(0, 3), repair(1, 3), repair(2, 3), GetEffect::Finish];
    assert_eq!(get.answer(2, 0), rest);
}

#[test]
fn incomplete_homes_alone_never_make_a_not_found() {
    let mut get = Get::start(STRANGER, homes(3, 0b100), 2);
    assert_eq!(get.answer_incomplete(0, 0), [quorum_not_met(2, 0, 1)]);
}

#[test]
fn a_home_that_is_known_to_be_down_is_replaced_at_once() {
    let get = Get::start(STRANGER, homes(3, 0b001), 2);
    assert_eq!(get.effects, [read(1), read(2)]);
    let mut get = Get::start(STRANGER, homes(3, 0), 2);
    assert_eq!(get.down(1), [read(2)], "also if it goes down meanwhile");
}

#[test]
fn a_closed_connection_is_replaced_at_once() {
    let mut get = Get::start(STRANGER, homes(3, 0), 2);
    assert_eq!(get.fail(0, Failure::Lost), [read(2)]);
}

#[test]
fn a_corrupt_replica_does_not_count_and_is_repaired() {
    let mut get = Get::start(STRANGER, homes(3, 0), 2);
    assert_eq!(get.fail(0, Failure::Corrupt), [read(2)]);
    get.answer(1, 1);
    assert_eq!(get.answer(2, 1), [reply(record(1), 2), repair(0, 1), GetEffect::Finish]);
}

#[test]
fn a_quorum_that_the_member_view_rules_out_is_refused_before_anybody_is_asked() {
    let get = Get::start(STRANGER, homes(3, 0b011), 2);
    assert_eq!(get.effects, [quorum_not_met(2, 0, 2), GetEffect::Finish]);
    assert!(get.machine.is_idle());
    let few = Get::start(STRANGER, homes(1, 0), 2);
    assert_eq!(few.effects, [quorum_not_met(2, 0, 0), GetEffect::Finish], "one node only");
}

#[test]
fn a_quorum_that_becomes_impossible_is_refused_at_once() {
    let mut get = Get::start(STRANGER, homes(3, 0), 2);
    get.answer(0, 1);
    get.fail(1, Failure::Lost);
    assert_eq!(get.down(2), [quorum_not_met(2, 1, 2), GetEffect::Finish]);
}

#[test]
fn timed_out_only_if_enough_were_believed_alive() {
    let mut get = Get::start(STRANGER, homes(3, 0b001), 2);
    get.answer(1, 1);
    let after = Duration::from_millis(DEADLINE);
    let timed_out = RequestError::TimedOut { needed: 2, got: 1, after };
    assert_eq!(get.expire(DEADLINE), [GetEffect::Reply(Err(timed_out)), GetEffect::Finish]);
    let mut get = Get::start(STRANGER, homes(3, 0b001), 2);
    get.answer(1, 1);
    assert_eq!(get.down(2), [quorum_not_met(2, 1, 2), GetEffect::Finish]);
    assert_eq!(get.expire(DEADLINE), [], "it was told before");
}

#[test]
fn an_early_hedge_needs_a_grant_and_a_late_one_does_not() {
    let mut get = Get::start(STRANGER, homes(4, 0), 2);
    assert_eq!(get.machine.deadline(), Some(at(EARLY)));
    assert_eq!(get.expire(EARLY), [GetEffect::WantHedge]);
    assert_eq!(get.machine.deadline(), Some(at(LATE)), "nothing is granted");
    assert_eq!(get.expire(LATE), [read(2)]);
    assert_eq!(get.handle(GetEvent::HedgeGranted), [read(3)]);
    assert_eq!(get.handle(GetEvent::HedgeGranted), [], "a grant is good for one hedge");
}

#[test]
fn an_answer_with_help_is_no_sample() {
    let mut get = Get::start(STRANGER, homes(3, 0), 1);
    get.fail(0, Failure::Lost);
    assert_eq!(get.answer(1, 1), [reply(record(1), 1), GetEffect::Finish], "replaced");
    let mut get = Get::start(STRANGER, homes(3, 0), 1);
    get.expire(LATE);
    assert_eq!(get.answer(0, 1), [reply(record(1), 1)], "hedged");
    let mut get = Get::start(STRANGER, homes(3, 0), 1);
    assert_eq!(get.expire(EARLY), [GetEffect::WantHedge]);
    assert_eq!(get.answer(0, 1)[0], observe(1), "a hedge that was denied is none");
}

#[test]
fn an_answer_that_nobody_awaits_changes_nothing() {
    let mut get = Get::start(STRANGER, homes(3, 0), 2);
    assert_eq!(get.answer(2, 1), [], "not asked");
    assert_eq!(get.same(0), [], "the same as what?");
    assert_eq!(get.answer(0, 1), []);
    assert_eq!(get.answer(0, 2), [], "twice");
    assert_eq!(get.answer(1, 1), [observe(1), reply(record(1), 2), GetEffect::Finish]);
    assert_eq!(get.answer(1, 1), [], "over");
}

#[test]
fn a_machine_takes_one_request_after_the_other() {
    let mut used = Get::start(node(0), homes(3, 0b100), 2);
    used.answer(0, 1);
    let fresh = Get::start(STRANGER, homes(2, 0), 1);
    used.start_again(STRANGER, homes(2, 0), 1);
    assert_eq!((used.machine, used.effects), (fresh.machine, fresh.effects));
}
