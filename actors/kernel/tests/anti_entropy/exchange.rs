//! Exchanges between two stores, alone and while writes go on and messages fail.

use core::time::Duration;

use henge_kernel::{
    anti_entropy::{
        Brief, TreeId,
        exchange::{
            ExchangeEffect, ExchangeEvent, Listing, Report, SECOND_LOOK_AFTER, SILENCE_MAX,
            SUSPECTS_MAX,
        },
    },
    causality::Digest,
    key::{Key, PartitionId},
    machine::Machine,
};

use crate::stores::{Pair, key};

/// Two stores of 16 partitions with 100 keys in common.
fn pair() -> Pair {
    let mut pair = Pair::new(16);
    for index in 0..100 {
        pair.own.merge(&key(index), 1);
        pair.peer.merge(&key(index), 1);
    }
    pair
}

fn complete(trees: u64, keys: u64, passing: u64, bytes: u64) -> Report {
    Report { complete: true, trees, keys, passing, bytes }
}

#[test]
fn equal_stores_cost_one_message() {
    let mut pair = pair();
    assert_eq!(pair.exchange(), complete(0, 0, 0, 0));
    assert_eq!(pair.messages, 1);
}

#[test]
fn what_either_side_lacks_comes_to_both() {
    let mut pair = pair();
    pair.own.merge(&key(3), 2);
    pair.peer.merge(&key(3), 4);
    pair.own.merge(&key(200), 1);
    pair.peer.merge(&key(201), 1);
    let report = pair.exchange();
    assert_eq!((report.complete, report.keys, report.passing), (true, 3, 0));
    assert_eq!(pair.own.get(&key(3)), Some(7));
    assert_eq!(pair.own.records, pair.peer.records);
    assert_eq!(pair.exchange(), complete(0, 0, 0, 0));
}

#[test]
fn what_the_briefs_of_one_exchange_hide_the_next_one_finds() {
    let mut pair = pair();
    for index in 200..240 {
        pair.own.merge(&key(index), 1);
    }
    // Half of all branches and leaves that differ look the same.
    pair.brief_bits = 1;
    let mut hidden = 0;
    for salt in 0..40 {
        pair.salt = salt;
        let report = pair.exchange();
        assert!(report.complete);
        hidden += usize::from(report.trees > 0 && pair.own.records != pair.peer.records);
    }
    assert!(hidden > 0, "no brief was the same by chance");
    assert_eq!(pair.own.records, pair.peer.records);
}

#[test]
fn only_what_differs_is_moved() {
    let mut pair = Pair::new(16);
    for index in 0..20_000 {
        pair.own.merge(&key(index), 1);
        if index % 1_000 != 0 {
            pair.peer.merge(&key(index), 1);
        }
    }
    let report = pair.exchange();
    assert_eq!((report.keys, report.bytes, pair.swapped.len()), (20, 20, 20));
    assert_eq!(pair.own.records, pair.peer.records);
}

#[test]
fn a_store_that_came_back_empty_is_filled() {
    let mut pair = pair();
    pair.own = Pair::new(16).own;
    assert_eq!(pair.exchange().keys, 100);
    assert_eq!(pair.own.records, pair.peer.records);
}

#[test]
fn a_write_on_its_way_is_not_swapped() {
    let mut pair = pair();
    pair.own.merge(&key(3), 2);
    pair.start();
    while !pair.wanted.is_empty() {
        pair.answer(0);
    }
    assert_eq!(pair.machine.deadline(), Some(pair.now.after(SECOND_LOOK_AFTER)));
    pair.peer.merge(&key(3), 2);
    assert_eq!(pair.run(), complete(1, 0, 1, 0));
    assert_eq!(pair.swapped, []);
}

#[test]
fn listings_that_do_not_fit_into_a_message_go_on_where_they_ended() {
    let mut pair = Pair::new(1);
    for index in 0..90_000 {
        // So dense that the leaves of one message hold more keys than one message lists.
        if index % 10 != 0 {
            pair.own.merge(&key(index), 1);
        }
        if index % 10 != 1 {
            pair.peer.merge(&key(index), 1);
        }
    }
    let report = pair.exchange();
    assert_eq!((report.complete, report.keys), (true, 18_000));
    const { assert!(18_000 > SUSPECTS_MAX, "in more than one go") };
    assert!(pair.continued > 0, "and not one message for each set of leaves");
    assert_eq!(pair.own.records, pair.peer.records);
}

#[test]
fn an_exchange_that_is_cut_off_anywhere_loses_nothing() {
    let prepare = || {
        let mut pair = pair();
        (0..50).for_each(|index| pair.own.merge(&key(index), 2));
        (100..200).for_each(|index| pair.peer.merge(&key(index), 2));
        pair
    };
    let mut whole = prepare();
    whole.exchange();
    for cut in 0..whole.messages {
        let mut pair = prepare();
        pair.start();
        for _ in 0..cut {
            if pair.wanted.is_empty() {
                pair.wait();
            }
            pair.answer(0);
        }
        pair.handle(ExchangeEvent::Failed);
        assert!(pair.machine.is_idle() && !pair.reports[0].complete, "cut off after {cut}");
        pair.exchange();
        assert_eq!(pair.own.records, pair.peer.records, "cut off after {cut}");
    }
}

#[test]
fn silence_ends_an_exchange() {
    let mut pair = pair();
    pair.start();
    assert_eq!(pair.machine.deadline(), Some(pair.now.after(SILENCE_MAX)));
    pair.wait();
    assert_eq!(pair.reports, [Report::default()]);
}

