//! What a request may choose.

use core::time::Duration;

use henge_kernel::{
    bucket::{BucketProperties, Durability},
    coordination::{
        DeleteOptions, Fate, PutOptions, ReadOptions, RequestError,
        options::{TIMEOUT_DEFAULT, TIMEOUT_MAX},
        quorum::QuorumSize,
    },
    time::WallMillis,
};

use crate::support::record;

fn bucket(n: u8, quorum: u8, primary: u8) -> BucketProperties {
    let [r, w, pr, pw] = [quorum, quorum, primary, primary];
    BucketProperties { n, r, w, pr, pw, ..BucketProperties::default() }
}

fn refused(error: RequestError) -> (String, String, String) {
    assert_eq!((error.code(), error.fate()), ("bad_request", Fate::NotApplied));
    let RequestError::BadRequest { field, value, limit } = error else { panic!("{error}") };
    (field.into_owned(), value, limit)
}

fn words(field: &str, value: &str, limit: &str) -> (String, String, String) {
    (field.to_owned(), value.to_owned(), limit.to_owned())
}

#[test]
fn what_is_not_chosen_is_the_buckets() {
    let bucket = BucketProperties { sloppy: false, durability: Durability::Os, ..bucket(5, 3, 1) };
    let plan = ReadOptions::default().resolve(&bucket).unwrap();
    assert_eq!(plan.quorum, QuorumSize { needed: 3, primary: 1 });
    assert_eq!((plan.sloppy, plan.timeout), (false, TIMEOUT_DEFAULT));
    let plan = PutOptions::default().w(5).pw(4).sloppy(true).resolve(&bucket).unwrap();
    assert_eq!(plan.quorum, QuorumSize { needed: 5, primary: 4 });
    assert_eq!((plan.sloppy, plan.durability, plan.ttl), (true, Durability::Os, None));
}

#[test]
fn every_choice_of_r_and_pr_is_taken_whole_or_refused() {
    for n in 1..=7 {
        for (r, pr) in (0..=9).flat_map(|r| (0..=9).map(move |pr| (r, pr))) {
            let right = (1..=n).contains(&r) && (1..=r).contains(&pr);
            let plan = ReadOptions::default().r(r).pr(pr).resolve(&bucket(n, 1, 0));
            let quorum = QuorumSize { needed: r, primary: pr };
            assert_eq!(plan.map(|plan| plan.quorum).ok(), right.then_some(quorum));
            let plan = PutOptions::default().w(r).pw(pr).resolve(&bucket(n, 1, 0));
            assert_eq!(plan.map(|plan| plan.quorum).ok(), right.then_some(quorum));
        }
    }
}

#[test]
fn a_refusal_names_the_field_its_value_and_the_limit() {
    let bucket = bucket(3, 2, 0);
    let read = |options: ReadOptions| refused(options.resolve(&bucket).unwrap_err());
    let put = |options: PutOptions| refused(options.resolve(&bucket).unwrap_err());
    assert_eq!(read(ReadOptions::default().r(0)), words("r", "0", "1 to 3 (n)"));
    assert_eq!(read(ReadOptions::default().pr(3)), words("pr", "3", "1 to 2 (r)"));
    assert_eq!(read(ReadOptions::default().pr(0)), words("pr", "0", "1 to 2 (r)"));
    assert_eq!(put(PutOptions::default().w(4)), words("w", "4", "1 to 3 (n)"));
    assert_eq!(put(PutOptions::default().w(1).pw(2)), words("pw", "2", "1 to 1 (w)"));
    assert_eq!(put(PutOptions::default().w(3).pw(0)), words("pw", "0", "1 to 3 (w)"));
}

#[test]
fn nobody_gives_up_the_buckets_pr_by_accident() {
    let bucket = bucket(3, 2, 2);
    let error = ReadOptions::default().r(1).resolve(&bucket).unwrap_err();
    assert_eq!(refused(error), words("r", "1", "2 (pr of the bucket) to 3 (n)"));
    let error = ReadOptions::default().pr(0).resolve(&bucket).unwrap_err();
    assert_eq!(refused(error), words("pr", "0", "1 to 2 (r)"));
    let plan = ReadOptions::default().r(1).pr(1).resolve(&bucket).unwrap();
    assert_eq!(plan.quorum, QuorumSize { needed: 1, primary: 1 });
}

#[test]
fn a_timeout_is_more_than_nothing_and_at_most_a_minute() {
    let timeout = |span| ReadOptions::default().timeout(span).resolve(&bucket(3, 2, 0));
    assert_eq!(timeout(TIMEOUT_MAX).unwrap().timeout, TIMEOUT_MAX);
    let none = refused(timeout(Duration::ZERO).unwrap_err());
    assert_eq!(none, words("timeout", "0ms", "1ms to 1m"));
    let long = refused(timeout(Duration::from_secs(61)).unwrap_err());
    assert_eq!(long, words("timeout", "61s", "1ms to 1m"));
}

#[test]
fn a_ttl_is_the_puts_or_the_buckets() {
    let hour = Some(Duration::from_hours(1));
    let bucket = BucketProperties { ttl: hour, ..bucket(3, 2, 0) };
    assert_eq!(PutOptions::default().resolve(&bucket).unwrap().ttl, hour);
    let second = Duration::from_secs(1);
    assert_eq!(PutOptions::default().ttl(second).resolve(&bucket).unwrap().ttl, Some(second));
    let error = PutOptions::default().ttl(Duration::ZERO).resolve(&bucket).unwrap_err();
    assert_eq!(refused(error), words("ttl", "0ms", "1ms to 3650d"));
}

#[test]
fn a_delete_needs_a_context_and_has_no_ttl() {
    let bucket = BucketProperties { ttl: Some(Duration::from_secs(1)), ..bucket(3, 2, 0) };
    let error = DeleteOptions::default().resolve(&bucket).unwrap_err();
    assert_eq!(error, RequestError::ContextRequired);
    let context = record(1).read(WallMillis(0)).context;
    let plan = DeleteOptions::default().context(context).w(3).resolve(&bucket).unwrap();
    assert_eq!((plan.quorum, plan.ttl), (QuorumSize { needed: 3, primary: 0 }, None));
}

#[test]
fn only_what_may_have_been_applied_is_unknown() {
    let after = Duration::from_secs(2);
    let quorum_not_met =
        |fate| RequestError::QuorumNotMet { needed: 2, got: 1, homes_down: 2, fate };
    let unknown = [
        RequestError::TimedOut { needed: 2, got: 1, after },
        RequestError::Interrupted,
        quorum_not_met(Fate::Unknown),
    ];
    assert!(unknown.iter().all(|error| error.fate() == Fate::Unknown && !error.is_of_the_node()));
    let refused = [
        quorum_not_met(Fate::NotApplied),
        RequestError::ContextRequired,
        RequestError::NotReady { reason: "starting".into() },
        RequestError::StorageFull { free: 1, needed: 2 },
    ];
    assert!(refused.iter().all(|error| error.fate() == Fate::NotApplied));
    assert_eq!(
        quorum_not_met(Fate::Unknown).to_string(),
        "1 of 2 needed replicas answered; 2 homes are down"
    );
}
