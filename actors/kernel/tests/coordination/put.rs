//! Rules of the put, one statement each.

use core::time::Duration;

use henge_kernel::{
    causality::Context,
    coordination::{
        Failure, Fate, Homes, PutCoordination, Replicas, RequestError,
        outcome::PutAnswer,
        put::{Minted, PutEffect, PutEvent, PutRequest},
        quorum::QuorumSize,
    },
    id::NodeId,
    machine::Machine,
};

use crate::support::{DEADLINE, LATE, STRANGER, at, homes, node, record, replica};

/// A put under way, and what it wanted last.
struct Put {
    machine: PutCoordination,
    effects: Vec<PutEffect>,
}

impl Put {
    fn start(node: NodeId, homes: Homes, w: u8) -> Self {
        Self::take(request(node, homes, w))
    }

    fn take(request: PutRequest) -> Self {
        let mut put = Self { machine: PutCoordination::default(), effects: Vec::new() };
        put.machine.start(at(0), request, &mut put.effects);
        put
    }

    fn handle(&mut self, event: PutEvent) -> &[PutEffect] {
        self.effects.clear();
        self.machine.handle(at(1), event, &mut self.effects);
        &self.effects
    }

    fn mint(&mut self) -> &[PutEffect] {
        self.handle(PutEvent::Minted(minted()))
    }

    fn stored(&mut self, home: usize) -> &[PutEffect] {
        self.handle(PutEvent::Stored(node(home)))
    }

    fn fail(&mut self, home: usize, failure: Failure) -> &[PutEffect] {
        self.handle(PutEvent::Failed { node: node(home), failure })
    }

    fn down(&mut self, home: usize) -> &[PutEffect] {
        self.handle(PutEvent::MemberDown(node(home)))
    }

    fn outcome(&mut self, home: usize, outcome: Result<PutAnswer, RequestError>) -> &[PutEffect] {
        self.handle(PutEvent::Forwarded { node: node(home), outcome })
    }

    fn expire(&mut self, millis: u64) -> &[PutEffect] {
        self.effects.clear();
        self.machine.expire(at(millis), &mut self.effects);
        &self.effects
    }
}

fn request(node: NodeId, homes: Homes, w: u8) -> PutRequest {
    PutRequest {
        homes,
        fallbacks: Homes::new(),
        sloppy: true,
        node,
        may_mint: true,
        forwarded: false,
        quorum: QuorumSize { needed: w, primary: 0 },
        return_body: false,
        deadline: at(DEADLINE),
        patience: Duration::from_millis(LATE),
    }
}

fn minted() -> Minted {
    let dot = record(1).versions()[0].dot;
    Minted { context: Context::default(), dot, record: replica(1, 1) }
}

fn answer(acks: u8) -> PutAnswer {
    let replicas = Replicas { acks, fallbacks: 0, homes: 3 };
    PutAnswer { context: Context::default(), dot: minted().dot, record: None, replicas }
}

fn store(home: usize) -> PutEffect {
    PutEffect::StoreAt { node: node(home), stands_in_for: None, record: replica(1, 1) }
}

fn mint() -> PutEffect {
    PutEffect::Mint { stands_in_for: None }
}

fn forward(home: usize) -> PutEffect {
    PutEffect::ForwardTo(node(home))
}

fn ok(acks: u8) -> PutEffect {
    PutEffect::Reply(Ok(answer(acks)))
}

fn refused(error: RequestError) -> PutEffect {
    PutEffect::Reply(Err(error))
}

fn quorum_not_met(needed: u8, got: u8, homes_down: u8, fate: Fate) -> PutEffect {
    refused(RequestError::QuorumNotMet { needed, got, homes_down, fate })
}

fn timed_out(needed: u8, got: u8) -> PutEffect {
    refused(RequestError::TimedOut { needed, got, after: Duration::from_millis(DEADLINE) })
}

fn full() -> RequestError {
    RequestError::StorageFull { free: 1, needed: 2 }
}

fn too_many() -> RequestError {
    let (versions, record_bytes) = (64, 900);
    RequestError::TooManySiblings {
        versions,
        versions_max: 64,
        record_bytes,
        record_bytes_max: 4096,
    }
}

fn overloaded() -> RequestError {
    RequestError::Overloaded { retry_after: Duration::from_secs(1) }
}

