//! What a bench found.

use std::{fmt, time::Duration};

use henge_kernel::units::Size;
use serde::Serialize;

use super::load::{Measured, Requests};
use crate::{
    cli::{BenchArgs, Mix, Via},
    commands::table::{Cell, Table, Tone},
};

/// The figures.
#[derive(Serialize)]
pub struct Report {
    mix: &'static str,
    via: &'static str,
    clients: u16,
    value_bytes: u64,
    keys: u32,
    seconds: f64,
    ops: u64,
    ops_per_second: f64,
    get: Option<Figures>,
    put: Option<Figures>,
    node_pids: Vec<u32>,
    node_cpu_us_per_op: Option<f64>,
    client_cpu_us_per_op: Option<f64>,
}

/// Of requests of one kind. Latencies are of those that succeeded.
#[derive(Serialize)]
struct Figures {
    ops: u64,
    ops_per_second: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    failed: u64,
    failures: Vec<FailureCount>,
}

#[derive(Serialize)]
struct FailureCount {
    reason: String,
    times: u64,
}

impl Report {
    /// Of what was measured in `elapsed`, while nodes and client worked so long.
    pub fn new(
        args: &BenchArgs,
        measured: Measured,
        elapsed: Duration,
        node_pids: &[u32],
        nodes_worked: Option<Duration>,
        client_worked: Option<Duration>,
    ) -> Self {
        let Measured { gets, puts } = measured;
        let ops = gets.latencies.len() + puts.latencies.len();
        let seconds = elapsed.as_secs_f64();
        let per_op = |worked: Duration| worked.as_secs_f64() * 1e6 / count(ops.max(1));
        Self {
            mix: match args.mix {
                Mix::Get => "get",
                Mix::Put => "put",
                Mix::Mixed => "mixed",
            },
            via: match args.via {
                Via::Native => "native",
                Via::Http => "http",
            },
            clients: args.clients,
            value_bytes: args.value_size,
            keys: args.keys,
            seconds,
            ops,
            ops_per_second: count(ops) / seconds,
            get: (args.mix != Mix::Put).then(|| Figures::new(gets, seconds)),
            put: (args.mix != Mix::Get).then(|| Figures::new(puts, seconds)),
            node_pids: node_pids.to_vec(),
            node_cpu_us_per_op: nodes_worked.map(per_op),
            client_cpu_us_per_op: client_worked.map(per_op),
        }
    }

    /// Whether any request failed.
    pub fn failed(&self) -> bool {
        self.kinds().any(|(_, figures)| figures.failed > 0)
    }

    fn kinds(&self) -> impl Iterator<Item = (&'static str, &Figures)> {
        [("get", &self.get), ("put", &self.put)]
            .into_iter()
            .filter_map(|(name, figures)| Some((name, figures.as_ref()?)))
    }
}

impl Figures {
    fn new(requests: Requests, seconds: f64) -> Self {
        let Requests { latencies, failures } = requests;
        let at = |quantile| micros(latencies.value_at_quantile(quantile));
        Self {
            ops: latencies.len(),
            ops_per_second: count(latencies.len()) / seconds,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(latencies.max()),
            failed: failures.values().sum(),
            failures: failures
                .into_iter()
                .map(|(reason, times)| FailureCount { reason, times })
                .collect(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people: 53 bits are enough")]
fn count(number: u64) -> f64 {
    number as f64
}

fn micros(nanos: u64) -> f64 {
    count(nanos) / 1e3
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mix, via, clients, keys, seconds, .. } = self;
        let (size, s) = (Size(self.value_bytes), if *clients == 1 { "" } else { "s" });
        writeln!(
            f,
            "{mix} · {via} · {clients} client{s} · values of {size} · {keys} keys · {seconds:.1} s"
        )?;
        let columns = ["", "OPS>", "OPS/S>", "P50>", "P90>", "P99>", "P99.9>", "MAX>", "FAILED>"];
        let mut table = Table::new(&columns);
        for (name, figures) in self.kinds() {
            let ms = |micros: f64| Cell::from(format!("{:.3} ms", micros / 1e3));
            let tone = if figures.failed > 0 { Tone::Bad } else { Tone::Plain };
            table.row([
                name.into(),
                figures.ops.to_string().into(),
                format!("{:.0}", figures.ops_per_second).into(),
                ms(figures.p50_us),
                ms(figures.p90_us),
                ms(figures.p99_us),
                ms(figures.p999_us),
                ms(figures.max_us),
                Cell::new(figures.failed.to_string(), tone),
            ]);
        }
        write!(f, "{table}")?;
        for (name, figures) in self.kinds() {
            for FailureCount { reason, times } in &figures.failures {
                writeln!(f, "{name} failed {times} times: {reason}")?;
            }
        }
        let cpu = |micros: Option<f64>| {
            micros.map_or_else(|| "not measured".to_owned(), |micros| format!("{micros:.0} µs"))
        };
        let (nodes, client) = (cpu(self.node_cpu_us_per_op), cpu(self.client_cpu_us_per_op));
        let pids: Vec<_> = self.node_pids.iter().map(ToString::to_string).collect();
        let pids = if pids.is_empty() {
            "no henge serve or demo of this machine was found, see --pid".to_owned()
        } else {
            format!("pid {}", pids.join(", "))
        };
        writeln!(f, "CPU per operation: nodes {nodes} ({pids}), this client {client}")
    }
}
