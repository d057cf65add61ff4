//! `henge buckets` and `henge bucket`.

use std::ffi::OsStr;

use henge_actors::Store as _;
use henge_kernel::{
    bucket::{BucketChange, BucketProperties, BucketRegister, conflict_name},
    units::{Size, Span},
};

use super::{
    failure::{Asked, Exit, Failure},
    output, screen,
    session::Session,
    table::Table,
    words::{bucket_of, shown},
};
use crate::{
    ClientError,
    cli::{BucketCommand, BucketGetArgs, BucketSetArgs, BucketsArgs, Cli},
    surfaces::http::documents::{Bucket, Buckets},
};

/// `henge buckets`.
pub(super) fn list(args: &BucketsArgs, cli: &Cli) -> Result<Exit, Failure> {
    Session::run(cli, &args.connect, async |session| {
        let buckets = session.client.buckets().await;
        let buckets = buckets.map_err(|error| screen::unread("the list of buckets", &error))?;
        if cli.global.json {
            output::json(&Buckets::from(buckets))?;
        } else if output::is_terminal() {
            output::text(&table(&buckets).to_string())?;
        } else {
            let names = buckets.iter().flat_map(|bucket| [&bucket.name[..], b"\n"].concat());
            output::raw(&names.collect::<Vec<u8>>())?;
        }
        Ok(Exit::Ok)
    })
}

/// `henge bucket get` and `henge bucket set`.
pub(super) fn run(command: &BucketCommand, cli: &Cli) -> Result<Exit, Failure> {
    match command {
        BucketCommand::Get(args) => get(args, cli),
        BucketCommand::Set(args) => set(args, cli),
    }
}

fn get(args: &BucketGetArgs, cli: &Cli) -> Result<Exit, Failure> {
    let bucket = bucket_of(&args.bucket, args.percent)?;
    Session::run(cli, &args.connect, async |session| {
        let register = session.client.bucket(&bucket).await;
        let register = register.map_err(|error| failed(&args.bucket, "read", "", &error))?;
        show(register, cli.global.json)
    })
}

fn set(args: &BucketSetArgs, cli: &Cli) -> Result<Exit, Failure> {
    let bucket = bucket_of(&args.bucket, args.percent)?;
    let mut change = BucketChange::default();
    for pair in &args.properties {
        change = change.parse_pair(pair).ok_or_else(|| {
            let what = format!("{} was not set", shown(&bucket));
            Failure::usage(what, format!("{pair:?} is no PROPERTY=VALUE"), "as in conflict=lww")
        })?;
    }
    Session::run(cli, &args.connect, async |session| {
        let register = session.client.set_bucket(&bucket, change).await;
        let look = session.line("bucket get").bucket(&bucket).into_text();
        let register = register.map_err(|error| failed(&args.bucket, "set", &look, &error))?;
        show(register, cli.global.json)
    })
}

fn failed(bucket: &OsStr, done: &str, look: &str, error: &ClientError) -> Failure {
    let object = format!("bucket {}", bucket.to_string_lossy());
    let again = format!("{look} shows; setting it again does no harm");
    let writes = done == "set";
    let setting = Asked { object: &object, done, writes, again: &again, look, ..Asked::default() };
    Asked { bucket: look, ..setting }.failed(error)
}

/// The properties as `bucket set` takes them, one a line.
fn show(register: BucketRegister, as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        output::json(&Bucket::from(register))?;
        return Ok(Exit::Ok);
    }
    output::raw(lines(&register.properties).as_bytes())?;
    if !register.established {
        output::message(
            "it can be used as soon as every member knows it; `henge status` shows who is down",
        );
    }
    Ok(Exit::Ok)
}

fn lines(properties: &BucketProperties) -> String {
    let BucketProperties { n, r, w, pr, pw, sloppy, durability, .. } = properties;
    format!(
        "n={n}\nr={r}\nw={w}\npr={pr}\npw={pw}\nsloppy={sloppy}\nconflict={}\nttl={}\n\
         durability={}\nvalue_bytes_max={}\n",
        conflict_name(properties.conflict),
        ttl_text(properties),
        durability.as_str(),
        Size(properties.value_bytes_max.into()),
    )
}

fn ttl_text(properties: &BucketProperties) -> String {
    properties.ttl.map_or_else(|| "none".to_owned(), |ttl| Span(ttl).to_string())
}

fn table(buckets: &[BucketRegister]) -> Table {
    let mut table = Table::new(&[
        "BUCKET",
        "N>",
        "R>",
        "W>",
        "CONFLICT",
        "TTL",
        "DURABILITY",
        "VALUES TO",
        "READY",
    ]);
    for BucketRegister { name, properties, established, .. } in buckets {
        table.row([
            shown(name).into(),
            properties.n.to_string().into(),
            properties.r.to_string().into(),
            properties.w.to_string().into(),
            conflict_name(properties.conflict).into(),
            ttl_text(properties).into(),
            properties.durability.as_str().into(),
            Size(properties.value_bytes_max.into()).to_string().into(),
            if *established { "yes" } else { "not yet" }.into(),
        ]);
    }
    table
}
