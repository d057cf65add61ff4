//! What must be true of any run, whatever failed meanwhile.
//!
//! The judge knows only what clients sent and were shown: which values each write's context covered
//! (and what those covered, and so on: its *past*), and which values the replicas hold at the end. It
//! trusts no version, dot or clock of the store.
//!
//! | verdict | rule |
//! | --- | --- |
//! | `Lost` | an acknowledged put is there at the end, or in the past of something that is, or in the past of a delete that may have been applied |
//! | `Returned` | nothing that is there at the end is in the past of an acknowledged put or delete |
//! | `Overtaken` | no answer, at any time, shows a value together with one of its past |
//! | `Refused` | a write that was answered with "not applied" is never seen |
//! | `Unwritten` | nothing is seen that nobody wrote to that key |
//!
//! A put that a node forwards may be made twice, if the first that made it is not heard of in time.
//! Whoever had seen one of the twins alone has not overwritten the other, which comes back as a
//! sibling; the README says so. Twins are known by their two dots, and only they may return.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Fate, History, Kind, Write, WriteId};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    Lost(WriteId),
    Returned { write: WriteId, over: WriteId },
    Overtaken { write: WriteId, by: WriteId },
    Refused(WriteId),
    Unwritten { key: String, write: WriteId },
}

/// The live values of each key at the end.
pub type Last = BTreeMap<String, BTreeSet<WriteId>>;

/// Every promise that a run broke.
pub fn judge(history: &History, last: &Last) -> Vec<Broken> {
    let mut broken = Vec::new();
    let shown = history.answers.iter().map(|answer| (&answer.key, answer.shown.clone()));
    let at_the_end = last.iter().map(|(key, live)| (key, live.iter().copied().collect()));
    for (key, values) in shown.chain(at_the_end) {
        broken.extend(seen(history, key, &values));
        broken.extend(overtaken(history, &values));
    }
    let live: BTreeSet<WriteId> = last.values().flatten().copied().collect();
    broken.extend(returned(history, &live));
    broken.extend(lost(history, &live));
    broken.retain(|one| match one {
        Broken::Returned { write, .. } | Broken::Overtaken { write, .. } => {
            !history.is_twin(*write)
        }
        _ => true,
    });
    broken
}

/// The writes that some writes have overwritten, themselves included only if another of them has.
fn past(history: &History, of: impl IntoIterator<Item = WriteId>) -> BTreeSet<WriteId> {
    let covers = |id: &WriteId| history.writes.get(id).into_iter().flat_map(|one| &one.covers);
    let mut ahead: Vec<WriteId> =
        of.into_iter().collect::<Vec<_>>().iter().flat_map(covers).copied().collect();
    let mut past = BTreeSet::new();
    while let Some(id) = ahead.pop() {
        if past.insert(id) {
            ahead.extend(covers(&id));
        }
    }
    past
}

fn seen(history: &History, key: &str, values: &[WriteId]) -> Vec<Broken> {
    let judge = |write: &WriteId| match history.writes.get(write) {
        Some(Write { fate: Fate::NotApplied, .. }) => Some(Broken::Refused(*write)),
        Some(Write { kind: Kind::Put, key: own, .. }) if own == key => None,
        _ => Some(Broken::Unwritten { key: key.to_owned(), write: *write }),
    };
    values.iter().filter_map(judge).collect()
}

fn overtaken(history: &History, values: &[WriteId]) -> Vec<Broken> {
    // One value alone is overtaken by nothing.
    let judged = if values.len() > 1 { values } else { &[] };
    let overtaken = |by: &WriteId| {
        let (past, by) = (past(history, [*by]), *by);
        let of_past = values.iter().filter(move |write| past.contains(write));
        of_past.map(move |write| Broken::Overtaken { write: *write, by })
    };
    judged.iter().flat_map(overtaken).collect()
}

fn returned(history: &History, live: &BTreeSet<WriteId>) -> Vec<Broken> {
    let acknowledged = history.writes.iter().filter(|(_, one)| one.fate == Fate::Acknowledged);
    let mut broken = Vec::new();
    for (over, _) in acknowledged {
        let past = past(history, [*over]);
        let returned = past.intersection(live);
        broken.extend(returned.map(|write| Broken::Returned { write: *write, over: *over }));
    }
    broken
}

