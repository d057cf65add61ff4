//! Fallbacks in the place of homes that lack the record.

use super::{PutEffect, run::Run};
use crate::{
    coordination::roster::{Role, Seat, Standing},
    id::NodeId,
    time::Instant,
};

/// What a put notes about one replica.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Note {
    /// When it was last asked to store the record.
    pub(super) asked: Instant,
    /// Whether it has been silent since for as long as patience goes.
    silent: bool,
    /// Of a home: the fallback that was last asked to stand in for it.
    stand_in: Option<NodeId>,
    /// Of a home: whether a fallback holds the record with a mark for it.
    pub(super) hinted: bool,
    /// Of a fallback: the home that it was last asked to stand in for.
    pub(super) stands_in_for: Option<NodeId>,
}

impl Seat<Note> {
    /// Whether a home has the record, or a fallback has it for that home.
    pub(super) fn is_safe(&self) -> bool {
        !self.is_home() || self.standing == Standing::Answered || self.note.hinted
    }

    /// A home to which a freshly minted record is sent: also one that would not or could not mint.
    pub(super) fn takes_record(&self) -> bool {
        self.is_home() && self.standing != Standing::Answered && !self.seems_down()
    }

    fn is_absent(&self) -> bool {
        let failed = matches!(self.standing, Standing::Failed(_));
        !self.is_safe() && (failed || self.down || self.note.silent)
    }

    /// Asked, and not yet silent for too long.
    fn is_hopeful(&self) -> bool {
        self.is_pending() && !self.note.silent
    }
}

impl Run {
    /// The home that a fallback stands in for which mints: the first that seems down.
    pub(super) fn first_absent(&self) -> Option<NodeId> {
        let mut homes = self.roster.seats.iter().filter(|seat| seat.is_home());
        let first = homes.clone().next();
        homes.find(|home| home.seems_down()).or(first).map(|home| home.node)
    }

    /// Asks a fallback for each home that is down, has failed or is silent, and has none yet.
    pub(super) fn stand_in(&mut self, now: Instant, effects: &mut Vec<PutEffect>) {
        let Some(record) = self.minted.as_ref().map(|minted| minted.record.clone()) else { return };
        while let (Some(home), Some(node)) = (self.next_absent(), self.next_fallback()) {
            if let Some(home) = self.roster.seat(home) {
                home.note.stand_in = Some(node);
            }
            if let Some(seat) = self.roster.seat(node) {
                seat.standing = Standing::Asked;
                (seat.note.asked, seat.note.silent) = (now, false);
                seat.note.stands_in_for = Some(home);
            }
            let (stands_in_for, record) = (Some(home), record.clone());
            effects.push(PutEffect::StoreAt { node, stands_in_for, record });
        }
    }

    /// Notes who has been silent for too long.
    pub(super) fn lose_patience(&mut self, now: Instant) {
        for seat in self.roster.seats.iter_mut().filter(|seat| seat.is_pending()) {
            seat.note.silent |= now >= seat.note.asked.after(self.patience);
        }
    }

    /// When somebody will have been silent for too long whom a fallback could replace.
    pub(super) fn next_stand_in(&self) -> Option<Instant> {
        self.next_fallback()?;
        let homes = self.roster.seats.iter().filter(|seat| !seat.is_safe());
        let awaited = homes
            .filter_map(|home| if home.is_absent() { self.stand_in_of(home) } else { Some(home) });
        let awaited = awaited.filter(|seat| seat.is_hopeful());
        awaited.map(|seat| seat.note.asked.after(self.patience)).min()
    }

    fn next_absent(&self) -> Option<NodeId> {
        let mut absent = self.roster.seats.iter().filter(|seat| seat.is_absent());
        let home = absent.find(|home| self.stand_in_of(home).is_none_or(|seat| !seat.is_hopeful()));
        home.map(|home| home.node)
    }

    fn stand_in_of(&self, home: &Seat<Note>) -> Option<&Seat<Note>> {
        let node = home.note.stand_in?;
        self.roster.seats.iter().find(|seat| seat.node == node)
    }

    /// A fallback that has not been asked; if there is none, one that has the record already takes
    /// another mark.
    fn next_fallback(&self) -> Option<NodeId> {
        let takes_more = |seat: &&Seat<Note>| {
            !seat.is_home() && seat.standing == Standing::Answered && !seat.down
        };
        let again = || self.roster.seats.iter().find(takes_more).map(|seat| seat.node);
        self.roster.spare_of(Role::Fallback).or_else(again)
    }
}
