//! The timers of one member, in order.

use core::time::Duration;
use std::collections::BTreeMap;

use foca::{Timer, TimerToken};

use super::life::Life;
use crate::time::Instant;

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A timer of the protocol.
    Protocol(Timer<Life>),
    /// Call the members that are not up.
    CallOut,
    /// Take members that never answered as down.
    GiveUp,
}

/// Timers ordered by time, then by the order in which they were set.
///
/// Bounded without a limit of its own: whenever the protocol starts over it disowns all its timers
/// (by a new token), and these are dropped here; what then remains is its few periodic ones and one
/// suspicion for each probe period within the suspicion time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<(Instant, u64), Due>,
    set: u64,
    token: TimerToken,
}

impl Timers {
    /// Lets `due` come at `at`.
    pub(super) fn set(&mut self, at: Instant, due: Due) {
        if let Some(token) = token(&due)
            && token != self.token
        {
            self.token = token;
            self.disown();
        }
        self.due.insert((at, self.set), due);
        self.set += 1;
    }

    /// Drops all timers of the protocol.
    pub(super) fn disown(&mut self) {
        self.due.retain(|_, due| !matches!(due, Due::Protocol(_)));
    }

    /// The time of the first.
    pub(super) fn first(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the first one that has come.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Moves every timer by `span` into the future.
    pub(super) fn postpone(&mut self, span: Duration) {
        let due = core::mem::take(&mut self.due);
        self.due = due.into_iter().map(|((at, set), due)| ((at.after(span), set), due)).collect();
    }

    /// How many are set.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}

fn token(due: &Due) -> Option<TimerToken> {
    match due {
        Due::Protocol(
            Timer::ProbeRandomMember(token)
            | Timer::PeriodicAnnounce(token)
            | Timer::PeriodicAnnounceDown(token)
            | Timer::PeriodicGossip(token)
            | Timer::SendIndirectProbe { token, .. }
            | Timer::ChangeSuspectToDown { token, .. },
        ) => Some(*token),
        Due::Protocol(Timer::RemoveDown(_)) | Due::CallOut | Due::GiveUp => None,
    }
}
