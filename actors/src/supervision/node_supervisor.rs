//! `NodeSupervisor`: the root of a node's tree.
//!
//! It hears of children that were given up and ends the node for them, in order: a node that runs
//! without one of its parts would lie about what it can do. It also makes the actors report.
//! It has no parent and keeps no state that a restart could lose.

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext as _, Context, Handler};
use tracing::error;

use crate::{
    commons::{Commons, Ending},
    coordinator::Coordinator,
    events::{ACTOR, LastTold},
    messages::node_supervisor::ChildDown,
};

/// The root of a node's supervision tree.
pub struct NodeSupervisor {
    commons: Arc<Commons>,
    interval: Duration,
    told: LastTold,
}

impl NodeSupervisor {
    /// A supervisor that makes every actor report each `interval`.
    pub fn new(commons: Arc<Commons>, interval: Duration) -> Self {
        Self { commons, interval, told: LastTold::default() }
    }
}

impl Actor for NodeSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(self.interval, |supervisor, _| {
            supervisor.commons.roster.tell(&mut supervisor.told);
        });
    }
}

impl Handler<ChildDown> for NodeSupervisor {
    type Result = ();

    fn handle(&mut self, down: ChildDown, _: &mut Self::Context) {
        // A coordinator serves one request at a time; the pool starts another in its place.
        if down.actor == Coordinator::NAME {
            return;
        }
        error!(
            target: ACTOR,
            actor = down.actor,
            shard = down.shard,
            reason = down.reason,
            "a child was given up: the node stops"
        );
        self.commons.end(Ending::Failed {
            reason: format!(
                "{} of shard {} fell too often: {}",
                down.actor, down.shard, down.reason
            ),
        });
    }
}
