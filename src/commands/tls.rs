//! `henge tls`: the cluster's CA and what it signs.

use henge_actors::{
    environment::{Clock, SystemClock},
    transport::tls::{Directory, Issue, TlsError},
};
use serde_json::json;

use super::{Exit, Failure, output};
use crate::cli::{GlobalArgs, TlsArgs, TlsCommand};

pub(super) fn run(command: &TlsCommand, global: GlobalArgs) -> Result<Exit, Failure> {
    let now = SystemClock::start().wall();
    let (args, done, stem) = match command {
        TlsCommand::Init(args) => (args, directory(args).and_then(|ca| ca.init(now)), "ca"),
        TlsCommand::Issue(args) => {
            let issue = Issue::Node { name: &args.node, names: &args.san };
            let done = directory(&args.authority).and_then(|ca| ca.issue(issue, now));
            (&args.authority, done, args.node.as_str())
        }
        TlsCommand::Client(args) => {
            let issue = Issue::Client { name: &args.name };
            let done = directory(&args.authority).and_then(|ca| {
                if args.force { ca.issue(issue, now) } else { ca.issue_new(issue, now) }
            });
            (&args.authority, done, "client")
        }
    };
    done.map_err(|error| failure(&error, args))?;
    report(args, stem, global.json)?;
    Ok(Exit::Ok)
}

fn directory(args: &TlsArgs) -> Result<Directory, TlsError> {
    Directory::new(&args.dir, args.cluster.as_str())
}

fn report(args: &TlsArgs, stem: &str, as_json: bool) -> Result<(), Failure> {
    let files = ["pem", "key"].map(|suffix| args.dir.join(format!("{stem}.{suffix}")));
    let [certificate, key] = files.map(|path| path.display().to_string());
    let told = if as_json {
        output::json(&json!({ "certificate": certificate, "key": key }))
    } else {
        output::text(&format!("{certificate}\n{key}\n"))
    };
    told.map(drop)
}

fn failure(error: &TlsError, args: &TlsArgs) -> Failure {
    let (dir, cluster) = (args.dir.display(), &args.cluster);
    let remedy = match error {
        TlsError::Missing { .. } => format!("henge tls init --dir {dir} --cluster {cluster}"),
        TlsError::Exists { .. } => {
            "issue certificates with this CA, or choose another directory".to_owned()
        }
        TlsError::Issued { .. } => {
            "keep it; copy it away if the new one is for somebody else; or replace it with --force"
                .to_owned()
        }
        TlsError::OtherCluster { found, .. } => format!("--cluster {found}, or another directory"),
        TlsError::Unfit { .. } => "choose another name".to_owned(),
        _ => format!("look at the files in {dir}"),
    };
    let what = "no certificate was made";
    Failure::new(what, error.to_string(), remedy, Exit::Failed)
}
