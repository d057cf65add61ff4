//! `henge get`.

use henge_actors::{Answer, Got, Key, ReadOptions, Store as _};

use super::{
    failure::{Asked, Exit, Failure},
    found::{Found, show_value},
    output,
    put::no_longer,
    session::Session,
    words::{key_of, shown_key},
};
use crate::cli::{Cli, GetArgs};

pub(super) fn run(args: &GetArgs, cli: &Cli) -> Result<Exit, Failure> {
    let key = key_of(&args.key)?;
    let options = ReadOptions { r: args.r, pr: args.pr, sloppy: args.sloppy, timeout: None };
    Session::run(cli, &args.connect, async |session| {
        let answer = read(session, &key, options).await?;
        let found = Found::of(session, &key, &answer);
        if let Some(dot) = &args.dot {
            return show_one(&found, dot);
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

/// Reads a key.
pub(super) async fn read(
    session: &Session,
    key: &Key,
    options: ReadOptions,
) -> Result<Answer<Got>, Failure> {
    session.client.get(key, options).await.map_err(|error| {
        let bucket = session.line("bucket get").bucket(key.bucket()).into_text();
        let object = shown_key(key);
        let reading = Asked { object: &object, done: "read", bucket: &bucket, ..Asked::default() };
        reading.failed(&error)
    })
}

/// The value of that name, whatever its siblings are.
fn show_one(found: &Found<'_>, dot: &str) -> Result<Exit, Failure> {
    let version = found.got.versions().iter().find(|version| version.dot.to_string() == dot);
    show_value(version.ok_or_else(|| no_longer(found.session, found.key, dot))?)?;
    Ok(Exit::Ok)
}
