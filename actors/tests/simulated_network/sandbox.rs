//! Nodes that crash.

use std::{cell::Cell, rc::Rc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use henge_actors::{
    simulation::Sandbox,
    transport::{Lane, simulated::SimulatedNetwork},
};
use tokio::sync::oneshot;

use crate::support::{Probe, lossless, pass, simulate};

/// Counts ticks of virtual time, and notes when it is dropped.
struct Ticker {
    ticks: Rc<Cell<u32>>,
    is_alive: Rc<Cell<bool>>,
}

impl Actor for Ticker {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(Duration::from_mins(1), |ticker, _| {
            ticker.ticks.set(ticker.ticks.get() + 1);
        });
        self.is_alive.set(true);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.is_alive.set(false);
    }
}

#[derive(Message)]
#[rtype(result = "u32")]
struct HowMany;

impl Handler<HowMany> for Ticker {
    type Result = actix::ResponseActFuture<Self, u32>;

    fn handle(&mut self, _: HowMany, _: &mut Self::Context) -> Self::Result {
        let pause = tokio::time::sleep(Duration::from_millis(1));
        Box::pin(pause.into_actor(self).map(|(), ticker, _| ticker.ticks.get()))
    }
}

#[test]
fn actix_actors_run_and_crash_on_paused_time_without_a_system() {
    simulate(async {
        let (ticks, is_alive) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let ticker = Ticker { ticks: Rc::clone(&ticks), is_alive: Rc::clone(&is_alive) };
        let (address_to, address) = oneshot::channel();
        let sandbox = Sandbox::spawn(async move {
            assert!(actix::System::try_current().is_none());
            address_to.send(ticker.start()).unwrap();
        });
        let address = address.await.unwrap();
        pass(3_600_000).await;
        assert_eq!(address.send(HowMany).await.unwrap(), 60);
        assert!(!sandbox.has_ended(), "main is over, the actor is not");
        sandbox.crash().await;
        assert!(!is_alive.get(), "a crash drops at once");
        assert!(address.send(HowMany).await.is_err());
        pass(3_600_000).await;
        assert_eq!(ticks.get(), 60);
    });
}

#[test]
fn a_sandbox_ends_with_the_last_of_its_tasks() {
    simulate(async {
        let sandbox = Sandbox::spawn(async {
            tokio::task::spawn_local(pass(10));
        });
        pass(5).await;
        assert!(!sandbox.has_ended());
        pass(10).await;
        assert!(sandbox.has_ended());
    });
}

#[test]
#[should_panic(expected = "a bug of the node")]
fn a_panic_inside_a_sandbox_is_not_lost() {
    simulate(async {
        let sandbox = Sandbox::spawn(async { panic!("a bug of the node") });
        pass(1).await;
        sandbox.crash().await;
    });
}

#[test]
fn a_crash_takes_the_endpoint_along_and_leaves_the_network_running() {
    simulate(async {
        let network = Rc::new(SimulatedNetwork::new(5, lossless()));
        let (probe_to, first) = oneshot::channel();
        let inside = Rc::clone(&network);
        let sandbox = Sandbox::spawn(async move {
            let probe = Probe::bind(&inside, "n1", 7401);
            assert!(probe_to.send(probe).is_ok());
        });
        let a = first.await.ok().unwrap();
        let (b, c) = (Probe::bind(&network, "n2", 7402), Probe::bind(&network, "n3", 7403));
        b.endpoint.dial(&a.address);
        c.endpoint.dial(&b.address);
        pass(100).await;
        a.send(Lane::Control, "last words").unwrap();
        sandbox.crash().await;
        c.send(Lane::Control, "still here").unwrap();
        pass(5010).await;
        assert_eq!(b.frames(Lane::Control), ["still here"]);
        assert_eq!(b.closings().len(), 1);
        assert_eq!(b.closings()[0].1, "timed out");
        Probe::bind(&network, "n1", 7401);
    });
}
