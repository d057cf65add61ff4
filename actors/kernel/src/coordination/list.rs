//! Listing the keys of one partition: any one home will do, so they are asked one after another.

use core::time::Duration;

use super::{
    Failure, Homes,
    outcome::{Fate, RequestError},
    roster::small,
};
use crate::{id::NodeId, machine::Machine, time::Instant};

/// What a listing starts with.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRequest {
    /// The homes of the partition, best first.
    pub homes: Homes,
    /// When the client's time is over.
    pub deadline: Instant,
    /// How long one home may be silent before the next is asked:
    /// [`super::hedge::late_delay`].
    pub patience: Duration,
}

/// What happened to a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListEvent {
    /// A home answered.
    Listed(NodeId),
    /// A home did not answer, and will not.
    Failed {
        /// The home.
        node: NodeId,
        /// Why.
        failure: Failure,
    },
}

/// What a listing wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEffect {
    /// Ask a home.
    ListAt(NodeId),
    /// Answer the client, with the keys that came last if all went well. Comes once.
    Reply(Result<(), RequestError>),
    /// The machine is idle again. Always last.
    Finish,
}

/// The machine of one listing at a time; idle until [`ListCoordination::start`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListCoordination {
    run: Option<Run>,
}

#[derive(Clone, Debug, PartialEq)]
struct Run {
    homes: Homes,
    /// How many of the homes have been asked.
    asked: usize,
    /// How many of them have failed.
    failed: usize,
    started: Instant,
    next: Instant,
    deadline: Instant,
    patience: Duration,
}

impl ListCoordination {
    /// Takes a request. What may be left of an earlier one is forgotten.
    pub fn start(&mut self, now: Instant, request: ListRequest, effects: &mut Vec<ListEffect>) {
        let ListRequest { mut homes, deadline, patience } = request;
        // Homes known as down are asked too, but last: the view may be behind.
        homes.sort_by_key(|home| home.down);
        let run = Run { homes, asked: 0, failed: 0, started: now, next: now, deadline, patience };
        self.run = Some(run);
        self.ask_next(now, effects);
    }

    fn ask_next(&mut self, now: Instant, effects: &mut Vec<ListEffect>) {
        let Some(run) = &mut self.run else { return };
        if let Some(home) = run.homes.get(run.asked) {
            effects.push(ListEffect::ListAt(home.node));
            run.asked += 1;
            run.next = now.after(run.patience);
        } else if run.failed == run.homes.len() {
            let homes_down = small(run.homes.iter().filter(|home| home.down).count());
            let fate = Fate::NotApplied;
            let error = RequestError::QuorumNotMet { needed: 1, got: 0, homes_down, fate };
            self.end(Err(error), effects);
        } else {
            run.next = run.deadline;
        }
    }

    fn end(&mut self, answer: Result<(), RequestError>, effects: &mut Vec<ListEffect>) {
        self.run = None;
        effects.push(ListEffect::Reply(answer));
        effects.push(ListEffect::Finish);
    }

    /// The place of a home that was asked.
    fn was_asked(&self, node: NodeId) -> bool {
        let asked = self.run.iter().flat_map(|run| &run.homes[..run.asked]);
        asked.into_iter().any(|home| home.node == node)
    }
}

impl Machine for ListCoordination {
    type Event = ListEvent;
    type Effect = ListEffect;

    fn handle(&mut self, now: Instant, event: ListEvent, effects: &mut Vec<ListEffect>) {
        match event {
            ListEvent::Listed(node) if self.was_asked(node) => self.end(Ok(()), effects),
            ListEvent::Failed { node, .. } if self.was_asked(node) => {
                if let Some(run) = &mut self.run {
                    run.failed += 1;
                }
                self.ask_next(now, effects);
            }
            ListEvent::Listed(_) | ListEvent::Failed { .. } => {}
        }
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<ListEffect>) {
        let Some(run) = &self.run else { return };
        if now >= run.deadline {
            let after = run.deadline.since(run.started);
            self.end(Err(RequestError::TimedOut { needed: 1, got: 0, after }), effects);
        } else if now >= run.next {
            self.ask_next(now, effects);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.run.as_ref().map(|run| run.next.min(run.deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::Home;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn started(down: [bool; 2]) -> (ListCoordination, Vec<ListEffect>) {
        let homes = [A, B].into_iter().zip(down).map(|(node, down)| Home { node, down }).collect();
        let (deadline, patience) = (Instant::from_micros(2_000_000), Duration::from_millis(200));
        let (mut list, mut effects) = (ListCoordination::default(), Vec::new());
        let request = ListRequest { homes, deadline, patience };
        list.start(Instant::from_micros(0), request, &mut effects);
        (list, effects)
    }

    fn then(list: &mut ListCoordination, at_ms: u64, event: Option<ListEvent>) -> Vec<ListEffect> {
        let (now, mut effects) = (Instant::from_micros(at_ms * 1000), Vec::new());
        match event {
            Some(event) => list.handle(now, event, &mut effects),
            None => list.expire(now, &mut effects),
        }
        effects
    }

    #[test]
    fn one_home_will_do() {
        let (mut list, asked) = started([false, false]);
        assert_eq!(asked, [ListEffect::ListAt(A)]);
        let done = then(&mut list, 1, Some(ListEvent::Listed(A)));
        assert_eq!(done, [ListEffect::Reply(Ok(())), ListEffect::Finish]);
        assert_eq!(list.deadline(), None);
    }

    #[test]
    fn a_home_that_is_down_is_asked_last() {
        assert_eq!(started([true, false]).1, [ListEffect::ListAt(B)]);
    }

    #[test]
    fn the_next_home_is_asked_at_a_failure_and_after_silence() {
        let failed = |node| Some(ListEvent::Failed { node, failure: Failure::Lost });
        let (mut list, _) = started([false, false]);
        assert_eq!(then(&mut list, 1, failed(A)), [ListEffect::ListAt(B)]);
        let (mut list, _) = started([false, false]);
        assert_eq!(then(&mut list, 199, None), []);
        assert_eq!(then(&mut list, 200, None), [ListEffect::ListAt(B)]);
        let done = then(&mut list, 300, Some(ListEvent::Listed(A)));
        assert_eq!(done[0], ListEffect::Reply(Ok(())), "a late answer is an answer");
    }

    #[test]
    fn without_a_home_there_is_no_list() {
        let failed = |node| Some(ListEvent::Failed { node, failure: Failure::Unreachable });
        let (mut list, _) = started([false, false]);
        then(&mut list, 1, failed(A));
        assert!(matches!(
            then(&mut list, 2, failed(B))[..],
            [
                ListEffect::Reply(Err(RequestError::QuorumNotMet { needed: 1, .. })),
                ListEffect::Finish
            ]
        ));
        let (mut list, _) = started([false, false]);
        assert!(matches!(
            then(&mut list, 2000, None)[..],
            [ListEffect::Reply(Err(RequestError::TimedOut { .. })), ListEffect::Finish]
        ));
    }
}
