//! The replicas of one request: who was asked, who answered, who is down. The homes come first,
//! then the fallbacks, both in the order in which they are asked.

use smallvec::SmallVec;

use super::{Failure, Home, Homes, quorum::Quorum};
use crate::id::NodeId;

/// How far one replica has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Unasked,
    Asked,
    Answered,
    Failed(Failure),
}

/// What a replica is to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Home,
    Fallback,
}

/// One replica, with what the machine notes about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seat<Note> {
    pub(super) node: NodeId,
    pub(super) role: Role,
    /// By the member view; a link that failed shows in `standing`.
    pub(super) down: bool,
    pub(super) standing: Standing,
    pub(super) note: Note,
}

impl<Note> Seat<Note> {
    /// Asked, and believed to be about to answer.
    pub(super) fn is_pending(&self) -> bool {
        self.standing == Standing::Asked && !self.down
    }

    pub(super) fn is_spare(&self) -> bool {
        self.standing == Standing::Unasked && !self.down
    }

    pub(super) fn is_home(&self) -> bool {
        self.role == Role::Home
    }

    /// By the member view, or by a failed link.
    pub(super) fn seems_down(&self) -> bool {
        self.down || matches!(self.standing, Standing::Failed(failure) if failure.shows_down())
    }
}

/// All replicas of one request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Roster<Note> {
    pub(super) seats: SmallVec<[Seat<Note>; 14]>,
}

impl<Note: Default> Roster<Note> {
    pub(super) fn new(homes: Homes, fallbacks: Homes) -> Self {
        let seat = |home: Home, role| Seat {
            node: home.node,
            role,
            down: home.down,
            standing: Standing::Unasked,
            note: Note::default(),
        };
        let mut seats: SmallVec<_> = homes.into_iter().map(|home| seat(home, Role::Home)).collect();
        seats.extend(fallbacks.into_iter().map(|home| seat(home, Role::Fallback)));
        Self { seats }
    }

    pub(super) fn seat(&mut self, node: NodeId) -> Option<&mut Seat<Note>> {
        self.seats.iter_mut().find(|seat| seat.node == node)
    }

    /// What this node is to the key, if it is one of the replicas.
    pub(super) fn role_of(&self, node: NodeId) -> Option<Role> {
        let seat = self.seats.iter().find(|seat| seat.node == node && !seat.down);
        seat.map(|seat| seat.role)
    }

    /// Whether a node is a home.
    pub(super) fn is_home(&self, node: NodeId) -> bool {
        self.seats.iter().any(|seat| seat.node == node && seat.is_home())
    }

    /// The seat of a node that was asked and has not answered yet: whatever else it says is late,
    /// repeated or not for us.
    pub(super) fn awaited(&mut self, node: NodeId) -> Option<&mut Seat<Note>> {
        self.seat(node)
            .filter(|seat| matches!(seat.standing, Standing::Asked | Standing::Failed(_)))
    }

    /// Notes a failure of a node that was asked; false if there is nothing to note.
    pub(super) fn fail(&mut self, node: NodeId, failure: Failure) -> bool {
        let seat = self.seat(node).filter(|seat| seat.standing == Standing::Asked);
        seat.map(|seat| seat.standing = Standing::Failed(failure)).is_some()
    }

    /// Notes that the member view has lost a node; false if it is none of the replicas.
    pub(super) fn lose(&mut self, node: NodeId) -> bool {
        self.seat(node).map(|seat| seat.down = true).is_some()
    }

    /// The next replica that could be asked.
    pub(super) fn spare(&mut self) -> Option<&mut Seat<Note>> {
        self.seats.iter_mut().find(|seat| seat.is_spare())
    }

    /// The next replica of a role that could be asked.
    pub(super) fn spare_of(&self, role: Role) -> Option<NodeId> {
        let seat = self.seats.iter().find(|seat| seat.role == role && seat.is_spare());
        seat.map(|seat| seat.node)
    }

    pub(super) fn has_spare(&self) -> bool {
        self.seats.iter().any(Seat::is_spare)
    }

    pub(super) fn pending(&self) -> usize {
        self.count(Seat::is_pending)
    }

    pub(super) fn is_pending(&self, node: NodeId) -> bool {
        self.seats.iter().any(|seat| seat.node == node && seat.is_pending())
    }

    /// Replicas of a role that may yet answer.
    pub(super) fn able(&self, role: Role) -> usize {
        self.count(|seat| seat.role == role && (seat.is_pending() || seat.is_spare()))
    }

    /// Whether the quorum can still be met by those that may yet answer.
    pub(super) fn can_meet(&self, quorum: &Quorum) -> bool {
        quorum.can_be_met(self.able(Role::Home), self.able(Role::Fallback))
    }

    /// Replicas of a role that are alive by the member view.
    pub(super) fn alive(&self, role: Role) -> usize {
        self.count(|seat| seat.role == role && !seat.down)
    }

    /// How many homes the key has.
    pub(super) fn homes(&self) -> usize {
        self.count(Seat::is_home)
    }

    /// Homes that are down as far as this node can tell, by the member view or by a failed link.
    pub(super) fn homes_down(&self) -> u8 {
        small(self.count(|seat| seat.is_home() && seat.seems_down()))
    }

    pub(super) fn count(&self, which: impl Fn(&Seat<Note>) -> bool) -> usize {
        self.seats.iter().filter(|seat| which(seat)).count()
    }
}

/// How far the request as a whole has come. Reply is not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The client waits.
    Open,
    /// The client has its answer, and work goes on.
    Replied,
    /// Nothing is left to do.
    Over,
}

/// A count of replicas as it is shown.
pub(super) fn small(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}
