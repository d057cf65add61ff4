//! `henge serve`: one node until it is asked to stop, or cannot go on.

use std::{fmt::Write as _, time::Duration};

use henge_actors::{Ending, events::ACTOR};
use serde_json::json;
use tracing::{error, info};
use tracing_subscriber::filter::LevelFilter;

use super::{
    Exit, Failure,
    check_config::invalid_json,
    output, stderr_takes_colours,
    words::{absolute, export_line},
};
use crate::{
    cli::{GlobalArgs, ServeArgs},
    config::{Config, Sources},
    host::{Host, HostError},
    shutdown::{Shutdown, stdin_ended},
    telemetry,
};

/// How long a stop may take; each of its parts has a shorter bound of its own.
const STOP: Duration = Duration::from_millis(9_500);

pub(super) fn run(args: &ServeArgs, global: GlobalArgs) -> Result<Exit, Failure> {
    let Some(config) = load(args, global)? else { return Ok(Exit::Usage) };
    telemetry::start(config.log_format, stderr_takes_colours(), LevelFilter::INFO);
    telemetry::report_panics();
    actix_rt::System::new().block_on(serve(config, args.end_with_stdin, global))
}

/// The configuration; `None` if it is wrong and its violations were shown.
fn load(args: &ServeArgs, global: GlobalArgs) -> Result<Option<Config>, Failure> {
    let mut sources = match &args.config {
        Some(file) => Sources::read(file, &args.overrides.set)?,
        None => Sources::dev(&args.overrides.set),
    };
    sources.allow_faults = args.allow_faults;
    match Config::load(&sources) {
        Ok(loaded) => Ok(Some(loaded.config)),
        Err(invalid) => {
            if global.json {
                output::message(&invalid_json(&invalid).to_string());
            } else {
                output::message(invalid.render(stderr_takes_colours()).trim_end());
            }
            Ok(None)
        }
    }
}

async fn serve(config: Config, end_with_stdin: bool, global: GlobalArgs) -> Result<Exit, Failure> {
    let failure = |error: HostError| refused(&config, &error);
    let mut shutdown = Shutdown::listen().map_err(|error| no_signals(&error))?;
    let host = Host::start(config.settings.clone(), config.http.listen).await.map_err(failure)?;
    announce(&config, &host, global.json)?;
    let ending = tokio::select! {
        () = shutdown.asked() => None,
        () = stdin_ended(), if end_with_stdin => None,
        ending = host.failed() => Some(ending),
    };
    let in_order = tokio::time::timeout(STOP, host.stop()).await.is_ok();
    match ending {
        Some(Ending { reason }) => {
            error!(target: ACTOR, reason, "the node failed and was stopped");
            Err(failed(&config, reason))
        }
        None if in_order => {
            info!(node = config.settings.node.name.as_str(), "stopped in order");
            Ok(Exit::Ok)
        }
        None => Err(too_slow(&config)),
    }
}

fn announce(config: &Config, host: &Host, as_json: bool) -> Result<(), Failure> {
    let (node, tls, http) = (&config.settings.node, &config.settings.tls, host.http_address());
    let (name, cluster) = (node.name.as_str(), config.settings.cluster.name.as_str());
    if as_json {
        let listening = json!({
            "node": name,
            "cluster": cluster,
            "quic": node.listen.to_string(),
            "http": format!("http://{http}"),
            "ready": format!("http://{http}/ready"),
            "tls_dir": absolute(&tls.dir),
        });
        output::json(&listening)?;
        return Ok(());
    }
    let mut text = format!(
        "node {name} of cluster {cluster} listens on udp {}\nhttp on http://{http}\n\
         curl -i http://{http}/ready says when it serves\n",
        node.listen
    );
    if tls.generate {
        let export = export_line(std::iter::once(node.listen), &tls.dir);
        // Writing into a string cannot fail.
        let _ =
            writeln!(text, "for henge put, get, status and the like in another shell:\n  {export}");
    }
    output::text(&text)?;
    Ok(())
}

fn refused(config: &Config, error: &HostError) -> Failure {
    let exit = if error.is_configuration() { Exit::Usage } else { Exit::Failed };
    let what = format!("node {} does not start", config.settings.node.name);
    Failure::new(what, error.to_string(), error.remedy(), exit)
}

fn no_signals(error: &std::io::Error) -> Failure {
    Failure::new(
        "the node does not start",
        format!("signals cannot be taken: {error}"),
        "see whether this process has file descriptors left",
        Exit::Failed,
    )
}

fn failed(config: &Config, reason: String) -> Failure {
    Failure::new(
        format!("node {} could not go on and was stopped in order", config.settings.node.name),
        reason,
        "see the log lines above, then start it again: nothing acknowledged is lost",
        Exit::Failed,
    )
}

fn too_slow(config: &Config) -> Failure {
    Failure::new(
        format!("node {} did not stop in order", config.settings.node.name),
        format!("it took more than {} ms", STOP.as_millis()),
        "start it again: nothing acknowledged is lost while the machine runs",
        Exit::Failed,
    )
}
