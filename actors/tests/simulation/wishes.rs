//! What single requests want for themselves, and what everybody wants at once.

use henge_actors::simulation::{
    Options,
    checkers::ViolationKind,
    defects::{self, Defect},
    history::{Event, Invoke, MarkName},
    kept,
    options::Wishes,
    run,
};

use crate::short;

fn invocations(events: &[Event]) -> Vec<&Invoke> {
    let mut all = Vec::new();
    for event in events {
        if let Event::Invoke(invoke) = event {
            all.push(invoke);
        }
    }
    all
}

#[test]
fn some_seeds_have_quorums_of_their_own_some_have_values_that_expire_and_some_have_crowds() {
    let drawn: Vec<Options> = (0..100).map(Options::draw).collect();
    for has in [
        |options: &Options| options.wishes.quorum_percent > 0,
        |options: &Options| options.wishes.ttl_percent > 0,
        |options: &Options| options.crowd,
    ] {
        let count = drawn.iter().filter(|options| has(options)).count();
        assert!((2..90).contains(&count), "{count}");
    }
}

#[test]
fn runs_that_were_kept_before_have_none_of_it() {
    let oldest = &kept::all()[0].options;
    assert_eq!((oldest.wishes, oldest.crowd, oldest.planted), (Wishes::default(), false, None));
}

#[test]
fn requests_have_quorums_of_their_own_and_values_expire_where_the_options_say_so() {
    let mut options = short(1);
    options.faults.clear();
    options.crowd = false;
    options.damaged_max = 0;
    options.wishes = Wishes { quorum_percent: 50, ttl_percent: 50, ttl_ms_max: 300 };
    options.settle();
    let report = run(&options);
    assert!(!report.is_red(), "{:?} {:?}", report.problems, report.verdict.violations);
    let sent = invocations(&report.events);
    let wants = |has: fn(&Invoke) -> bool| sent.iter().filter(|invoke| has(invoke)).count();
    for has in [
        |invoke: &Invoke| invoke.pr.is_some(),
        |invoke: &Invoke| invoke.pw.is_some(),
        |invoke: &Invoke| invoke.ttl_ms.is_some(),
    ] {
        assert!(wants(has) > 10, "{}", wants(has));
    }
    options.wishes = Wishes::default();
    let plain = run(&options);
    let asks = |invoke: &&Invoke| invoke.pr.or(invoke.pw).is_some() || invoke.ttl_ms.is_some();
    assert!(!invocations(&plain.events).iter().any(asks));
}

#[test]
fn without_faults_every_request_has_to_be_served_and_is() {
    let mut options = short(2);
    options.faults.clear();
    options.burst_ms = 8_000;
    options.settle();
    let report = run(&options);
    let counts = &report.verdict.counts;
    assert!(counts.expected > 10 && counts.served == counts.expected, "{counts:?}");
    let whole =
        |event: &Event| matches!(event, Event::Mark(mark) if mark.name == MarkName::Service);
    assert_eq!(report.events.iter().filter(|event| whole(event)).count(), 1);
}

#[test]
fn a_crowd_makes_as_many_siblings_as_there_may_be_and_no_more() {
    let crowds = (0..).map(Options::draw).filter(|options| options.crowd);
    let mut options = crowds.into_iter().next().unwrap();
    options.faults.clear();
    options.settle();
    let bound = options.siblings_max().unwrap();
    let report = run(&options);
    let most = report.verdict.counts.siblings_max;
    assert!(!report.is_red() && (64..=bound).contains(&most), "{most} of {bound}: {report:?}");
    let report = defects::with(Defect::SiblingsUnbounded, || run(&options));
    let kinds = report.verdict.kinds();
    assert!(kinds.contains_key(&ViolationKind::Siblings), "{kinds:?}");
}