#[test]
fn nobody_hears_of_a_write_before_it_is_minted() {
    let mut put = Put::start(node(0), homes(3, 0), 2);
    assert_eq!(put.effects, [mint()]);
    assert_eq!(put.mint(), [store(1), store(2)]);
}

#[test]
fn the_minting_home_counts() {
    let mut put = Put::start(node(1), homes(3, 0), 1);
    assert_eq!(put.mint(), [store(0), store(2), ok(1)]);
}

#[test]
fn reply_is_not_finish() {
    let mut put = Put::start(node(0), homes(3, 0), 2);
    put.mint();
    assert_eq!(put.stored(2), [ok(2)]);
    assert_eq!(put.machine.deadline(), Some(at(DEADLINE)));
    assert_eq!(put.stored(1), [PutEffect::Finish]);
    assert!(put.machine.is_idle());
}

#[test]
fn a_home_counts_once() {
    let mut put = Put::start(node(0), homes(3, 0), 3);
    put.mint();
    assert_eq!(put.stored(1), []);
    assert_eq!(put.stored(1), []);
    assert_eq!(put.stored(0), [], "nor does the minting one again");
    assert_eq!(put.stored(2), [ok(3), PutEffect::Finish]);
}

#[test]
fn homes_that_are_down_are_not_waited_for() {
    let mut put = Put::start(node(0), homes(3, 0b100), 2);
    assert_eq!(put.mint(), [store(1)]);
    assert_eq!(put.stored(1), [ok(2), PutEffect::Finish]);
}

#[test]
fn an_acknowledgement_of_a_home_that_was_thought_to_be_down_counts() {
    let mut put = Put::start(node(0), homes(3, 0), 2);
    put.mint();
    put.down(1);
    assert_eq!(put.stored(1), [ok(2)]);
}

#[test]
fn quorum_not_met_before_minting_is_not_applied() {
    for taker in [node(0), STRANGER] {
        let put = Put::start(taker, homes(3, 0b110), 2);
        let reply = quorum_not_met(2, 0, 2, Fate::NotApplied);
        assert_eq!(put.effects, [reply, PutEffect::Finish]);
    }
}

#[test]
fn a_quorum_that_becomes_impossible_after_minting_is_unknown_and_told_at_once() {
    let mut put = Put::start(node(0), homes(3, 0), 2);
    put.mint();
    assert_eq!(put.fail(1, Failure::Refused), []);
    let reply = quorum_not_met(2, 1, 1, Fate::Unknown);
    assert_eq!(put.down(2), [reply, PutEffect::Finish]);
}

#[test]
fn a_mint_in_flight_makes_the_fate_unknown_and_its_write_still_spreads() {
    let mut put = Put::start(node(0), homes(3, 0b100), 2);
    assert_eq!(put.down(1), [quorum_not_met(2, 0, 2, Fate::Unknown)]);
    assert_eq!(put.mint(), [PutEffect::Finish], "nobody is up to take it");
    let mut put = Put::start(node(0), homes(3, 0), 3);
    assert_eq!(put.down(1), [quorum_not_met(3, 0, 1, Fate::Unknown)]);
    assert_eq!(put.mint(), [store(2)]);
    assert_eq!(put.stored(2), [PutEffect::Finish]);
}

#[test]
fn timed_out_only_if_enough_were_believed_alive() {
    let mut put = Put::start(node(0), homes(3, 0b100), 2);
    put.mint();
    assert_eq!(put.expire(DEADLINE), [timed_out(2, 1), PutEffect::Finish]);
    let mut put = Put::start(node(0), homes(3, 0b100), 2);
    put.mint();
    let reply = quorum_not_met(2, 1, 2, Fate::Unknown);
    assert_eq!(put.fail(1, Failure::Lost), [reply, PutEffect::Finish]);
    assert_eq!(put.expire(DEADLINE), [], "it was told before");
}

#[test]
fn a_refused_mint_is_an_answer() {
    for error in [too_many(), RequestError::TooLarge { size: 2, max: 1 }] {
        let mut put = Put::start(node(0), homes(3, 0), 2);
        let effects = put.handle(PutEvent::MintRefused(error.clone()));
        assert_eq!(error.fate(), Fate::NotApplied);
        assert_eq!(effects, [refused(error), PutEffect::Finish]);
    }
}

