//! How a request reaches the shard of its key.

use std::rc::Rc;

use actix::Handler;
use henge_kernel::coordination::RequestError;

use crate::{
    actor_ref::Told, coordinator::Coordinator, front::Front, handle::NodeHandle, shard::Shard,
};

/// Hands a message to the shard that is to begin the request.
pub trait Way {
    /// Carries `message` to `shard` of the node of `handle`.
    fn begin<M>(&self, handle: &NodeHandle, shard: u16, message: M) -> Result<(), RequestError>
    where
        M: Send + 'static,
        Front: Handler<Told<M>>,
        Coordinator: Handler<Told<M>>;
}

/// From any thread: through the shard's front.
pub struct ThroughFront;

impl Way for ThroughFront {
    fn begin<M>(&self, handle: &NodeHandle, shard: u16, message: M) -> Result<(), RequestError>
    where
        M: Send + 'static,
        Front: Handler<Told<M>>,
        Coordinator: Handler<Told<M>>,
    {
        handle.front(shard).map(|front| front.tell(message))
    }
}

/// From the thread of a shard: straight to a coordinator of its own.
impl Way for Rc<Shard> {
    fn begin<M>(&self, handle: &NodeHandle, shard: u16, message: M) -> Result<(), RequestError>
    where
        M: Send + 'static,
        Front: Handler<Told<M>>,
        Coordinator: Handler<Told<M>>,
    {
        if shard != self.index {
            return ThroughFront.begin(handle, shard, message);
        }
        self.lease().tell(message);
        Ok(())
    }
}
