//! Gets while homes are away or not whole, one statement each.

use henge_kernel::{
    causality::Conflict,
    coordination::{
        Failure, Fate, Generation, GetCoordination, Replicas, RequestError,
        get::{GetEffect, GetEvent, GetRequest, ReplicaAnswer},
        outcome::GetAnswer,
        quorum::QuorumSize,
    },
    machine::Machine,
};

use crate::support::{DEADLINE, EARLY, LATE, STRANGER, at, delays, node, record, replica, seats};

/// A get of a key whose homes are the nodes 0, 1 and 2, and its fallbacks 3 and 4.
struct Get {
    machine: GetCoordination,
    effects: Vec<GetEffect>,
}

impl Get {
    /// With R = `r`, while the replicas in the bit set `down` are down.
    fn start(r: u8, down: u16) -> Self {
        Self::take(request(r, down))
    }

    fn take(request: GetRequest) -> Self {
        let mut get = Self { machine: GetCoordination::default(), effects: Vec::new() };
        get.machine.start(at(0), request, &mut get.effects);
        get
    }

    fn handle(&mut self, event: GetEvent) -> &[GetEffect] {
        self.effects.clear();
        self.machine.handle(at(1), event, &mut self.effects);
        // How long it took is another matter.
        self.effects.retain(|effect| !matches!(effect, GetEffect::Observe(_)));
        &self.effects
    }

    /// A complete replica holds the writes in the bit set `set`.
    fn answer(&mut self, replica: usize, set: u8) -> &[GetEffect] {
        let answer = ReplicaAnswer::Holds(self::replica(set, 1));
        self.handle(GetEvent::Answered { node: node(replica), complete: true, answer })
    }

    /// A replica that is being filled, or is suspect, holds them.
    fn answer_incomplete(&mut self, replica: usize, set: u8) -> &[GetEffect] {
        let answer = ReplicaAnswer::Holds(self::replica(set, 1));
        self.handle(GetEvent::Answered { node: node(replica), complete: false, answer })
    }

    fn expire(&mut self, millis: u64) -> &[GetEffect] {
        self.effects.clear();
        self.machine.expire(at(millis), &mut self.effects);
        &self.effects
    }
}

fn request(r: u8, down: u16) -> GetRequest {
    GetRequest {
        homes: seats(0..3, down),
        fallbacks: seats(3..5, down),
        sloppy: true,
        node: STRANGER,
        quorum: QuorumSize { needed: r, primary: 0 },
        conflict: Conflict::Siblings,
        deadline: at(DEADLINE),
        hedge: delays(),
    }
}

fn read(replica: usize) -> GetEffect {
    GetEffect::ReadAt { node: node(replica), known: None }
}

fn read_unless(replica: usize, set: u8) -> GetEffect {
    GetEffect::ReadAt { node: node(replica), known: Some(record(set).digest()) }
}

fn repair(home: usize, set: u8) -> GetEffect {
    GetEffect::RepairAt { node: node(home), record: replica(set, 1) }
}

fn reply(set: u8, acks: u8, fallbacks: u8) -> GetEffect {
    let replicas = Replicas { acks, fallbacks, homes: 3 };
    GetEffect::Reply(Ok(GetAnswer { record: record(set), replicas }))
}

fn quorum_not_met(needed: u8, got: u8, homes_down: u8) -> GetEffect {
    let fate = Fate::NotApplied;
    GetEffect::Reply(Err(RequestError::QuorumNotMet { needed, got, homes_down, fate }))
}

#[test]
fn a_fallback_that_holds_the_key_counts() {
    let mut get = Get::start(2, 0b110);
    assert_eq!(get.effects, [read(0), read(3)]);
    assert_eq!(get.answer(3, 1), []);
    assert_eq!(get.answer(0, 0), [reply(1, 2, 1), repair(0, 1), GetEffect::Finish]);
}

#[test]
fn an_empty_fallback_never_makes_a_not_found() {
    // Homes 0 and 1 hold an acknowledged put and are down; home 2 and the fallbacks never saw it.
    let mut get = Get::start(2, 0b011);
    assert_eq!(get.answer(2, 0), []);
    assert_eq!(get.answer(3, 0), [read(4)]);
    assert_eq!(get.answer(4, 0), [quorum_not_met(2, 1, 2), GetEffect::Finish]);
}

#[test]
fn the_last_home_serves_a_key_that_exists() {
    let mut get = Get::start(2, 0b011);
    assert_eq!(get.answer(3, 0), [read(4)]);
    assert_eq!(get.answer(4, 0), []);
    assert_eq!(get.answer(2, 1), [reply(1, 3, 2), GetEffect::Finish], "and says on whom it rests");
}

#[test]
fn a_strict_get_asks_no_fallback_and_counts_no_incomplete_home() {
    let put = Get::take(GetRequest { sloppy: false, ..request(2, 0b110) });
    assert_eq!(put.effects, [quorum_not_met(2, 0, 2), GetEffect::Finish]);
    let mut get = Get::take(GetRequest { sloppy: false, ..request(2, 0b001) });
    assert_eq!(get.answer_incomplete(1, 1), [quorum_not_met(2, 0, 1)]);
}

