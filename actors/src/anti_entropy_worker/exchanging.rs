//! One exchange with one shard of a peer: what its machine wants is asked of the peer and then of
//! the shard itself, and comes back to it as one event.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use henge_kernel::{
    anti_entropy::{
        Exchange, TreeId,
        exchange::{ExchangeEffect, ExchangeEvent, Report},
        schedule::ScheduleEvent,
    },
    coordination::Failure,
    key::{Key, PartitionId},
    time::Instant,
};
use tracing::{info, warn};

use super::{AntiEntropyWorker, mending::Mend};
use crate::{
    events::ANTI_ENTROPY,
    failpoint::{self, Site},
    links::PeerShard,
    messages::{coordinator::ReplyTo, peer_link::SendRequest},
    replica_trees::ExamineTrees,
    wire::{PeerReply, PeerRequest, TreeAnswer, TreeQuestion},
};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much longer until the answer is taken as lost: whoever is late may say nothing at all.
const GRACE: Duration = Duration::from_secs(1);

/// The exchanges with one shard of a peer, one at a time.
pub(super) struct Driver {
    pub(super) exchange: Exchange,
    /// How many have begun: answers to an earlier one are dropped.
    run: u64,
    /// The latest entry of the ledger that was known when it began.
    pub(super) number: u64,
    /// Keys to be mended, with their batches.
    pub(super) keys: VecDeque<(u64, Key)>,
    pub(super) batches: BTreeMap<u64, Batch>,
}

/// Keys that the machine wants mended together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) left: usize,
    pub(super) bytes: u64,
}

/// What was asked, and of which exchange.
pub(super) struct Waiting {
    pub(super) peer: PeerShard,
    run: u64,
    deadline: Instant,
    asked: Asked,
}

pub(super) enum Asked {
    /// The own roots, with which an exchange begins.
    Roots(Vec<TreeId>),
    /// The peer to compare them with its own.
    Compare,
    /// The peer; the shard itself is asked next.
    Peer(TreeQuestion),
    /// The shard itself; that is what the peer said.
    Own(TreeAnswer),
    /// One step of mending a key.
    Mend(Mend),
}

impl AntiEntropyWorker {
    /// Begins an exchange; an earlier one with the same shard is over.
    pub(super) fn start_exchange(&mut self, peer: PeerShard, first: &[PartitionId]) {
        let trees = self.shared_trees(peer, first);
        let driver = self.drivers.entry(peer).or_insert_with(|| Driver {
            exchange: Exchange::new(peer.0),
            run: 0,
            number: 0,
            keys: VecDeque::new(),
            batches: BTreeMap::new(),
        });
        driver.run += 1;
        driver.number = self.ledger.number;
        driver.forget();
        if self.leisure.is_over() {
            self.feed(peer, ExchangeEvent::Paused);
        }
        self.ask_own(peer, TreeQuestion::Roots(trees.clone()), Asked::Roots(trees));
    }

    /// A place for an answer, and who is to be told it.
    pub(super) fn ticket(&mut self, peer: PeerShard, asked: Asked) -> (Instant, ReplyTo) {
        self.tickets += 1;
        let deadline = self.now().after(PATIENCE);
        let run = self.drivers.get(&peer).map_or(0, |driver| driver.run);
        self.track(&asked, true);
        self.waiting.insert(self.tickets, Waiting { peer, run, deadline, asked });
        (deadline, ReplyTo::worker(self.me.clone(), self.tickets))
    }

    fn ask_own(&mut self, peer: PeerShard, question: TreeQuestion, asked: Asked) {
        let (deadline, reply) = self.ticket(peer, asked);
        self.shard.storage().tell(ExamineTrees { question, deadline, reply });
    }

    pub(super) fn ask_peer(&mut self, peer: PeerShard, request: PeerRequest, asked: Asked) {
        let (deadline, reply) = self.ticket(peer, asked);
        match self.shard.links.peer(peer) {
            Some(link) => link.tell(SendRequest { request, deadline, reply: Some(reply) }),
            None => reply.answer(PeerReply::Failed(Failure::Unreachable)),
        }
    }

    fn ask_both(&mut self, peer: PeerShard, question: TreeQuestion) {
        self.sync.questions += 1;
        self.ask_peer(peer, PeerRequest::Trees(question.clone()), Asked::Peer(question));
    }

