//! `henge get`.

use henge_actors::{Answer, Got, Key, ReadOptions, Store as _, Value};
use henge_kernel::causality::{Dot, Version};

use super::{
    failure::{Asked, Exit, Failure},
    found::{Found, show_value},
    output,
    session::Session,
    words::{key_of, shown_key},
};
use crate::cli::{Cli, GetArgs};

pub(super) fn run(args: &GetArgs, cli: &Cli) -> Result<Exit, Failure> {
    let key = key_of(&args.key)?;
    let options = ReadOptions { r: args.r, pr: args.pr, sloppy: args.sloppy, timeout: None };
    Session::run(cli, &args.connect, async |session| {
        let answer = read(session, &key, options, "--r").await?;
        let found = Found::of(session, &key, &answer);
        if let Some(dot) = args.dot {
            let (_, value) = version_of(session, &key, answer.versions(), dot)?;
            show_value(value)?;
            return Ok(Exit::Ok);
        }
        if args.context_only {
            if let Some(token) = found.token() {
                output::raw(format!("{token}\n").as_bytes())?;
            }
            return Ok(found.exit());
        }
        found.show(cli.global.json)
    })
}

/// Reads a key; `fewer` is the option with which fewer replicas do, or empty.
pub(super) async fn read(
    session: &Session,
    key: &Key,
    options: ReadOptions,
    fewer: &str,
) -> Result<Answer<Got>, Failure> {
    session.client.get(key, options).await.map_err(|error| {
        let bucket = session.line("bucket get").bucket(key.bucket()).into_text();
        let object = shown_key(key);
        let (done, bucket) = ("read", &bucket);
        let reading = Asked { object: &object, done, bucket, fewer, ..Asked::default() };
        reading.failed(&error)
    })
}

/// The version called `dot`, and its value.
pub(super) fn version_of<'v>(
    session: &Session,
    key: &Key,
    versions: &'v [Version],
    dot: Dot,
) -> Result<(&'v Version, &'v Value), Failure> {
    let mut found = versions.iter().filter(|version| version.dot == dot);
    found.find_map(|version| Some((version, version.value()?))).ok_or_else(|| {
        let look = session.line("get").operands(key, None).into_text();
        Failure::new(
            format!("{dot} was not read"),
            format!("{} holds it no more", shown_key(key)),
            format!("{look} shows what it holds now"),
            Exit::NotFound,
        )
    })
}
