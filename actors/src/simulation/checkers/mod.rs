//! What must be true of any run, whatever failed meanwhile.
//!
//! The checkers know what clients sent and were shown, and what replicas held: values, not
//! vectors. Of each write they know its *past*: the writes that the answers in its context showed,
//! and theirs, and so on. A write *covers* itself and its past. All that they accuse follows from
//! that and from the order of the lines, whatever the clocks of nodes said.
//!
//! | promise | kinds | rule |
//! | --- | --- | --- |
//! | no acknowledged write is lost | `lost` | a put that was acknowledged is covered by what the final reads show, or is excused: it is in the past of a delete that may have been applied |
//! | causality | `dominated` | no answer shows a version beside one that has seen it |
//! | | `resurrected` | no final read shows what an acknowledged put had seen |
//! | | `phantom`, `early`, `failed-visible`, `corrupt` | nothing is shown that nobody wrote to that key, or had not written yet, or was told to be surely not applied, or is damaged; no key is called deleted that nobody deleted |
//! | | `repeated` | no answer shows one write twice: retries under a write id are one write |
//! | strict quorums | `stale-strict` | where R + W > N homes, or PR + PW > N, a get covers every put that was acknowledged before it began, unless a delete excuses it, and shows nothing that an acknowledged delete had seen; each by its own quorum, and only where no node loses what it had acknowledged |
//! | deletes | `undeleted` | no final read shows what an acknowledged delete had seen |
//! | TTL | `expired-shown` | an acknowledged put is not shown once its TTL has passed by every clock |
//! | convergence | `diverged`, `slow-converge`, `hints-left` | from some round of dumps on, all homes of a key hold the same, and that comes in time; the final reads of a key agree; no node keeps anything for others |
//! | hints | `hint-dropped` | an acknowledged put that a node kept without being a home is covered by what the nodes hold at last |
//! | availability | `unavailable` | while a fault says so, the promised part of the requests is served; while a `service` mark says so, each request that has enough time |
//! | siblings | `siblings` | no answer shows more than the bound |
//! | quorums | `short-quorum`, `guessed` | an answer rests on as many nodes, and homes, as were asked for; that there is nothing is never said on the word of a node that is no home |
//! | errors, access | `opaque-error`, `auth` | every error has a name that users can look up; nothing is served to bad credentials |
//! | names | `dot-reused` | a dot names one value |
//!
//! **Buckets in which the last writer wins** keep one of several concurrent writes. There an
//! acknowledged put may be lost to a write that had not seen it, and the checkers cannot know to
//! which: `lost` and `stale-strict` accuse only where everything that is shown had been seen by the
//! lost put, or where nothing is shown and no delete and no TTL can have ended the key. An answer
//! with two values is `siblings`.
//!
//! **TTL.** A put may be gone from its invocation plus its TTL on, less the skew of clocks that the
//! meta line allows; from the beginning, if it allows any. Then it excuses what it had seen, as a
//! delete does.
//!
//! **Twins.** A put that is forwarded, or retried, may be made twice, under two dots; whoever has
//! seen one of them alone has not overwritten the other. So versions are told apart by their dots,
//! and a write that was tried twice in a history without dots is never called dominated.
//!
//! What this cannot see: a loss on a key that nobody reads at the end, and what becomes of writes
//! that were never acknowledged. A run that proves too little is *unknown*.

mod account;
mod answers;
mod bits;
mod endings;
mod freshness;
mod proof;
mod reach;
mod replicas;
mod service;
mod verdict;

pub use service::DESERVED;
pub use verdict::{Counts, Outcome, Verdict, Violation, ViolationKind};

use super::history::History;
use account::{Account, Names, key_text};

/// Judges a run by what its meta line promises.
pub fn judge(history: &History) -> Verdict {
    let names = Names::of(history);
    let mut verdict = Verdict::of(history);
    for key in 0..history.keys.len() {
        let Some(account) = Account::open(history, &names, key) else {
            let why = format!("{} was written too often to be judged", key_text(history, key));
            verdict.unknown.push(why);
            continue;
        };
        answers::check(&account, &mut verdict);
        freshness::check(&account, &mut verdict);
        endings::check(&account, &mut verdict);
    }
    replicas::check(history, &names, &mut verdict);
    service::check(history, &mut verdict);
    reach::check(history, &mut verdict);
    proof::check(history, &mut verdict);
    verdict
}
