//! How actors reach each other: an address that counts what waits behind it.

use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Message, Recipient};
use henge_kernel::time::Instant;

use crate::{environment::Clock, meter::Meter};

/// The address of an actor, with the meter of its mailbox. Cheap to clone, free to share between
/// threads; never clone the [`Addr`] inside, which allocates.
pub struct ActorRef<A: Actor> {
    shared: Arc<Shared<A>>,
}

struct Shared<A: Actor> {
    address: Addr<A>,
    meter: Arc<Meter>,
    clock: Arc<dyn Clock>,
}

impl<A: Actor> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<A: Actor> std::fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ActorRef({} of shard {})", self.shared.meter.actor, self.shared.meter.shard)
    }
}

/// A message on its way, with what the meter needs to know of it.
#[derive(Debug)]
pub struct Told<M> {
    message: M,
    /// When it was sent, for the sampled ones.
    sent_at: Option<Instant>,
}

impl<M> Message for Told<M> {
    type Result = ();
}

impl<A: Actor<Context = Context<A>>> ActorRef<A> {
    /// Wraps an address.
    pub fn new(address: Addr<A>, meter: Arc<Meter>, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { address, meter, clock }) }
    }

    /// Puts `message` into the actor's mailbox. Never waits, never fails: a message to an actor
    /// that has ended is dropped, with all that it carries.
    pub fn tell<M>(&self, message: M)
    where
        A: Handler<Told<M>>,
        M: Send + 'static,
    {
        let sampled = self.shared.meter.sent();
        let sent_at = sampled.then(|| self.shared.clock.now());
        self.shared.address.do_send(Told { message, sent_at });
    }

    /// Takes a message out of its wrapping, at the beginning of its handler. What the handler
    /// does is timed until the returned guard goes.
    pub fn open<M>(&self, told: Told<M>) -> (M, Handling) {
        let began = told.sent_at.map(|sent_at| {
            let now = self.shared.clock.now();
            self.shared.meter.waited(now.since(sent_at));
            (now, Arc::clone(&self.shared.clock))
        });
        let handling = Handling {
            meter: Arc::clone(&self.shared.meter),
            began,
            message: std::any::type_name::<M>(),
        };
        (told.message, handling)
    }

    /// The address for messages of one type that come from outside the node.
    pub fn recipient<M>(&self) -> Recipient<M>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        self.shared.address.clone().recipient()
    }

    /// The meter of this actor.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.shared.meter
    }

    /// Whether the actor still takes messages.
    pub fn is_connected(&self) -> bool {
        self.shared.address.connected()
    }
}

/// A message being handled; its end is counted even when the handler panics.
pub struct Handling {
    meter: Arc<Meter>,
    began: Option<(Instant, Arc<dyn Clock>)>,
    message: &'static str,
}

impl Drop for Handling {
    fn drop(&mut self) {
        let ran = self.began.take().map(|(began, clock)| clock.now().since(began));
        self.meter.handled(ran, std::thread::panicking(), self.message);
    }
}