fn lost(history: &History, live: &BTreeSet<WriteId>) -> Vec<Broken> {
    let may_be = |(id, one): (&WriteId, &Write)| {
        (one.kind == Kind::Delete && one.fate != Fate::NotApplied).then_some(*id)
    };
    let deletes: Vec<_> = history.writes.iter().filter_map(may_be).collect();
    let overwritten = past(history, live.iter().copied().chain(deletes));
    let acknowledged =
        |(_, one): &(&WriteId, &Write)| (one.kind, one.fate) == (Kind::Put, Fate::Acknowledged);
    let kept = |id: &WriteId| live.contains(id) || overwritten.contains(id);
    let puts = history.writes.iter().filter(acknowledged).map(|(id, _)| *id);
    puts.filter(|id| !kept(id)).map(Broken::Lost).collect()
}

mod tests {
    use super::{Broken, Last, judge};
    use crate::history::{Answer, Fate, History, Kind, Write, WriteId};

    /// Writes 1, 2, … of one key: kind, fate, and what each covers.
    fn history(writes: &[(Kind, Fate, &[u64])]) -> History {
        let mut history = History::default();
        for (number, (kind, fate, covers)) in (1..).zip(writes) {
            let covers = covers.iter().copied().map(WriteId).collect();
            let write = Write { key: "k".to_owned(), kind: *kind, fate: *fate, covers };
            history.writes.insert(WriteId(number), write);
        }
        history
    }

    fn last(live: &[u64]) -> Last {
        Last::from([("k".to_owned(), live.iter().copied().map(WriteId).collect())])
    }

    const PUT: (Kind, Fate) = (Kind::Put, Fate::Acknowledged);
    const MAYBE: (Kind, Fate) = (Kind::Put, Fate::Unknown);
    const DELETE: (Kind, Fate) = (Kind::Delete, Fate::Acknowledged);

    #[test]
    fn a_chain_of_overwrites_is_whole_with_its_end_alone() {
        let history =
            history(&[(PUT.0, PUT.1, &[]), (MAYBE.0, MAYBE.1, &[1]), (PUT.0, PUT.1, &[2])]);
        assert_eq!(judge(&history, &last(&[3])), []);
        let two = Broken::Returned { write: WriteId(1), over: WriteId(3) };
        assert!(judge(&history, &last(&[1, 3])).contains(&two));
    }

    #[test]
    fn an_acknowledged_put_is_lost_unless_what_overwrote_it_is_there() {
        let history = history(&[(PUT.0, PUT.1, &[]), (MAYBE.0, MAYBE.1, &[1])]);
        assert_eq!(judge(&history, &last(&[2])), []);
        assert_eq!(judge(&history, &last(&[1])), [], "an unknown put may have come to nothing");
        assert_eq!(judge(&history, &last(&[])), [Broken::Lost(WriteId(1))]);
    }

    #[test]
    fn a_deleted_value_stays_deleted_and_one_beside_it_stays() {
        let history =
            history(&[(PUT.0, PUT.1, &[]), (PUT.0, PUT.1, &[]), (DELETE.0, DELETE.1, &[1])]);
        assert_eq!(judge(&history, &last(&[2])), []);
        let returned = Broken::Returned { write: WriteId(1), over: WriteId(3) };
        assert_eq!(judge(&history, &last(&[1, 2])), [returned]);
        assert_eq!(judge(&history, &last(&[])), [Broken::Lost(WriteId(2))]);
    }

    #[test]
    fn only_a_twin_may_come_back() {
        let mut history = history(&[(PUT.0, PUT.1, &[]), (PUT.0, PUT.1, &[1])]);
        history.note(vec![(WriteId(1), "a.1.1".to_owned())]);
        let returned = Broken::Returned { write: WriteId(1), over: WriteId(2) };
        assert!(judge(&history, &last(&[1, 2])).contains(&returned));
        history.note(vec![(WriteId(1), "b.1.1".to_owned())]);
        assert_eq!(judge(&history, &last(&[1, 2])), []);
    }

    #[test]
    fn no_answer_shows_a_value_beside_what_it_overwrote_or_what_was_refused() {
        let mut history = history(&[
            (PUT.0, PUT.1, &[]),
            (MAYBE.0, MAYBE.1, &[1]),
            (Kind::Put, Fate::NotApplied, &[]),
        ]);
        let shown = [1, 2, 3, 9].map(WriteId).to_vec();
        history.answers.push(Answer { key: "k".to_owned(), shown });
        let expected = [
            Broken::Refused(WriteId(3)),
            Broken::Unwritten { key: "k".to_owned(), write: WriteId(9) },
            Broken::Overtaken { write: WriteId(1), by: WriteId(2) },
        ];
        assert_eq!(judge(&history, &last(&[2])), expected);
    }
}
