//! `henge actors`: the queues of one node.

use super::{
    failure::{Exit, Failure},
    screen::{self, Screen},
    table::{Cell, Table, Tone},
};
use crate::{
    cli::{ActorsArgs, Cli},
    surfaces::http::documents::Actors,
};

pub(super) fn run(args: &ActorsArgs, cli: &Cli) -> Result<Exit, Failure> {
    screen::run(cli, &args.screen, &async |session| {
        let actors = session.client.actors().await;
        let actors = actors.map_err(|error| screen::unread("the list of actors", &error))?;
        Ok(Actors { actors })
    })
}

impl Screen for Actors {
    fn paint(&self) -> String {
        let columns = [
            "ACTOR",
            "INSTANCE",
            "SHARD>",
            "DEPTH>",
            "MAX>",
            "HANDLED>",
            "FAILED>",
            "REJECTED>",
            "WAIT p50>",
            "p99>",
            "RUN p50>",
            "p99>",
            "MAX>",
            "RESTARTS>",
        ];
        let mut table = Table::new(&columns);
        for actor in &self.actors {
            table.row([
                actor.actor.as_ref().into(),
                actor.instance.as_str().into(),
                actor.shard.to_string().into(),
                actor.depth.to_string().into(),
                actor.depth_max.to_string().into(),
                actor.handled.to_string().into(),
                troubling(actor.failed),
                troubling(actor.rejected),
                micros(actor.wait_p50_us).into(),
                micros(actor.wait_p99_us).into(),
                micros(actor.run_p50_us).into(),
                micros(actor.run_p99_us).into(),
                micros(actor.run_max_us).into(),
                troubling(actor.restarts),
            ]);
        }
        let node = self.actors.first().map_or("", |actor| actor.node.as_str());
        format!("node {node} · since its start\n{table}")
    }
}

/// A count that should be 0.
fn troubling(count: u64) -> Cell {
    let tone = if count == 0 { Tone::Plain } else { Tone::Doubtful };
    Cell::new(count.to_string(), tone)
}

fn micros(us: u64) -> String {
    match us {
        0..10_000 => format!("{us} µs"),
        10_000..10_000_000 => format!("{} ms", us / 1000),
        _ => format!("{} s", us / 1_000_000),
    }
}