#[test]
fn the_record_comes_back_only_if_it_was_asked_for() {
    let mut put = Put::take(PutRequest { return_body: true, ..request(node(0), homes(3, 0), 1) });
    let reply = PutAnswer { record: Some(record(1)), ..answer(1) };
    assert_eq!(put.mint()[2], PutEffect::Reply(Ok(reply)));
}

#[test]
fn a_stranger_forwards_to_the_nearest_home_that_is_up_and_relays_its_outcome() {
    let mut put = Put::start(STRANGER, homes(3, 0b001), 2);
    assert_eq!(put.effects, [forward(1)]);
    assert_eq!(put.outcome(1, Ok(answer(2))), [ok(2), PutEffect::Finish]);
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    let effects = put.outcome(0, Err(too_many()));
    assert_eq!(effects, [refused(too_many()), PutEffect::Finish]);
}

#[test]
fn a_home_that_may_not_mint_forwards() {
    let put = Put::take(PutRequest { may_mint: false, ..request(node(0), homes(3, 0), 2) });
    assert_eq!(put.effects, [forward(1)], "never to itself");
    let mut put = Put::start(node(0), homes(3, 0), 2);
    assert_eq!(put.handle(PutEvent::MintUnable), [forward(1)]);
}

#[test]
fn a_forwarded_put_goes_no_further() {
    let forwarded = |node| PutRequest { forwarded: true, ..request(node, homes(3, 0), 2) };
    let mut put = Put::take(forwarded(node(0)));
    let [PutEffect::Reply(Err(error)), PutEffect::Finish] = put.handle(PutEvent::MintUnable) else {
        panic!("{:?}", put.effects)
    };
    assert_eq!((error.code(), error.fate()), ("not_ready", Fate::NotApplied));
    assert!(error.is_of_the_node(), "the forwarder may try another home");
    let put = Put::take(forwarded(STRANGER));
    assert!(matches!(&put.effects[..], [PutEffect::Reply(Err(_)), PutEffect::Finish]));
}

#[test]
fn after_a_silence_the_next_home_is_tried_and_the_first_may_still_answer() {
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    assert_eq!(put.machine.deadline(), Some(at(LATE)));
    assert_eq!(put.expire(LATE), [forward(1)]);
    assert_eq!(put.machine.deadline(), Some(at(2 * LATE)));
    assert_eq!(put.outcome(0, Ok(answer(2))), [ok(2), PutEffect::Finish]);
}

#[test]
fn a_home_that_failed_or_refused_is_replaced_at_once() {
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    assert_eq!(put.fail(0, Failure::Lost), [forward(1)]);
    assert_eq!(put.outcome(1, Err(overloaded())), [forward(2)]);
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    assert_eq!(put.down(0), [forward(1)]);
}

#[test]
fn a_put_is_not_applied_if_each_forward_was_refused() {
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    put.fail(0, Failure::Unreachable);
    put.fail(1, Failure::Refused);
    let reply = quorum_not_met(2, 0, 1, Fate::NotApplied);
    assert_eq!(put.fail(2, Failure::Refused), [reply, PutEffect::Finish]);
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    put.outcome(0, Err(overloaded()));
    put.outcome(1, Err(overloaded()));
    let last = put.outcome(2, Err(overloaded()));
    assert_eq!(last, [refused(overloaded()), PutEffect::Finish]);
}

#[test]
fn a_forward_in_flight_makes_the_fate_unknown() {
    let mut put = Put::start(STRANGER, homes(2, 0), 2);
    put.expire(LATE);
    assert_eq!(put.outcome(1, Err(too_many())), [], "the first home may have applied it");
    assert_eq!(put.expire(DEADLINE), [timed_out(2, 0), PutEffect::Finish]);
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    put.expire(LATE);
    put.outcome(1, Err(too_many()));
    let reply = quorum_not_met(2, 0, 1, Fate::Unknown);
    assert_eq!(put.down(0), [reply, PutEffect::Finish], "whatever is thought of it");
}

#[test]
fn a_forward_that_was_lost_makes_the_fate_unknown() {
    let mut put = Put::start(STRANGER, homes(2, 0), 2);
    put.fail(0, Failure::Lost);
    let reply = quorum_not_met(2, 0, 1, Fate::Unknown);
    assert_eq!(put.outcome(1, Err(too_many())), [reply, PutEffect::Finish]);
}

