//! What a shard does beside serving clients, and how much of that there may be.
//!
//! Whatever moves records between replicas takes from one budget. It grows while the shard's thread
//! runs on time, and shrinks when that is late: so long a client's message waits there, too.

use std::{cell::RefCell, time::Duration};

use actix::{Actor, Context, Handler, Message};
use henge_kernel::{budget::Budget, time::Instant};

use crate::actor_ref::{ActorRef, Told};

/// Bytes a second that one shard moves, at least and at most.
const RATE: (u64, u64) = (4 << 20, 8 << 20);
/// What a record costs beside its bytes: to read it, send it and merge it takes about as long as to
/// copy so many.
const A_RECORD: u64 = 1 << 10;
/// Clients wait if a tick is late by more than this, whatever holds the thread up: theirs is what
/// cannot wait.
const LATE: Duration = Duration::from_millis(2);
/// After this time more may be moved.
const TURN: Duration = Duration::from_millis(5);

/// How much room clients leave for background work, in sixteenths: all of it while they ask for
/// nothing, none once they take half of their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leisure(u64);

impl Leisure {
    /// Nobody asks for anything.
    pub const FULL: Self = Self(16);

    /// What so many requests in so many places leave.
    pub fn of(requests: u64, places: u64) -> Self {
        let taken = requests.saturating_mul(2).saturating_mul(Self::FULL.0) / places.max(1);
        Self(Self::FULL.0.saturating_sub(taken))
    }

    /// Whether there is none: what can wait does.
    pub fn is_over(self) -> bool {
        self.0 == 0
    }

    /// As much of `most` as is fitting, and nothing if there is no room at all.
    pub fn share_of(self, most: u64) -> u64 {
        if self.is_over() { 0 } else { (most / Self::FULL.0 * self.0).max(1) }
    }
}

/// The budget of one shard.
pub struct Background(RefCell<State>);

struct State {
    budget: Budget,
    ticked: Instant,
    /// Whether something was moved since then.
    has_moved: bool,
}

impl Background {
    /// A budget of which nothing was spent.
    pub fn new(now: Instant) -> Self {
        let budget = Budget::new(now, RATE.0, RATE.1);
        Self(RefCell::new(State { budget, ticked: now, has_moved: false }))
    }

    /// Whether a record of so many bytes may be moved now; it is paid for then.
    pub fn may_move(&self, now: Instant, bytes: u64) -> bool {
        self.pays(now, bytes.saturating_add(A_RECORD))
    }

    /// Whether so many bytes that were moved could be paid for now.
    pub fn pays(&self, now: Instant, bytes: u64) -> bool {
        let state = &mut *self.0.borrow_mut();
        state.has_moved = true;
        state.budget.take(now, bytes).is_ok()
    }

    /// Takes in how late this tick is, `every` after the last one if it is on time.
    pub fn tick(&self, now: Instant, every: Duration) {
        let State { budget, ticked, has_moved } = &mut *self.0.borrow_mut();
        let is_late = now.since(*ticked) > every + LATE;
        *ticked = now;
        if std::mem::take(has_moved) {
            budget.adapt(now, is_late);
        } else {
            budget.begin_anew(now);
        }
    }
}

/// To who had to wait: more may be moved.
#[derive(Message)]
#[rtype(result = "()")]
pub struct NextTurn;

/// Tells an actor when more may be moved.
pub fn tell_next_turn<A>(whom: &ActorRef<A>)
where
    A: Actor<Context = Context<A>> + Handler<Told<NextTurn>>,
{
    tell_after(TURN, whom, NextTurn);
}

/// Tells an actor something when so much time has passed.
pub fn tell_after<A, M>(pause: Duration, whom: &ActorRef<A>, message: M)
where
    A: Actor<Context = Context<A>> + Handler<Told<M>>,
    M: Message<Result = ()> + Send + 'static,
{
    let whom = whom.clone();
    actix_rt::spawn(async move {
        tokio::time::sleep(pause).await;
        whom.tell(message);
    });
}