    pub(super) fn perform(&mut self, peer: PeerShard, effect: ExchangeEffect) {
        match effect {
            ExchangeEffect::CompareRoots(roots) => {
                let question = PeerRequest::Trees(TreeQuestion::Compare(roots));
                self.ask_peer(peer, question, Asked::Compare);
            }
            ExchangeEffect::Compared(differing) => {
                if !differing.is_empty() {
                    failpoint::pass(Site::BeforeExchange);
                    info!(target: ANTI_ENTROPY, node = self.shard.commons.name(), peer = self.name_of(peer), trees = differing.len(), "diverged");
                }
                self.plan(peer.1, ScheduleEvent::Compared { peer: peer.0, differing });
            }
            ExchangeEffect::GetBranches { tree, salt } => {
                self.ask_both(peer, TreeQuestion::Branches { tree, salt });
            }
            ExchangeEffect::GetLeaves { tree, branches, salt } => {
                self.ask_both(peer, TreeQuestion::Leaves { tree, branches, salt });
            }
            ExchangeEffect::GetKeys { tree, leaves, after } => {
                self.ask_both(peer, TreeQuestion::Keys { tree, leaves, after });
            }
            ExchangeEffect::LookAgain(keys) => self.ask_both(peer, TreeQuestion::Digests(keys)),
            ExchangeEffect::Swap { batch, keys } => {
                if let Some(driver) = self.drivers.get_mut(&peer) {
                    driver.batches.insert(batch, Batch { left: keys.len(), bytes: 0 });
                    driver.keys.extend(keys.into_iter().map(|key| (batch, key)));
                }
                self.mend_more();
            }
            ExchangeEffect::Finish(report) => self.finished(peer, report),
        }
    }

    fn finished(&mut self, peer: PeerShard, report: Report) {
        if let Some(driver) = self.drivers.get_mut(&peer) {
            driver.forget();
        }
        let Report { complete, trees, keys, bytes, .. } = report;
        if keys > 0 {
            info!(target: ANTI_ENTROPY, node = self.shard.commons.name(), peer = self.name_of(peer), complete, trees, keys, bytes, "exchanged");
        }
        self.sync.exchanges += u64::from(complete);
        self.plan(peer.1, ScheduleEvent::Finished { peer: peer.0, report });
        self.publish();
    }

    fn name_of(&self, peer: PeerShard) -> String {
        self.shard.commons.cluster.load().name_of(peer.0)
    }

    /// What was asked is answered. Mending counts its keys whatever exchange they belong to.
    pub(super) fn on_answer(&mut self, waiting: Waiting, reply: PeerReply) {
        let Waiting { peer, run, asked, .. } = waiting;
        self.track(&asked, false);
        if self.drivers.get(&peer).is_none_or(|driver| driver.run != run) {
            return self.mend_more();
        }
        match (asked, reply) {
            (Asked::Roots(trees), reply) => self.on_own_roots(peer, trees, reply),
            (Asked::Mend(mend), reply) => self.on_mend_answer(peer, mend, reply),
            (Asked::Compare, PeerReply::Trees(TreeAnswer::Differing(differing))) => {
                self.feed(peer, ExchangeEvent::Roots { differing });
            }
            (Asked::Peer(question), PeerReply::Trees(answer)) => {
                self.ask_own(peer, question, Asked::Own(answer));
            }
            (Asked::Own(theirs), PeerReply::Trees(own)) => {
                self.feed(peer, event_of(own, theirs));
            }
            _ => self.feed(peer, ExchangeEvent::Failed),
        }
    }

    fn on_own_roots(&mut self, peer: PeerShard, trees: Vec<TreeId>, reply: PeerReply) {
        let PeerReply::Trees(TreeAnswer::Roots(roots)) = reply else {
            // The trees are not built yet, or the shard fell: later.
            let report = Report::default();
            return self.plan(peer.1, ScheduleEvent::Finished { peer: peer.0, report });
        };
        let partitions = self.shard.commons.cluster.load().ring.partitions();
        let salt = self.shard.commons.environment.entropy.draw("exchange");
        let roots = trees.into_iter().zip(roots).collect();
        self.step(peer, |exchange, now, effects| {
            exchange.start(now, (partitions, salt), roots, effects);
        });
    }

    /// Takes questions as lost whose answers nobody sends any more.
    pub(super) fn give_up(&mut self, now: Instant) {
        let late = |waiting: &Waiting| now > waiting.deadline.after(GRACE);
        let late: Vec<_> = self.waiting.extract_if(.., |_, waiting| late(waiting)).collect();
        for (_, waiting) in late {
            warn!(target: ANTI_ENTROPY, node = self.shard.commons.name(), peer = self.name_of(waiting.peer), "no answer");
            self.on_answer(waiting, PeerReply::Failed(Failure::Lost));
        }
    }
}

impl Driver {
    fn forget(&mut self) {
        self.keys.clear();
        self.batches.clear();
    }
}

/// What the machine learns from two answers; they do not fit if the peer answered something else.
fn event_of(own: TreeAnswer, peer: TreeAnswer) -> ExchangeEvent {
    match (own, peer) {
        (TreeAnswer::Branches(own), TreeAnswer::Branches(peer)) => {
            ExchangeEvent::Branches { own, peer }
        }
        (TreeAnswer::Leaves(own), TreeAnswer::Leaves(peer)) => ExchangeEvent::Leaves { own, peer },
        (TreeAnswer::Keys(own), TreeAnswer::Keys(peer)) => ExchangeEvent::Keys { own, peer },
        (TreeAnswer::Digests(own), TreeAnswer::Digests(peer)) => {
            ExchangeEvent::Looked { own, peer }
        }
        _ => ExchangeEvent::Failed,
    }
}
