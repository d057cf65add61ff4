//! The laws of the three operations, each over at least 10,000 random schedules of writes, reads,
//! retries, merges, late and repeated messages, losses, restarts and restored backups.

use henge_kernel::{
    causality::{Conflict, Record},
    id::ShardUid,
};
use proptest::{collection::vec, prelude::*, test_runner::Config};

use crate::model::{World, same_replicated};

/// At least this many cases a law.
pub const CASES: u32 = 10_000;

fn steps() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 0..40)
}

fn conflict() -> impl Strategy<Value = Conflict> {
    prop_oneof![Just(Conflict::Siblings), Just(Conflict::Lww)]
}

fn merged(records: &[&Record], conflict: Conflict) -> Record {
    let mut all = Record::default();
    for record in records {
        all.merge(record, conflict);
    }
    all
}

fn holds_as_much(one: &Record, other: &Record) -> bool {
    one.history().is_superset(other.history())
}

proptest! {
    #![proptest_config(Config::with_cases(CASES))]

    /// Equal to the plain model; and, in every interleaving, one dot names one write, a stamp lies
    /// above its causal past, only the overwritten goes, digests are equal iff replicas are, and a
    /// record with a history has a version.
    #[test]
    fn siblings_follow_the_plain_model_of_causal_histories(steps in steps()) {
        World::after(Conflict::Siblings, &steps);
    }

    /// The same laws, and: the version that stays is the greatest of all that the record has seen.
    #[test]
    fn the_last_writer_wins_and_never_nobody(steps in steps()) {
        World::after(Conflict::Lww, &steps);
    }

    #[test]
    fn merge_is_commutative_associative_idempotent_and_monotone(
        steps in steps(),
        conflict in conflict(),
    ) {
        let world = World::after(conflict, &steps);
        let [a, b, c] = [0, 1, 2].map(|at| &world.shards[at].record);
        let ab = merged(&[a, b], conflict);
        prop_assert!(same_replicated(&ab, &merged(&[b, a], conflict)));
        prop_assert!(same_replicated(&merged(&[&ab, a], conflict), &ab));
        prop_assert!(same_replicated(&merged(&[&ab, &ab], conflict), &ab));
        prop_assert!(holds_as_much(&ab, a) && holds_as_much(&ab, b));

        let bc = merged(&[b, c], conflict);
        let all = merged(&[&ab, c], conflict);
        prop_assert!(same_replicated(&all, &merged(&[a, &bc], conflict)));
        for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
            prop_assert_eq!(merged(&order, conflict).digest(), all.digest());
        }
    }

    #[test]
    fn a_record_survives_its_encodings(steps in steps(), conflict in conflict()) {
        for shard in World::after(conflict, &steps).shards {
            let mut record = shard.record;
            record.mark(henge_kernel::id::NodeId(7));
            let (mut stored, mut replicated) = (Vec::new(), Vec::new());
            record.encode_stored(&mut stored);
            record.encode_replicated(&mut replicated);
            let uid = shard.minter.uid();
            prop_assert_eq!(Record::decode_stored(&stored.clone().into(), uid), Ok(record.clone()));
            let other_run = Record::decode_stored(&stored.into(), ShardUid(0)).unwrap();
            prop_assert_eq!(other_run.right(), None);
            prop_assert!(same_replicated(&other_run, &record));
            let copy = Record::decode_replicated(&replicated.into()).unwrap();
            prop_assert!(same_replicated(&copy, &record));
            prop_assert_eq!((copy.right(), copy.marks().len()), (None, 0));
        }
    }
}
