//! Puts while homes are away, one statement each.

use core::time::Duration;

use henge_kernel::{
    causality::Context,
    coordination::{
        Failure, Fate, PutCoordination, Replicas, RequestError,
        outcome::PutAnswer,
        put::{Minted, PutEffect, PutEvent, PutRequest},
        quorum::QuorumSize,
    },
    machine::Machine,
};

use crate::support::{DEADLINE, LATE, STRANGER, at, node, record, replica, seats};

/// A put of a key whose homes are the nodes 0, 1 and 2, and its fallbacks 3, 4 and 5.
struct Put {
    machine: PutCoordination,
    effects: Vec<PutEffect>,
}

impl Put {
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
        let dot = record(1).versions()[0].dot;
        let minted = Minted { context: Context::default(), dot, record: replica(1, 1) };
        self.handle(PutEvent::Minted(minted))
    }

    fn stored(&mut self, replica: usize) -> &[PutEffect] {
        self.handle(PutEvent::Stored(node(replica)))
    }

    fn fail(&mut self, replica: usize, failure: Failure) -> &[PutEffect] {
        self.handle(PutEvent::Failed { node: node(replica), failure })
    }

    fn expire(&mut self, millis: u64) -> &[PutEffect] {
        self.effects.clear();
        self.machine.expire(at(millis), &mut self.effects);
        &self.effects
    }
}

/// A put that node `taker` takes with W = `w` while the replicas in the bit set `down` are down.
fn request(taker: usize, w: u8, down: u16) -> PutRequest {
    PutRequest {
        homes: seats(0..3, down),
        fallbacks: seats(3..6, down),
        sloppy: true,
        node: node(taker),
        may_mint: true,
        forwarded: false,
        quorum: QuorumSize { needed: w, primary: 0 },
        return_body: false,
        deadline: at(DEADLINE),
        patience: Duration::from_millis(LATE),
    }
}

fn mint_for(home: usize) -> PutEffect {
    PutEffect::Mint { stands_in_for: Some(node(home)) }
}

fn store(home: usize) -> PutEffect {
    PutEffect::StoreAt { node: node(home), stands_in_for: None, record: replica(1, 1) }
}

fn hint(fallback: usize, home: usize) -> PutEffect {
    let stands_in_for = Some(node(home));
    PutEffect::StoreAt { node: node(fallback), stands_in_for, record: replica(1, 1) }
}

fn ok(acks: u8, fallbacks: u8) -> PutEffect {
    let replicas = Replicas { acks, fallbacks, homes: 3 };
    let dot = record(1).versions()[0].dot;
    PutEffect::Reply(Ok(PutAnswer { context: Context::default(), dot, record: None, replicas }))
}

fn quorum_not_met(needed: u8, got: u8, homes_down: u8, fate: Fate) -> PutEffect {
    PutEffect::Reply(Err(RequestError::QuorumNotMet { needed, got, homes_down, fate }))
}

#[test]
fn a_home_that_is_down_is_replaced_at_once_and_the_fallback_counts() {
    let mut put = Put::take(request(0, 2, 0b110));
    assert_eq!(put.mint(), [hint(3, 1), hint(4, 2)]);
    assert_eq!(put.stored(3), [ok(2, 1)]);
    assert_eq!(put.stored(4), [PutEffect::Finish], "each home has the record or a hint");
}

#[test]
fn a_silent_home_is_replaced_after_the_hedge_delay() {
    let mut put = Put::take(request(0, 2, 0));
    assert_eq!(put.mint(), [store(1), store(2)]);
    assert_eq!(put.machine.deadline(), Some(at(LATE + 1)));
    assert_eq!(put.stored(1), [ok(2, 0)]);
    assert_eq!(put.expire(LATE + 1), [hint(3, 2)], "long after the client has its answer");
    assert_eq!(put.stored(3), [PutEffect::Finish]);
}

#[test]
fn a_home_that_acknowledges_after_all_ends_the_put() {
    let mut put = Put::take(request(0, 2, 0));
    put.mint();
    put.stored(1);
    put.expire(LATE + 1);
    assert_eq!(put.stored(2), [PutEffect::Finish], "the hint stays, and does no harm");
}

#[test]
fn a_home_that_fails_or_refuses_is_replaced_at_once() {
    for failure in [Failure::Unreachable, Failure::Lost, Failure::Refused] {
        let mut put = Put::take(request(0, 3, 0));
        put.mint();
        assert_eq!(put.fail(1, failure), [hint(3, 1)]);
    }
}

