//! An actor under supervision: it survives its own panics with address and mailbox.
//!
//! actix's own `Supervisor` loses the actor when a handler panics, and spins when `started`
//! stops. A [`Child`] catches the unwinding around the actor's poll, waits as its [`Backoff`]
//! says, and restarts it: same address, same queue. Only the message that panicked is lost.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
};

use actix::{Actor, AsyncContext as _, Context, Supervised, dev::ContextFut};
use tokio::time::{Sleep, sleep};
use tracing::{error, info, warn};

use super::{Backoff, BackoffPolicy, NodeSupervisor};
use crate::{
    actor_ref::ActorRef, environment::Clock, events::ACTOR, messages::node_supervisor::ChildDown,
    meter::Meter,
};

/// What a child needs to know of the house.
#[derive(Clone)]
pub struct Guardian {
    /// Measures the waits.
    pub clock: Arc<dyn Clock>,
    /// When to restart, when to give up.
    pub policy: BackoffPolicy,
    /// Seed of the jitter.
    pub seed: u64,
    /// Who hears that a child was given up.
    pub parent: ActorRef<NodeSupervisor>,
}

/// The future that is a supervised actor.
pub struct Child<A: Actor<Context = Context<A>> + Supervised> {
    actor: Pin<Box<ContextFut<A, Context<A>>>>,
    pause: Option<Pin<Box<Sleep>>>,
    backoff: Backoff,
    guardian: Guardian,
    meter: Arc<Meter>,
}

impl<A: Actor<Context = Context<A>> + Supervised> Child<A> {
    /// Starts the actor that `make` builds, on the current thread's `LocalSet`.
    ///
    /// `make` is given the actor's own reference, which the actor keeps: an actor whose only
    /// addresses are in flight can stop with messages unread. The mailbox is unbounded: work is
    /// bounded where it enters the node, since an actix mailbox's capacity holds nobody back.
    pub fn start(
        guardian: Guardian,
        meter: Arc<Meter>,
        make: impl FnOnce(ActorRef<A>) -> A,
    ) -> ActorRef<A> {
        let mut context = Context::<A>::new();
        context.set_mailbox_capacity(0);
        let reference =
            ActorRef::new(context.address(), Arc::clone(&meter), Arc::clone(&guardian.clock));
        let actor = context.into_future(make(reference.clone()));
        let backoff = Backoff::new(guardian.policy, guardian.seed);
        info!(target: ACTOR, actor = meter.actor, shard = meter.shard, "actor_started");
        actix_rt::spawn(Self { actor: Box::pin(actor), pause: None, backoff, guardian, meter });
        reference
    }

    /// After a panic: waits, or tells the parent and ends.
    fn fallen(&mut self, reason: &str) -> Poll<()> {
        let (actor, shard) = (self.meter.actor, self.meter.shard);
        let Some(wait) = self.backoff.fell(self.guardian.clock.now()) else {
            error!(target: ACTOR, actor, shard, reason, "actor_given_up");
            self.guardian.parent.tell(ChildDown { actor, shard, reason: reason.to_owned() });
            return Poll::Ready(());
        };
        self.meter.restarted();
        warn!(target: ACTOR, actor, shard, reason, wait_ms = wait.as_millis(), "actor_restarted");
        self.pause = Some(Box::pin(sleep(wait)));
        Poll::Pending
    }
}

impl<A: Actor<Context = Context<A>> + Supervised> Future for Child<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
                // The rebuilding itself may fail: a disk that is still gone is one more fall.
                match catch_unwind(AssertUnwindSafe(|| self.actor.restart())) {
                    Ok(true) => {}
                    Ok(false) => return Poll::Ready(()),
                    Err(panic) => {
                        if self.fallen(&text_of(panic.as_ref())).is_ready() {
                            return Poll::Ready(());
                        }
                        continue;
                    }
                }
            }
            match catch_unwind(AssertUnwindSafe(|| self.actor.as_mut().poll(cx))) {
                Ok(progress) => return progress,
                Err(panic) => {
                    if self.fallen(&text_of(panic.as_ref())).is_ready() {
                        return Poll::Ready(());
                    }
                }
            }
        }
    }
}

/// What a panic said, if it said it in words.
fn text_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}
