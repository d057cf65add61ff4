//! Trees against a recount from the records.

use std::collections::BTreeMap;

use henge_kernel::{
    anti_entropy::{
        Place, Summary, Tree, TreeId, Trees,
        tree::{FANOUT, differing},
    },
    causality::Digest,
    key::{PartitionCount, PartitionId, Token},
};
use proptest::prelude::*;

const PARTITIONS: PartitionCount = PartitionCount::DEFAULT;

fn at(token: u64) -> (Token, Place) {
    (Token(token), Place::of(Token(token), PARTITIONS))
}

/// A token in partition 3 that lies in one of few leaves.
fn tokens() -> impl Strategy<Value = u64> {
    (0..3u64, 0..3u64, 0..3u64)
        .prop_map(|(branch, leaf, low)| 3 << 56 | (branch * 50) << 49 | (leaf * 50) << 42 | low)
}

fn xor<'a>(summaries: impl Iterator<Item = &'a Summary>) -> Summary {
    Summary(summaries.fold(0, |all, one| all ^ one.0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_tree_is_what_a_recount_of_the_records_gives(
        writes in prop::collection::vec((tokens(), prop::option::of(0..4u128)), 0..60),
    ) {
        let (mut tree, mut records) = (Tree::default(), BTreeMap::<u64, Digest>::new());
        for (token, digest) in writes {
            let new = digest.map(Digest);
            let old = records.remove(&token);
            records.extend(new.map(|new| (token, new)));
            tree.update(at(token), old, new);
        }
        let mut recount = Tree::default();
        let mut leaves = BTreeMap::<Place, Summary>::new();
        for (token, digest) in records.iter().rev() {
            recount.update(at(*token), None, Some(*digest));
            let leaf = leaves.entry(at(*token).1).or_default();
            *leaf = xor([*leaf, Summary::of(Token(*token), *digest)].iter());
        }
        prop_assert_eq!(&tree, &recount);
        prop_assert_eq!(tree.root(), xor(leaves.values()));
        let listed: Vec<_> = tree.branches().flat_map(|(branch, _)| tree.leaves(branch)).collect();
        prop_assert_eq!(listed, leaves.into_iter().collect::<Vec<_>>());
        for (branch, summary) in tree.branches() {
            let leaves: Vec<_> = tree.leaves(branch).map(|(_, leaf)| leaf).collect();
            prop_assert_eq!(summary, xor(leaves.iter()));
        }
    }

    #[test]
    fn a_leaf_follows_the_order_of_tokens(
        one: u64,
        other: u64,
        bits in 0..=15u32,
        near in 0..64u32,
    ) {
        let partitions = PartitionCount::new(1 << bits).unwrap();
        // Two tokens of one partition, often near each other.
        let mask = u64::MAX.checked_shr(bits.max(near)).unwrap_or(0);
        let other = one & !mask | other & mask;
        prop_assert_eq!(Token(one).partition(partitions), Token(other).partition(partitions));
        let places = [one, other].map(|token| Place::of(Token(token), partitions));
        prop_assert_eq!(places[0].cmp(&places[1]), {
            let within = |token: u64| (token << bits) >> 50;
            within(one).cmp(&within(other))
        });
        for (token, place) in [one, other].into_iter().zip(places) {
            let partition = Token(token).partition(partitions);
            let (first, last) = place.tokens(partition, partitions);
            prop_assert!((first..=last).contains(&Token(token)));
            prop_assert_eq!([first, last].map(|token| Place::of(token, partitions)), [place; 2]);
            let next = Token(last.0.wrapping_add(1));
            let behind = (next.partition(partitions), Place::of(next, partitions));
            prop_assert!(last == Token(u64::MAX) || behind != (partition, place));
        }
    }

    #[test]
    fn what_differs_between_two_lists_is_what_is_not_in_both(
        own: BTreeMap<u8, u8>,
        changes: BTreeMap<u8, Option<u8>>,
    ) {
        let mut peer = own.clone();
        for (index, change) in changes {
            match change {
                Some(value) => peer.insert(index, value),
                None => peer.remove(&index),
            };
        }
        let expected: Vec<_> =
            (0..=u8::MAX).filter(|index| own.get(index) != peer.get(index)).collect();
        let [own, peer] = [own, peer].map(|list| list.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(differing(&own, &peer), expected);
    }
}

#[test]
fn records_that_change_places_are_a_difference() {
    let (mut one, mut other) = (Tree::default(), Tree::default());
    let digests = [Digest(1), Digest(2)];
    for (index, (token, digest)) in [5u64, 6].into_iter().zip(digests).enumerate() {
        one.update(at(token), None, Some(digest));
        other.update(at(token), None, Some(digests[1 - index]));
    }
    assert_ne!(one.root(), other.root(), "although they lie in the same leaf");
}

#[test]
fn a_tree_of_no_records_is_no_tree() {
    let id = TreeId { partition: PartitionId(3), n: 3 };
    let mut trees = Trees::default();
    assert_eq!(trees.root(id), Summary::NOTHING);
    trees.update(id, at(5), None, Some(Digest(1)));
    assert_ne!(trees.root(id), Summary::NOTHING);
    trees.update(id, at(5), Some(Digest(1)), None);
    assert_eq!((trees.root(id), trees.iter().count()), (Summary::NOTHING, 0));
}

#[test]
fn a_tree_that_was_computed_anew_tells_whether_the_old_one_was_right() {
    let id = TreeId { partition: PartitionId(3), n: 3 };
    let mut trees = Trees::default();
    trees.update(id, at(5), None, Some(Digest(1)));
    let scrubbed = trees.get(id).unwrap().clone();
    assert!(!trees.replace(id, scrubbed.clone()));
    trees.update(id, at(6), None, Some(Digest(1)));
    assert!(trees.replace(id, scrubbed));
}

#[test]
fn memory_grows_with_what_is_held_and_is_bounded() {
    let mut tree = Tree::default();
    assert_eq!(tree.memory_bytes(), size_of::<Tree>());
    assert!(size_of::<Tree>() <= 64, "{}", size_of::<Tree>());
    for index in 0..1_000u64 {
        tree.update(
            at(3 << 56 | index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8),
            None,
            Some(Digest(1)),
        );
    }
    let sparse = tree.memory_bytes();
    for place in 0..u64::from(FANOUT) * u64::from(FANOUT) {
        tree.update(at(3 << 56 | place << 42), None, Some(Digest(2)));
    }
    let full = tree.memory_bytes();
    println!("1,000 records: {sparse} bytes; every leaf: {full} bytes");
    assert!(sparse < 48 * 1024 && full <= 300 * 1024, "{sparse} {full}");
}

#[test]
fn an_update_costs_the_same_whatever_the_tree_holds() {
    // Not measured by time: what an update touches is one branch and one leaf.
    let mut tree = Tree::default();
    for place in 0..u64::from(FANOUT) * u64::from(FANOUT) {
        tree.update(at(3 << 56 | place << 42), None, Some(Digest(1)));
    }
    let before = tree.clone();
    tree.update(at(3 << 56), Some(Digest(1)), Some(Digest(2)));
    let branches: (Vec<_>, Vec<_>) = (before.branches().collect(), tree.branches().collect());
    assert_eq!(differing(&branches.0, &branches.1), [0]);
    let leaves: (Vec<_>, Vec<_>) = (before.leaves(0).collect(), tree.leaves(0).collect());
    assert_eq!(differing(&leaves.0, &leaves.1), [Place::new(0, 0).unwrap()]);
}