#[test]
fn a_fallback_that_refuses_does_not_count_and_the_next_one_is_asked() {
    let mut put = Put::take(request(0, 2, 0b110));
    put.mint();
    assert_eq!(put.fail(3, Failure::Refused), [hint(5, 1)]);
    assert_eq!(put.stored(5), [ok(2, 1)]);
}

#[test]
fn a_silent_fallback_is_replaced_too() {
    let mut put = Put::take(request(0, 3, 0b100));
    assert_eq!(put.mint(), [store(1), hint(3, 2)]);
    put.stored(1);
    assert_eq!(put.expire(LATE + 1), [hint(4, 2)]);
    assert_eq!(put.stored(3), [ok(3, 1), PutEffect::Finish], "whoever comes first");
}

#[test]
fn a_fallback_that_stands_in_for_two_homes_counts_once() {
    let put = Put::take(request(0, 3, 0b11_0110));
    assert_eq!(put.effects, [quorum_not_met(3, 0, 2, Fate::NotApplied), PutEffect::Finish]);
    let mut put = Put::take(request(0, 2, 0b11_0110));
    assert_eq!(put.mint(), [hint(3, 1)]);
    assert_eq!(put.stored(3), [hint(3, 2), ok(2, 1)], "with another mark for the other home");
    assert_eq!(put.stored(3), [PutEffect::Finish]);
}

#[test]
fn a_strict_put_leaves_hints_that_do_not_count() {
    let strict = PutRequest { sloppy: false, ..request(0, 2, 0b100) };
    let mut put = Put::take(strict);
    assert_eq!(put.mint(), [store(1), hint(3, 2)]);
    assert_eq!(put.stored(3), [], "one home and one fallback are not two homes");
    assert_eq!(put.stored(1), [ok(2, 0), PutEffect::Finish]);
}

#[test]
fn a_strict_put_is_refused_before_minting_however_many_fallbacks_are_up() {
    let put = Put::take(PutRequest { sloppy: false, ..request(0, 2, 0b110) });
    assert_eq!(put.effects, [quorum_not_met(2, 0, 2, Fate::NotApplied), PutEffect::Finish]);
    let quorum = QuorumSize { needed: 2, primary: 2 };
    let put = Put::take(PutRequest { quorum, ..request(0, 2, 0b110) });
    assert_eq!(put.effects, [quorum_not_met(2, 0, 2, Fate::NotApplied), PutEffect::Finish], "pw");
}

#[test]
fn if_no_home_is_up_the_first_fallback_mints_for_it() {
    let mut put = Put::take(request(3, 2, 0b111));
    assert_eq!(put.effects, [mint_for(0)]);
    assert_eq!(put.mint(), [hint(4, 1), hint(5, 2)]);
    assert_eq!(put.stored(4), [ok(2, 2)]);
    assert_eq!(put.stored(5), [PutEffect::Finish]);
    let put = Put::take(request(4, 2, 0b111));
    assert_eq!(put.effects, [PutEffect::ForwardTo(node(3))], "so that readers look there");
    let put = Put::take(PutRequest { node: STRANGER, ..request(0, 2, 0b111) });
    assert_eq!(put.effects, [PutEffect::ForwardTo(node(3))]);
}

#[test]
fn a_fallback_to_which_the_put_was_forwarded_mints_at_once() {
    let mut put = Put::take(PutRequest { forwarded: true, ..request(4, 2, 0) });
    assert_eq!(put.effects, [mint_for(0)]);
    assert_eq!(put.mint(), [store(0), store(1), store(2)], "it may reach homes that others do not");
    assert_eq!(put.stored(2), [ok(2, 1)]);
}

#[test]
fn a_fallback_mints_only_after_every_home_was_tried() {
    let mut put = Put::take(request(3, 2, 0b001));
    assert_eq!(put.effects, [PutEffect::ForwardTo(node(1))]);
    assert_eq!(put.expire(LATE), [PutEffect::ForwardTo(node(2))]);
    assert_eq!(put.expire(2 * LATE), [mint_for(0)]);
    assert_eq!(put.mint(), [store(1), store(2)], "the silent ones get the record all the same");
    assert_eq!(put.stored(2), [ok(2, 1)]);
}

#[test]
fn a_home_that_is_overloaded_has_answered_and_no_fallback_mints() {
    let overloaded = RequestError::Overloaded { retry_after: Duration::from_secs(1) };
    let mut put = Put::take(request(3, 2, 0b110));
    let outcome = Err(overloaded.clone());
    let effects = put.handle(PutEvent::Forwarded { node: node(0), outcome });
    assert_eq!(effects, [PutEffect::Reply(Err(overloaded)), PutEffect::Finish]);
}