#[test]
fn pr_counts_homes_only() {
    let quorum = QuorumSize { needed: 2, primary: 2 };
    let get = Get::take(GetRequest { quorum, ..request(2, 0b110) });
    assert_eq!(get.effects, [quorum_not_met(2, 0, 2), GetEffect::Finish]);
    let mut get = Get::take(GetRequest { quorum, ..request(2, 0b100) });
    assert_eq!(get.answer_incomplete(1, 1), [quorum_not_met(2, 0, 1)], "whole ones at that");
}

#[test]
fn a_home_that_came_back_empty_does_not_hide_what_the_others_hold() {
    let mut get = Get::take(GetRequest { node: node(0), ..request(2, 0) });
    assert_eq!(get.effects, [read(0)]);
    assert_eq!(get.answer_incomplete(0, 0), [read(1), read(2)]);
    assert_eq!(get.answer(1, 1), []);
    assert_eq!(get.answer(2, 1), [reply(1, 2, 0), repair(0, 1), GetEffect::Finish]);
}

#[test]
fn an_incomplete_home_fills_the_count_once_nobody_better_is_left() {
    let mut get = Get::take(GetRequest { fallbacks: seats(3..3, 0), ..request(2, 0b100) });
    assert_eq!(get.answer_incomplete(0, 1), [], "the other may know better");
    assert_eq!(get.answer(1, 3), [reply(3, 2, 1), repair(0, 3), GetEffect::Finish]);
}

#[test]
fn who_is_silent_is_waited_for_until_the_hedge_and_no_longer() {
    let mut get = Get::take(GetRequest { fallbacks: seats(3..3, 0), ..request(2, 0b100) });
    get.answer_incomplete(0, 1);
    let incomplete = get.answer_incomplete(1, 1);
    assert_eq!(incomplete, [reply(1, 2, 2), GetEffect::Finish], "nobody is awaited");
    let mut get = Get::take(GetRequest { fallbacks: seats(3..4, 0), ..request(2, 0b100) });
    get.answer_incomplete(0, 1);
    assert_eq!(get.answer(3, 0), []);
    assert_eq!(get.machine.deadline(), Some(at(LATE)));
    assert_eq!(get.expire(LATE), [reply(1, 2, 2)]);
}

#[test]
fn at_the_end_of_its_time_a_read_shows_what_it_has() {
    let mut get = Get::start(2, 0);
    get.answer_incomplete(0, 1);
    get.answer_incomplete(1, 1);
    assert_eq!(get.expire(DEADLINE), [reply(1, 2, 2), GetEffect::Finish]);
}

#[test]
fn an_early_hedge_goes_to_homes_only() {
    let mut get = Get::start(3, 0);
    assert_eq!(get.machine.deadline(), Some(at(LATE)));
    assert_eq!(get.expire(EARLY), []);
    assert_eq!(get.expire(LATE), [read(3)]);
}

#[test]
fn a_fallback_is_never_repaired() {
    let mut get = Get::start(2, 0b110);
    get.answer(0, 1);
    assert_eq!(get.answer(3, 2), [reply(3, 2, 1), repair(0, 3), GetEffect::Finish]);
}

#[test]
fn a_fallback_that_holds_the_same_counts_and_one_without_a_copy_is_sent_no_digest() {
    let mut get = Get::take(GetRequest { node: node(0), ..request(2, 0b110) });
    assert_eq!(get.answer(0, 1), [read_unless(3, 1)]);
    let same = GetEvent::Answered { node: node(3), complete: true, answer: ReplicaAnswer::Same };
    assert_eq!(get.handle(same), [reply(1, 2, 1), GetEffect::Finish]);
    let mut get = Get::take(GetRequest { node: node(0), ..request(2, 0b110) });
    assert_eq!(get.answer(0, 0), [read(3)], "`Same` always means that there is something");
}

#[test]
fn who_holds_nothing_does_not_lower_the_generation_of_a_repair() {
    let mut get = Get::start(2, 0);
    let nothing = ReplicaAnswer::Holds(replica(0, 0));
    get.handle(GetEvent::Answered { node: node(0), complete: true, answer: nothing });
    let mut expected = replica(1, 9);
    let answer = ReplicaAnswer::Holds(expected.clone());
    get.handle(GetEvent::Answered { node: node(1), complete: true, answer });
    expected.generation = Generation(9);
    let repair = GetEffect::RepairAt { node: node(0), record: expected };
    assert!(get.effects.contains(&repair), "{:?}", get.effects);
}

#[test]
fn a_fallback_whose_shard_is_suspect_is_merged_and_does_not_count() {
    let mut get = Get::start(2, 0b110);
    get.answer(0, 1);
    assert_eq!(get.answer_incomplete(3, 2), [read_unless(4, 3)]);
    let failed = GetEvent::Failed { node: node(4), failure: Failure::Lost };
    assert_eq!(get.handle(failed), [reply(3, 2, 1), repair(0, 3), GetEffect::Finish]);
}