#[test]
fn a_mint_that_failed_half_way_makes_the_fate_unknown() {
    let mut put = Put::start(node(0), homes(2, 0), 2);
    assert_eq!(put.handle(PutEvent::MintFailed), [forward(1)]);
    let reply = quorum_not_met(2, 0, 0, Fate::Unknown);
    assert_eq!(put.outcome(1, Err(overloaded())), [reply, PutEffect::Finish]);
}

#[test]
fn a_refusal_that_concerns_the_write_itself_is_not_tried_elsewhere() {
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    put.expire(LATE);
    assert_eq!(put.outcome(0, Err(too_many())), []);
    assert_eq!(put.machine.deadline(), Some(at(DEADLINE)), "the third home is not tried");
    assert_eq!(put.outcome(1, Err(overloaded())), [refused(too_many()), PutEffect::Finish]);
}

#[test]
fn a_home_whose_disk_is_full_leaves_the_put_to_the_next_one() {
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    assert_eq!(put.outcome(0, Err(full())), [forward(1)]);
    assert_eq!(put.outcome(1, Ok(answer(2))), [ok(2), PutEffect::Finish]);
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    assert_eq!(put.outcome(0, Err(full())), [forward(1)]);
    assert_eq!(put.outcome(1, Err(full())), [forward(2)]);
    assert_eq!(put.outcome(2, Err(full())), [refused(full()), PutEffect::Finish]);
}

#[test]
fn a_home_that_failed_as_it_minted_leaves_the_put_to_the_next_one() {
    let failed =
        |got| RequestError::QuorumNotMet { needed: 2, got, homes_down: 0, fate: Fate::Unknown };
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    assert_eq!(put.outcome(0, Err(failed(0))), [forward(1)]);
    assert_eq!(put.outcome(1, Ok(answer(2))), [ok(2), PutEffect::Finish]);
    let mut put = Put::start(STRANGER, homes(2, 0), 2);
    put.outcome(0, Err(failed(0)));
    let reply = quorum_not_met(2, 0, 1, Fate::Unknown);
    assert_eq!(put.outcome(1, Err(overloaded())), [reply, PutEffect::Finish], "it may be there");
    let mut put = Put::start(STRANGER, homes(3, 0), 2);
    let minted = put.outcome(0, Err(failed(1)));
    assert_eq!(minted, [refused(failed(1)), PutEffect::Finish], "it has spread what it could");
}

#[test]
fn a_home_whose_own_disk_is_full_passes_the_put_on() {
    let mut put = Put::start(node(0), homes(3, 0), 2);
    assert_eq!(put.handle(PutEvent::MintRefused(full())), [forward(1)]);
    assert_eq!(put.outcome(1, Ok(answer(2))), [ok(2), PutEffect::Finish]);
    let mut put = Put::start(node(0), homes(3, 0b100), 2);
    assert_eq!(put.handle(PutEvent::MintRefused(full())), [forward(1)]);
    let reply = [refused(full()), PutEffect::Finish];
    assert_eq!(put.outcome(1, Err(full())), reply, "nobody has room, and nobody has applied it");
    let mut put = Put::start(node(0), homes(3, 0), 2);
    put.handle(PutEvent::MintRefused(full()));
    assert_eq!(put.fail(1, Failure::Lost), [forward(2)]);
    let reply = [quorum_not_met(2, 0, 1, Fate::Unknown), PutEffect::Finish];
    assert_eq!(put.outcome(2, Err(full())), reply, "the second home may have applied it");
    let mut put = Put::take(PutRequest { forwarded: true, ..request(node(0), homes(3, 0), 2) });
    let effects = put.handle(PutEvent::MintRefused(full()));
    assert_eq!(effects, [refused(full()), PutEffect::Finish], "the forwarder asks the next one");
}

#[test]
fn a_failed_link_does_not_speak_for_the_homes_among_themselves() {
    let mut put = Put::start(STRANGER, homes(3, 0), 3);
    assert_eq!(put.fail(0, Failure::Unreachable), [forward(1)]);
    assert_eq!(put.outcome(1, Ok(answer(3))), [ok(3), PutEffect::Finish]);
}
