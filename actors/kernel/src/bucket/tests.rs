use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{causality::Conflict, id::NodeId};

fn change(pairs: &[&str]) -> BucketChange {
    pairs.iter().fold(BucketChange::default(), |change, pair| change.parse_pair(pair).unwrap())
}

fn refusals(pairs: &[&str]) -> Vec<String> {
    let refused = change(pairs).apply(&BucketProperties::default()).unwrap_err();
    refused.0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_valid() {
    assert_eq!(BucketProperties::default().validate(), Ok(()));
    assert_eq!(
        BucketProperties::try_from(BucketChange::default()),
        Ok(BucketProperties::default())
    );
}

#[test]
fn a_change_leaves_alone_what_it_does_not_name() {
    let all = ["n=5", "w=4", "pw=1", "sloppy=false", "conflict=lww", "ttl=30d", "durability=os"];
    let first = change(&all).apply(&BucketProperties::default()).unwrap();
    let expected = BucketProperties {
        n: 5,
        w: 4,
        pw: 1,
        sloppy: false,
        conflict: Conflict::Lww,
        ttl: Some(core::time::Duration::from_hours(720)),
        durability: Durability::Os,
        ..BucketProperties::default()
    };
    assert_eq!(first, expected);
    let second = change(&["ttl=none", "value_bytes_max=64KiB"]).apply(&first).unwrap();
    assert_eq!(second, BucketProperties { ttl: None, value_bytes_max: 1 << 16, ..expected });
}

#[test]
fn every_broken_rule_is_named_with_both_numbers() {
    assert_eq!(
        refusals(&["r=4", "w=0", "pr=5", "pw=-1"]),
        [
            "r is 4; it must be 1 to 3 (n)",
            "w is 0; it must be 1 to 3 (n)",
            "pr is 5; it must be 0 to 3 (r)",
            "pw is -1; it must be 0 to 1 (w)",
        ]
    );
    assert_eq!(refusals(&["n=1"]).len(), 2, "r and w stay 2 and are not clamped in silence");
    assert_eq!(refusals(&["n=300"]), ["n is 300; it must be 1 to 7 (any bucket)"]);
    assert_eq!(
        refusals(&["value_bytes_max=9MiB", "ttl=4000d"]),
        [
            "ttl is \"4000d\"; it must be at most 3650d",
            "value_bytes_max is \"9MiB\"; it must be at most 2MiB"
        ]
    );
}

#[test]
fn wrong_kinds_and_unknown_names_are_refused() {
    let wrong = ["n=three", "sloppy=1", "conflict=first", "ttl=7", "ttl=0s", "value_bytes_max=7"];
    for pair in wrong {
        assert_eq!(refusals(&[pair]).len(), 1, "{pair}");
    }
    let unknown = refusals(&["quorum=2"]);
    assert!(unknown[0].starts_with("quorum is 2; it must be one of the properties n, r, w"));
    assert!(BucketChange::default().parse_pair("n").is_none());
}

#[test]
fn group_durability_is_refused_by_name() {
    let expected = "durability is \"group\"; it must be os or periodic (group is not available in this version)";
    assert_eq!(refusals(&["durability=group"]), [expected]);
    assert_eq!("group".parse::<Durability>(), Err(InvalidDurability::GroupNotAvailable));
}

#[test]
fn properties_that_were_built_by_hand_are_validated_too() {
    let wrong = BucketProperties { n: 0, value_bytes_max: 0, ..BucketProperties::default() };
    let fields: Vec<_> = wrong.validate().unwrap_err().0.into_iter().map(|v| v.field).collect();
    assert_eq!(fields, ["n", "value_bytes_max"]);
}

fn table() -> BucketTable {
    BucketTable::new(BucketProperties::default())
}

fn set(table: &mut BucketTable, pairs: &[&str], used: bool) -> Result<BucketRegister, SetRefused> {
    let register = table.propose(&Bytes::from_static(b"b"), &change(pairs), used, NodeId(1))?;
    table.merge(register.clone())?;
    Ok(register)
}

#[test]
fn n_and_conflict_are_chosen_by_the_first_setting() {
    let mut table = table();
    let lww = set(&mut table, &["conflict=lww"], false).unwrap();
    assert!(!lww.established, "one who does not know it would mint siblings");
    table.establish(b"b", lww.version).unwrap();
    let fixed = set(&mut table, &["conflict=siblings"], false).unwrap_err();
    assert_eq!(
        fixed.to_string(),
        "conflict is lww and fixed since the bucket's first use; it cannot become siblings"
    );
    let fixed = set(&mut table, &["n=5"], false);
    assert!(matches!(fixed, Err(SetRefused::PropertyFixed { field: "n", .. })));
    assert_eq!(set(&mut table, &["r=3"], false).unwrap().version.counter, 2);
    assert_eq!(table.properties(b"b").conflict, Conflict::Lww);
    assert_eq!(table.properties(b"other").conflict, Conflict::Siblings);
}

#[test]
fn a_bucket_used_without_properties_has_fixed_the_defaults() {
    let fixed = set(&mut table(), &["n=5"], true);
    assert!(matches!(fixed, Err(SetRefused::PropertyFixed { field: "n", .. })));
    assert!(set(&mut table(), &["w=3"], true).is_ok());
}

#[test]
fn a_bucket_with_its_own_n_waits_until_it_is_established() {
    let mut table = table();
    let first = set(&mut table, &["n=5"], false).unwrap();
    assert!(!table.is_ready(b"b"));
    assert_eq!(set(&mut table, &["n=5"], false), Ok(first.clone()), "a retry changes nothing");
    assert_eq!(set(&mut table, &["r=3"], false), Err(SetRefused::NotEstablished));
    assert!(table.establish(b"b", first.version).is_some());
    assert!(table.establish(b"b", first.version).is_none());
    assert!(table.is_ready(b"b"));
    assert!(set(&mut table, &["r=3"], false).unwrap().established, "and stays so");
    assert!(table.is_ready(b"never set"));
}

#[test]
fn an_established_register_beats_a_rival_with_a_greater_version() {
    let mut table = table();
    let first = set(&mut table, &["n=5"], false).unwrap();
    table.establish(b"b", first.version);
    let version = RegisterVersion { counter: 9, setter: NodeId(9) };
    let rival = BucketRegister { version, properties: BucketProperties::default(), ..first };
    assert_eq!(table.merge(BucketRegister { established: false, ..rival }), Ok(false));
    assert_eq!(table.properties(b"b").n, 5);
}

#[test]
fn there_are_at_most_ten_thousand_buckets_with_properties() {
    let mut table = table();
    for number in 0..BUCKETS_MAX {
        let name = Bytes::from(format!("b{number}"));
        let register = table.propose(&name, &change(&["r=1"]), false, NodeId(1)).unwrap();
        assert_eq!(table.merge(register), Ok(true));
    }
    assert_eq!(set(&mut table, &["r=1"], false), Err(SetRefused::Full(TableFull)));
    let name = Bytes::from_static(b"b7");
    let known = table.propose(&name, &change(&["r=3"]), false, NodeId(1)).unwrap();
    assert_eq!(table.merge(known), Ok(true), "those that are there can change");
}

#[test]
fn who_knows_no_setting_may_not_place_data_that_one_places_elsewhere() {
    let mut table = table();
    let plain = set(&mut table, &["r=1"], false).unwrap();
    let naming = table.compare(b"b", None);
    assert_eq!((naming.newer_here, naming.refused), (Some(&plain), false), "only r differs");
    assert_eq!(table.compare(b"b", Some(plain.version)).newer_here, None);
    assert!(table.compare(b"other", Some(plain.version)).refused, "unknown here: fetch it first");

    let mut table = self::table();
    let lww = set(&mut table, &["conflict=lww"], false).unwrap();
    let naming = table.compare(b"b", None);
    assert_eq!((naming.newer_here, naming.refused), (Some(&lww), true));
}

#[test]
fn a_bad_name_is_refused() {
    let refused = table().propose(&Bytes::new(), &change(&["r=1"]), false, NodeId(1));
    assert!(matches!(refused, Err(SetRefused::Name(_))));
}

prop_compose! {
    fn any_register()(counter in 1u64..3, setter in 0u64..3, r in 1u8..3, established: bool)
        -> BucketRegister
    {
        BucketRegister {
            name: Bytes::from_static(b"b"),
            version: RegisterVersion { counter, setter: NodeId(setter) },
            properties: BucketProperties { r, ..BucketProperties::default() },
            established,
        }
    }
}

fn merged(mut left: BucketRegister, right: &BucketRegister) -> BucketRegister {
    left.merge(right.clone());
    left
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn merging_registers_is_commutative_associative_and_idempotent(
        a in any_register(), b in any_register(), c in any_register(),
    ) {
        prop_assert_eq!(merged(a.clone(), &b), merged(b.clone(), &a));
        prop_assert_eq!(merged(merged(a.clone(), &b), &c), merged(a.clone(), &merged(b, &c)));
        prop_assert_eq!(merged(a.clone(), &a), a);
    }
}

#[test]
fn properties_travel_as_json_with_units() {
    let properties = change(&["ttl=90m", "conflict=lww"]).apply(&BucketProperties::default());
    let text = serde_json::to_string(&properties.clone().unwrap()).unwrap();
    let expected = concat!(
        r#"{"n":3,"r":2,"w":2,"pr":0,"pw":0,"sloppy":true,"conflict":"lww","ttl":"90m","#,
        r#""durability":"periodic","value_bytes_max":"1MiB"}"#
    );
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<BucketProperties>(&text).unwrap(), properties.unwrap());
    let wrong = r#"{"n":9,"ttl":null,"r":2.5,"sloppy":[1],"w":{}}"#;
    let refused = serde_json::from_str::<BucketProperties>(wrong).unwrap_err().to_string();
    for part in ["n is 9", "r is 2.5", "sloppy is a list", "w is a list or an object"] {
        assert!(refused.contains(part), "{refused}");
    }
}
