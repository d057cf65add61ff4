//! To [`Coordinator`](crate::coordinator::Coordinator).

use henge_kernel::{
    causality::{Seal, Value},
    coordination::{DeleteOptions, Failure, PutOptions, ReadOptions, RequestError},
    id::NodeId,
    key::{Key, PartitionId, Token},
    time::Instant,
};
use tokio::sync::oneshot;

use crate::{
    actor_ref::ActorRef,
    admission::Permit,
    anti_entropy_worker::AntiEntropyWorker,
    api::{Answer, Got, KeyRange, Written},
    coordinator::Coordinator,
    hinted_handoff_queue::HintedHandoffQueue,
    messages::{
        anti_entropy_worker::ExchangeAnswered,
        hinted_handoff_queue::{Handed, HandedOver},
        peer_link::SendReply,
        read_repairer::{RepairEnded, Repairing},
        reaper::FenceAnswered,
    },
    peer_link::PeerLink,
    read_repairer::ReadRepairer,
    reaper::Reaper,
    transport::LinkId,
    wire::{ForwardedWrite, ListedKeys, PeerReply},
};

/// How a client hears the outcome of its request. Dropped without one, the client hears that its
/// request was interrupted.
pub type Outcome<T> = oneshot::Sender<Result<Answer<T>, RequestError>>;

/// Read a key.
#[derive(Debug)]
pub struct BeginGet {
    /// Which.
    pub key: Key,
    /// How.
    pub options: ReadOptions,
    /// Who waits.
    pub outcome: Outcome<Got>,
    /// The request's place in the node; given back when it is answered.
    pub permit: Permit,
}

/// What a client wants written.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// A value.
    Put(Value, PutOptions),
    /// A tombstone.
    Delete(DeleteOptions),
}

impl Wanted {
    /// Refuses at the door what no bucket takes, and a context that `seal` does not fit; puts what
    /// is said of a value into its one order.
    pub fn check(&mut self, seal: Seal) -> Result<(), RequestError> {
        let context = match self {
            Self::Put(value, options) => {
                value.describe()?;
                &options.context
            }
            Self::Delete(options) => &options.context,
        };
        Ok(context.check(seal)?)
    }
}

/// Write a key.
#[derive(Debug)]
pub struct BeginPut {
    /// Which.
    pub key: Key,
    /// What.
    pub wanted: Wanted,
    /// Who waits.
    pub outcome: Outcome<Written>,
    /// As in [`BeginGet`].
    pub permit: Permit,
}

/// Write a key for another node, which is not a home of it.
#[derive(Debug)]
pub struct BeginForwarded {
    /// What.
    pub write: ForwardedWrite,
    /// Who waits.
    pub reply: ReplyTo,
    /// After this moment nobody waits.
    pub deadline: Instant,
    /// As in [`BeginGet`].
    pub permit: Permit,
}

/// List keys of one partition.
#[derive(Debug)]
pub struct BeginList {
    /// The partition.
    pub partition: PartitionId,
    /// Which keys of it.
    pub range: KeyRange,
    /// Who waits.
    pub outcome: oneshot::Sender<Result<ListedKeys, RequestError>>,
    /// As in [`BeginGet`].
    pub permit: Permit,
}

/// A replica answered, or surely will not.
#[derive(Debug)]
pub struct ReplicaAnswered {
    /// Of which request: a reply to an earlier one is dropped.
    pub lease: u64,
    /// Which replica.
    pub from: NodeId,
    /// What it said.
    pub reply: PeerReply,
}

/// The deadline that was armed under this lease has passed.
#[derive(Clone, Copy, Debug)]
pub struct DeadlinePassed {
    /// Of which request.
    pub lease: u64,
}

/// Who waits for one answer: a coordinator or a queue here, or a peer. Dropped unanswered, it says that the
/// answer was lost, so that nobody waits for an actor that fell.
#[derive(Debug)]
pub struct ReplyTo(Option<Whom>);

#[derive(Debug)]
enum Whom {
    Coordinator {
        coordinator: ActorRef<Coordinator>,
        lease: u64,
        from: NodeId,
    },
    Handoff {
        queue: ActorRef<HintedHandoffQueue>,
        handed: Handed,
    },
    Worker {
        worker: ActorRef<AntiEntropyWorker>,
        ticket: u64,
    },
    Reaper {
        reaper: ActorRef<Reaper>,
        ticket: u64,
    },
    Repairer {
        repairer: ActorRef<ReadRepairer>,
        repairing: Repairing,
    },
    /// With the request's place here, which is given back as the answer goes.
    Peer {
        peer: ActorRef<PeerLink>,
        link: LinkId,
        correlation: u64,
        about: Token,
        _place: Permit,
    },
}

impl ReplyTo {
    /// The request of `coordinator` under `lease`, asked of `from`.
    pub fn coordinator(coordinator: ActorRef<Coordinator>, lease: u64, from: NodeId) -> Self {
        Self(Some(Whom::Coordinator { coordinator, lease, from }))
    }

    /// A record that `queue` hands over.
    pub fn handoff(queue: ActorRef<HintedHandoffQueue>, handed: Handed) -> Self {
        Self(Some(Whom::Handoff { queue, handed }))
    }

    /// What a worker asked under `ticket`.
    pub fn worker(worker: ActorRef<AntiEntropyWorker>, ticket: u64) -> Self {
        Self(Some(Whom::Worker { worker, ticket }))
    }

    /// What a reaper asked under `ticket`.
    pub fn reaper(reaper: ActorRef<Reaper>, ticket: u64) -> Self {
        Self(Some(Whom::Reaper { reaper, ticket }))
    }

    /// A record that `repairer` sent.
    pub fn repairer(repairer: ActorRef<ReadRepairer>, repairing: Repairing) -> Self {
        Self(Some(Whom::Repairer { repairer, repairing }))
    }

    /// The request `correlation` that came from a peer on `link`, about a key.
    pub fn peer(
        peer: ActorRef<PeerLink>,
        (link, correlation): (LinkId, u64),
        about: Token,
        place: Permit,
    ) -> Self {
        Self(Some(Whom::Peer { peer, link, correlation, about, _place: place }))
    }

    /// Whether no client waits: it is about bringing replicas together.
    pub fn is_background(&self) -> bool {
        matches!(self.0, Some(Whom::Handoff { .. } | Whom::Worker { .. }))
    }

    /// Answers.
    pub fn answer(mut self, reply: PeerReply) {
        self.send(reply);
    }

    /// Says nothing: the time of whoever waited is over, and that is known there.
    pub fn forget(mut self) {
        self.0 = None;
    }

    fn send(&mut self, reply: PeerReply) {
        match self.0.take() {
            Some(Whom::Coordinator { coordinator, lease, from }) => {
                coordinator.tell(ReplicaAnswered { lease, from, reply });
            }
            Some(Whom::Handoff { queue, handed }) => queue.tell(HandedOver { handed, reply }),
            Some(Whom::Worker { worker, ticket }) => {
                worker.tell(ExchangeAnswered { ticket, reply });
            }
            Some(Whom::Reaper { reaper, ticket }) => reaper.tell(FenceAnswered { ticket, reply }),
            Some(Whom::Repairer { repairer, repairing }) => {
                repairer.tell(RepairEnded(repairing));
            }
            Some(Whom::Peer { peer, link, correlation, about, .. }) => {
                peer.tell(SendReply { link, correlation, about, reply });
            }
            None => {}
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        self.send(PeerReply::Failed(Failure::Lost));
    }
}