#[test]
fn a_pause_asks_nothing_and_takes_in_what_comes() {
    let mut pair = pair();
    pair.own.merge(&key(3), 2);
    pair.start();
    pair.handle(ExchangeEvent::Paused);
    pair.answer(0);
    assert_eq!((pair.wanted.len(), pair.machine.deadline()), (0, None));
    pair.now = pair.now.after(Duration::from_mins(1));
    pair.handle(ExchangeEvent::Resumed);
    assert_eq!(pair.run().keys, 1);
}

#[test]
fn an_answer_that_cannot_be_true_ends_the_exchange() {
    let tree = |partition| TreeId { partition: PartitionId(partition), n: 3 };
    let untrue = |pair: &mut Pair, event| {
        pair.handle(event);
        assert!(pair.machine.is_idle() && !pair.reports[0].complete);
    };
    // A tree that nobody asked about, and one twice.
    for differing in [vec![tree(99)], vec![tree(3), tree(3)]] {
        let mut pair = pair();
        pair.start();
        untrue(&mut pair, ExchangeEvent::Roots { differing });
    }
    // Branches that there are not, and one twice.
    for peer in [vec![(200, Brief(1))], vec![(5, Brief(1)), (5, Brief(2))]] {
        let mut pair = pair();
        pair.start();
        pair.handle(ExchangeEvent::Roots { differing: vec![tree(3)] });
        untrue(&mut pair, ExchangeEvent::Branches { own: vec![], peer });
    }
    // Keys that lie elsewhere, and a listing that goes on behind nothing.
    let elsewhere = Listing { keys: vec![(key(77_777), Digest(1))], more: false };
    for peer in [elsewhere, Listing { keys: vec![], more: true }] {
        let mut pair = pair();
        pair.own.merge(&key(3), 2);
        pair.start();
        while !matches!(pair.wanted[..], [ExchangeEffect::GetKeys { .. }]) {
            pair.answer(0);
        }
        untrue(&mut pair, ExchangeEvent::Keys { own: Listing::default(), peer });
    }
    // A second look at other keys.
    let mut pair = pair();
    pair.own.merge(&key(3), 2);
    pair.start();
    while !matches!(pair.wanted[..], [ExchangeEffect::LookAgain(_)]) {
        pair.answer(0);
        if pair.wanted.is_empty() {
            pair.wait();
        }
    }
    untrue(&mut pair, ExchangeEvent::Looked { own: vec![None], peer: vec![] });
}

#[test]
fn an_answer_that_nobody_awaits_changes_nothing() {
    let mut pair = pair();
    pair.handle(ExchangeEvent::Roots { differing: vec![] });
    assert!(pair.machine.is_idle() && pair.reports.is_empty());
    pair.own.merge(&key(3), 2);
    pair.start();
    pair.handle(ExchangeEvent::Branches { own: vec![], peer: vec![] });
    pair.handle(ExchangeEvent::Swapped { batch: 1, bytes: 5 });
    assert_eq!(pair.run(), complete(1, 1, 0, 1));
}

/// Writes that reach one store now and the other later.
struct Traffic {
    pair: Pair,
    on_the_way: Vec<(bool, Key, u64)>,
    rng: fastrand::Rng,
}

impl Traffic {
    fn write(&mut self) {
        let key = key(self.rng.usize(0..60));
        let (writes, here) = (1 << self.rng.u8(0..64), self.rng.bool());
        let store = if here { &mut self.pair.own } else { &mut self.pair.peer };
        store.merge(&key, writes);
        // One in four is lost: only the exchange brings it.
        if self.rng.u8(..) >= 64 {
            self.on_the_way.push((!here, key, writes));
        }
    }

    fn deliver(&mut self) {
        if self.on_the_way.is_empty() {
            return;
        }
        let index = self.rng.usize(0..self.on_the_way.len());
        let (here, key, writes) = self.on_the_way.swap_remove(index);
        let store = if here { &mut self.pair.own } else { &mut self.pair.peer };
        store.merge(&key, writes);
    }

    fn step(&mut self) {
        match self.rng.u8(..) {
            0..60 => self.write(),
            60..100 => self.deliver(),
            100..120 => self.pair.wait(),
            120..124 => self.pair.handle(ExchangeEvent::Failed),
            124..130 => self.pair.handle(ExchangeEvent::Paused),
            130..140 => self.pair.handle(ExchangeEvent::Resumed),
            _ if self.pair.machine.is_idle() => self.pair.start(),
            _ => {
                let index = self.rng.usize(0..4);
                self.pair.answer(index);
            }
        }
    }
}

#[test]
fn stores_that_exchange_become_equal_whatever_happened_meanwhile() {
    for seed in 0..10_000 {
        let rng = fastrand::Rng::with_seed(seed);
        let mut traffic = Traffic { pair: Pair::new(4), on_the_way: Vec::new(), rng };
        for _ in 0..120 {
            traffic.step();
        }
        let mut pair = traffic.pair;
        pair.handle(ExchangeEvent::Resumed);
        for (here, key, writes) in traffic.on_the_way {
            let store = if here { &mut pair.own } else { &mut pair.peer };
            store.merge(&key, writes);
        }
        pair.exchange();
        assert_eq!(pair.own.records, pair.peer.records, "seed {seed}");
        assert_eq!(pair.exchange(), complete(0, 0, 0, 0), "seed {seed}");
    }
}
