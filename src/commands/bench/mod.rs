//! `henge bench`: a closed loop of clients, and what it cost.
//!
//! | file | what it does |
//! | --- | --- |
//! | `load.rs` | the clients: what they send, and how long each request took |
//! | `native.rs`, `http.rs` | the doors they go through |
//! | `cpu.rs` | what the processes worked meanwhile |
//! | `report.rs` | the figures, for people and programs |

mod cpu;
mod http;
mod load;
mod native;
mod report;

use std::{os::unix::ffi::OsStrExt as _, time::Duration};

use bytes::Bytes;
use henge_kernel::key::Key;
use tokio::{task::LocalSet, time::Instant};

use self::{
    cpu::Processes,
    http::HttpDoor,
    load::{Door, Measured, Plan, Worker},
    native::NativeDoor,
    report::Report,
};
use super::{
    failure::{Exit, Failure},
    output,
    session::Session,
};
use crate::cli::{BenchArgs, Cli, Via};

const HTTP_DEFAULT: &str = "127.0.0.1:7480";

pub(super) fn run(args: &BenchArgs, cli: &Cli) -> Result<Exit, Failure> {
    let keys = keys(args)?;
    let plan = Plan::new(args);
    let report = match args.via {
        Via::Native => Session::run(cli, &args.connect, async |session| {
            let door = || NativeDoor::new(session.client.clone(), args.r, args.w);
            let workers = keys.into_iter().map(|keys| Worker::new(door(), keys, plan)).collect();
            measure(workers, args).await
        }),
        Via::Http => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| failed(&error.to_string()))?;
            LocalSet::new().block_on(&runtime, async {
                let mut workers = Vec::new();
                for (turn, keys) in keys.into_iter().enumerate() {
                    let to = args.http.get(turn % args.http.len().max(1));
                    let door = HttpDoor::open(to.map_or(HTTP_DEFAULT, String::as_str), args);
                    workers.push(Worker::new(door.await?, keys, plan));
                }
                measure(workers, args).await
            })
        }
    }?;
    if cli.global.json {
        output::json(&report)?;
    } else {
        output::text(&report.to_string())?;
    }
    Ok(if report.failed() { Exit::Failed } else { Exit::Ok })
}

/// The keys of each client.
fn keys(args: &BenchArgs) -> Result<Vec<Vec<Key>>, Failure> {
    let clients = usize::from(args.clients);
    if args.keys < u32::from(args.clients) {
        return Err(Failure::usage(
            "there are fewer keys than clients",
            format!("--keys {} for --clients {}: each client has its own", args.keys, clients),
            format!("--keys {clients}, or more"),
        ));
    }
    let bucket = Bytes::copy_from_slice(args.bucket.as_bytes());
    let mut shared_out = vec![Vec::new(); clients];
    for number in 0..args.keys {
        let key = Key::new(bucket.clone(), format!("key-{number}")).map_err(|error| {
            Failure::usage("this is no bucket", error.to_string(), "--bucket bench, for one")
        })?;
        shared_out[number as usize % clients].push(key);
    }
    Ok(shared_out)
}

async fn measure<D: Door + 'static>(
    workers: Vec<Worker<D>>,
    args: &BenchArgs,
) -> Result<Report, Failure> {
    let workers = load::together(workers, async |worker| worker.prepare().await).await;
    let workers = all_or_first_failure(workers)?;
    let warm = Instant::now() + Duration::from_secs(args.warmup.into());
    let warmed = load::together(workers, async move |worker| worker.send_until(warm).await).await;
    let (nodes, own) = (Processes::of_nodes(&args.pid), Processes::own());
    let before = (nodes.worked(), own.worked(), Instant::now());
    let end = before.2 + Duration::from_secs(args.seconds.into());
    let workers = warmed.into_iter().map(|(worker, _)| worker).collect();
    let measured = load::together(workers, async move |worker| worker.send_until(end).await).await;
    let (nodes_worked, own_worked) = (nodes.worked(), own.worked());
    Ok(Report::new(
        args,
        measured.into_iter().map(|(_, measured)| measured).sum::<Measured>(),
        before.2.elapsed(),
        nodes.pids(),
        cpu::difference(before.0, nodes_worked),
        cpu::difference(before.1, own_worked),
    ))
}

fn all_or_first_failure<D>(
    prepared: Vec<(Worker<D>, Result<(), String>)>,
) -> Result<Vec<Worker<D>>, Failure>
where
    D: Door,
{
    prepared
        .into_iter()
        .map(|(worker, outcome)| outcome.map(|()| worker).map_err(|why| failed(&why)))
        .collect()
}

fn failed(why: &str) -> Failure {
    Failure::new(
        "the bench could not begin",
        why,
        "`henge status` shows how the cluster is; --node, --http and --tls-dir say where",
        Exit::Unavailable,
    )
}
