//! `NodeSupervisor`: the root of a node's tree.
//!
//! It hears of children that were given up and ends the node for them, in order: a node that runs
//! without one of its parts would lie about what it can do. It also makes the actors report.
//! It has no parent, so its own fall ends the node too; it keeps nothing that could be lost.

use std::sync::Arc;

use actix::{Actor, AsyncContext as _, Context, Handler};
use tracing::error;

use crate::{
    actor_ref::{ActorRef, Told},
    client_link::ClientLink,
    commons::{Commons, Ending},
    coordinator::Coordinator,
    events::ACTOR,
    messages::node_supervisor::ChildDown,
    meter::LastTold,
};

/// The actor.
pub struct NodeSupervisor {
    pub(crate) me: ActorRef<Self>,
    commons: Arc<Commons>,
    told: LastTold,
}

impl NodeSupervisor {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "NodeSupervisor";

    /// Starts the supervisor of a node, on the current thread's `LocalSet`.
    pub fn start(commons: Arc<Commons>) -> ActorRef<Self> {
        let context = Context::new();
        let meter = commons.roster.enlist(commons.name(), 0, Self::NAME, String::new());
        let clock = Arc::clone(&commons.environment.clock);
        let me = ActorRef::new(context.address(), meter, clock);
        context.run(Self { me: me.clone(), commons, told: LastTold::default() });
        me
    }
}

impl Drop for NodeSupervisor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.commons.end(Ending { reason: format!("{} fell", Self::NAME) });
        }
    }
}

impl Actor for NodeSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let interval = self.commons.settings.telemetry.interval;
        context.run_interval(interval, |supervisor, _| {
            supervisor.commons.roster.tell(&mut supervisor.told);
        });
    }
}

impl Handler<Told<ChildDown>> for NodeSupervisor {
    type Result = ();

    fn handle(&mut self, told: Told<ChildDown>, _: &mut Self::Context) {
        let (down, _handling) = self.me.open(told);
        // They serve one request or one client; another is started for the next.
        if [Coordinator::NAME, ClientLink::NAME].contains(&down.actor) {
            return;
        }
        error!(
            target: ACTOR,
            actor = down.actor,
            shard = down.shard,
            reason = down.reason,
            "a child was given up: the node stops"
        );
        self.commons.end(Ending {
            reason: format!(
                "{} of shard {} fell too often: {}",
                down.actor, down.shard, down.reason
            ),
        });
    }
}