#[test]
fn a_fallback_that_cannot_mint_leaves_it_to_the_next() {
    let mut put = Put::take(request(3, 2, 0b111));
    assert_eq!(put.handle(PutEvent::MintUnable), [PutEffect::ForwardTo(node(4))]);
}

#[test]
fn a_put_may_have_been_applied_by_a_silent_home_whatever_the_fallback_says() {
    let mut put = Put::take(request(3, 1, 0b110));
    assert_eq!(put.expire(LATE), [mint_for(1)]);
    let refusal = RequestError::TooLarge { size: 2, max: 1 };
    assert_eq!(put.handle(PutEvent::MintRefused(refusal)), [], "home 0 may yet answer");
    let reply = quorum_not_met(1, 0, 3, Fate::Unknown);
    assert_eq!(put.fail(0, Failure::Lost), [reply, PutEffect::Finish]);
}

#[test]
fn a_home_that_is_lost_while_a_fallback_mints_is_replaced_at_once() {
    let mut put = Put::take(request(3, 2, 0b110));
    assert_eq!(put.expire(LATE), [mint_for(1)]);
    assert_eq!(put.fail(0, Failure::Lost), []);
    assert_eq!(put.mint(), [hint(4, 0), hint(5, 2)], "nothing is sent to it, nobody waits for it");
    assert_eq!(put.stored(4), [ok(2, 2)]);
}

#[test]
fn a_home_that_refuses_while_a_fallback_mints_is_not_waited_for() {
    let refusal = RequestError::NotReady { reason: "later".into() };
    let mut put = Put::take(request(3, 2, 0b110));
    assert_eq!(put.expire(LATE), [mint_for(1)]);
    let outcome = Err(refusal.clone());
    assert_eq!(put.handle(PutEvent::Forwarded { node: node(0), outcome }), []);
    assert_eq!(put.handle(PutEvent::MintUnable), [PutEffect::ForwardTo(node(4))]);
    assert_eq!(put.fail(4, Failure::Refused), [PutEffect::ForwardTo(node(5))]);
    let reply = PutEffect::Reply(Err(refusal));
    assert_eq!(put.fail(5, Failure::Refused), [reply, PutEffect::Finish], "surely not applied");
}

#[test]
fn what_a_home_may_have_applied_while_a_fallback_minted_is_never_called_refused() {
    let mut put = Put::take(request(3, 1, 0b110));
    assert_eq!(put.expire(LATE), [mint_for(1)]);
    let outcome = Err(RequestError::Interrupted);
    assert_eq!(put.handle(PutEvent::Forwarded { node: node(0), outcome }), []);
    let refusal = RequestError::TooLarge { size: 2, max: 1 };
    let reply = quorum_not_met(1, 0, 2, Fate::Unknown);
    assert_eq!(put.handle(PutEvent::MintRefused(refusal)), [reply, PutEffect::Finish]);
}

#[test]
fn a_fallback_mints_if_the_disks_of_all_homes_are_full_but_not_for_a_strict_put() {
    let full = RequestError::StorageFull { free: 1, needed: 2 };
    let refused = |home| {
        let outcome = Err(full.clone());
        PutEvent::Forwarded { node: node(home), outcome }
    };
    for sloppy in [true, false] {
        let mut put = Put::take(PutRequest { sloppy, ..request(0, 2, 0) });
        let effects = put.handle(PutEvent::MintRefused(full.clone()));
        assert_eq!(effects, [PutEffect::ForwardTo(node(1))]);
        assert_eq!(put.handle(refused(1)), [PutEffect::ForwardTo(node(2))]);
        let told = [PutEffect::Reply(Err(full.clone())), PutEffect::Finish];
        let next = [PutEffect::ForwardTo(node(3))];
        assert_eq!(put.handle(refused(2)), if sloppy { &next[..] } else { &told[..] });
    }
}

#[test]
fn a_fallback_without_room_leaves_it_to_the_next_and_without_any_the_put_is_overloaded() {
    let overloaded = RequestError::Overloaded { retry_after: Duration::from_secs(1) };
    let mut put = Put::take(request(3, 1, 0b111));
    assert_eq!(put.effects, [mint_for(0)]);
    let refused = PutEvent::MintRefused(overloaded.clone());
    assert_eq!(put.handle(refused), [PutEffect::ForwardTo(node(4))]);
    for (fallback, next) in [(4, vec![PutEffect::ForwardTo(node(5))]), (5, Vec::new())] {
        let outcome = Err(overloaded.clone());
        let effects = put.handle(PutEvent::Forwarded { node: node(fallback), outcome });
        let last = vec![PutEffect::Reply(Err(overloaded.clone())), PutEffect::Finish];
        assert_eq!(effects, if next.is_empty() { last } else { next });
    }
}
