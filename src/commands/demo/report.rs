//! What the demo tells: steps for people, or one JSON line each for programs.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;
use serde_json::{Value, json};

use super::{super::data::Data, cluster::Cluster};
use crate::commands::words::{absolute, export_line};

/// Width of the column of measured times.
const TIME_WIDTH: usize = 9;

/// Prints the demo's story.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    as_json: bool,
}

/// One step of the tour, done and checked.
#[derive(Clone, Debug)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// What it shows.
    pub title: String,
    /// What was asked, and what came back.
    pub exchanges: Vec<Exchange>,
    /// What was observed besides.
    pub notes: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// What was expected, if it did not come.
    pub broken: Option<String>,
}

/// One request of a step.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// The line that does the same in a shell.
    pub curl: String,
    /// The answer in one line; `None` of many alike.
    pub came_back: Option<String>,
}

impl Report {
    /// A report in lines of JSON, or for people.
    pub const fn new(as_json: bool) -> Self {
        Self { as_json }
    }

    /// The cluster stands.
    pub fn ready(self, cluster: &Cluster, took: Duration) {
        if self.as_json {
            line(&ready_json(cluster, took));
        } else {
            anstream::println!("{}", ready_text(cluster, took));
        }
    }

    /// A step was done.
    pub fn step(self, step: &Step) {
        if self.as_json {
            line(&json!({
                "event": "step",
                "step": step.number,
                "title": step.title,
                "exchanges": step.exchanges,
                "notes": step.notes,
                "ms": millis(step.took),
                "held": step.broken.is_none(),
                "broken": step.broken,
            }));
        } else {
            anstream::print!("{}", step_text(step));
        }
    }

    /// The tour is over.
    pub fn done(self, steps: usize, held: bool, took: Duration) {
        if self.as_json {
            line(&json!({ "event": "done", "steps": steps, "held": held, "ms": millis(took) }));
        } else if held {
            anstream::println!("All {steps} steps held, in {}.", time_text(took));
        } else {
            anstream::println!("The tour ended at step {steps}, which did not hold.");
        }
    }

    /// The cluster stays up.
    pub fn stays(self, cluster: &Cluster) {
        if self.as_json {
            line(&json!({ "event": "up" }));
        } else {
            anstream::println!("{}", stays_text(cluster));
        }
    }
}

fn line(value: &Value) {
    anstream::println!("{value}");
}

fn ready_json(cluster: &Cluster, took: Duration) -> Value {
    let nodes = cluster.nodes().iter().map(|node| {
        json!({
            "name": node.name,
            "http": format!("http://{}", node.http),
            "quic": node.quic.to_string(),
        })
    });
    json!({
        "event": "ready",
        "nodes": nodes.collect::<Vec<_>>(),
        "data": cluster.data().path(),
        "tls_dir": absolute(&cluster.data().tls_dir()),
        "ms": millis(took),
    })
}

fn ready_text(cluster: &Cluster, took: Duration) -> String {
    let kept = match cluster.data() {
        Data::Temporary(_) => "removed at the end",
        Data::Kept(_) => "kept",
    };
    let nodes = cluster.nodes();
    let mut out = format!(
        "{} nodes stand, ready after {}; their data is in {} ({kept}).\n\n",
        nodes.len(),
        time_text(took),
        cluster.data().path().display(),
    );
    for node in nodes {
        let _ = writeln!(out, "  {}   http://{}   quic udp {}", node.name, node.http, node.quic);
    }
    out
}

fn step_text(step: &Step) -> String {
    let mark = if step.broken.is_none() { "held" } else { "DID NOT HOLD" };
    let took = format!("{:>TIME_WIDTH$}", time_text(step.took));
    let mut out = format!("{:>2}. {}\n", step.number, step.title);
    // Writing into a string cannot fail.
    for Exchange { curl, came_back } in &step.exchanges {
        let _ = writeln!(out, "    $ {curl}");
        if let Some(answer) = came_back {
            let _ = writeln!(out, "      {answer}");
        }
    }
    for note in &step.notes {
        let _ = writeln!(out, "    {note}");
    }
    if let Some(expected) = &step.broken {
        let _ = writeln!(out, "    ! expected: {expected}");
    }
    out + &format!("    {took}  {mark}\n\n")
}

fn stays_text(cluster: &Cluster) -> String {
    let [first, .., last] = cluster.nodes() else { return String::new() };
    let nodes = cluster.nodes().iter().map(|node| node.quic);
    let export = export_line(nodes, &cluster.data().tls_dir());
    let (first, last) = (first.http, last.http);
    let content = "-H 'Content-Type: text/plain' -d 'hello'";
    [
        "The cluster stays up until Ctrl-C. In another shell, paste this line and go on:"
            .to_owned(),
        format!("  {export}"),
        "  henge put demo greeting hello".to_owned(),
        "  henge get demo greeting".to_owned(),
        "  henge status".to_owned(),
        "Or over HTTP:".to_owned(),
        format!("  curl -i -X PUT {content} http://{first}/v1/kv/demo/greeting"),
        format!("  curl -i http://{last}/v1/kv/demo/greeting"),
        format!("  curl -s http://{first}/v1/cluster"),
        format!("  curl -s 'http://{first}/v1/cluster/ring?bucket=demo&key=greeting'"),
        format!("  curl -s http://{last}/v1/admin/replica/demo/greeting"),
    ]
    .join("\n")
}

fn time_text(took: Duration) -> String {
    let millis = took.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

/// Milliseconds with three digits after the point.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}
