//! `henge demo`: a real cluster in one process, and a guided tour of a partition.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | start, tour, stay, stop |
//! | `cluster.rs` | the nodes |
//! | `client.rs` | HTTP requests and their `curl` lines |
//! | `tour.rs` | the steps of the tour |
//! | `orders.rs` | those of its steps that are about many records |
//! | `stage.rs` | how a step is done, checked and told |
//! | `report.rs` | what is printed |

mod client;
mod cluster;
mod orders;
mod report;
mod stage;
mod tour;

use henge_actors::{
    Ending, StartError,
    environment::{Clock as _, SystemClock},
};
use henge_kernel::time::Instant;
use tracing_subscriber::filter::LevelFilter;

use self::{
    cluster::{Cluster, ClusterError},
    report::Report,
};
use super::{Exit, Failure, data::Data, stderr_takes_colours};
use crate::{
    cli::{DemoArgs, GlobalArgs},
    host::HostError,
    shutdown::Shutdown,
    telemetry::{self, LogFormat},
};

pub(super) fn run(args: &DemoArgs, global: GlobalArgs) -> Result<Exit, Failure> {
    // The tour makes peers go down on purpose: what nodes say about that is no news here.
    telemetry::start(LogFormat::Text, stderr_takes_colours(), LevelFilter::ERROR);
    telemetry::report_panics();
    actix_rt::System::new().block_on(demo(args, Report::new(global.json)))
}

async fn demo(args: &DemoArgs, report: Report) -> Result<Exit, Failure> {
    let no_data =
        |source| no_cluster(&ClusterError::Io { what: "no directory for the data", source });
    let data = Data::new(args.dir.as_deref(), "henge-demo-").map_err(no_data)?;
    let shutdown = Shutdown::listen_with(data.temporary());
    let mut shutdown = shutdown.map_err(|error| refused(&error.to_string()))?;
    let clock = SystemClock::start();
    let started = Cluster::start(args.nodes, args.shards, data).await;
    let cluster = started.map_err(|error| no_cluster(&error))?;
    report.ready(&cluster, clock.now().since(Instant::default()));
    let ending = tokio::select! {
        () = shutdown.asked() => None,
        (name, Ending { reason }) = cluster.failed() => Some(Err(broken(name, reason))),
        exit = shown(args, &cluster, report) => Some(Ok(exit)),
    };
    cluster.stop().await;
    // Asked to end: that is as good an end as any, unless every step was to be seen.
    ending.unwrap_or(Ok(if args.exit { Exit::Failed } else { Exit::Ok }))
}

/// The tour, and then as long as the user likes.
async fn shown(args: &DemoArgs, cluster: &Cluster, report: Report) -> Exit {
    let held = args.no_tour || tour::run(cluster, report).await;
    if args.exit {
        return if held { Exit::Ok } else { Exit::Failed };
    }
    report.stays(cluster);
    std::future::pending().await
}

fn no_cluster(error: &ClusterError) -> Failure {
    let remedy = match error {
        ClusterError::Host { source: HostError::Start(StartError::Fact { .. }), .. } => {
            "take --nodes and --shards as they were when --dir was new, or another --dir".to_owned()
        }
        ClusterError::Host { source, .. } => source.remedy(),
        ClusterError::Io { .. } => "--dir names another directory".to_owned(),
        _ => "run it again with RUST_LOG=info to see what the nodes say".to_owned(),
    };
    let of_usage = matches!(error, ClusterError::Host { source, .. } if source.is_configuration());
    let exit = if of_usage { Exit::Usage } else { Exit::Failed };
    Failure { remedy, exit, ..refused(&error.to_string()) }
}

fn refused(why: &str) -> Failure {
    Failure::new(
        "the demo does not start",
        why.to_owned(),
        "see whether this process has file descriptors left",
        Exit::Failed,
    )
}

fn broken(name: &str, reason: String) -> Failure {
    Failure::new(
        format!("node {name} could not go on; all were stopped in order"),
        reason,
        "see the log lines above",
        Exit::Failed,
    )
}
