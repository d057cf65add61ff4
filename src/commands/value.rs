//! The value of a put: from the command line, from stdin, or one of the siblings that are there.

use std::{
    io::{self, IsTerminal as _, Read as _},
    os::unix::ffi::OsStrExt as _,
    time::Duration,
};

use bytes::Bytes;
use henge_actors::{
    Key, ReadOptions, Value,
    environment::{Clock as _, SystemClock},
};
use henge_kernel::{
    bucket::VALUE_BYTES_MAX,
    causality::{Dot, Meta},
    violation::Violation,
};

use super::{
    failure::{Exit, Failure},
    get, output,
    session::Session,
};
use crate::cli::PutArgs;

/// What is to be written, before anybody was asked.
pub enum Given {
    /// This.
    Value(Value),
    /// The sibling of this name.
    Sibling(Dot),
}

impl Given {
    /// What the command line says, or stdin.
    pub fn of(args: &PutArgs) -> Result<Self, Failure> {
        if let Some(dot) = args.keep {
            return Ok(Self::Sibling(dot));
        }
        let said = description(args)?;
        let bytes = match &args.value {
            Some(value) if value != "-" => value.as_bytes().to_vec(),
            _ => stdin()?,
        };
        Ok(Self::Value(Value { bytes: bytes.into(), ..said }))
    }

    /// The value itself; of a sibling that expires with what is left of its life.
    pub async fn value(
        self,
        session: &Session,
        key: &Key,
    ) -> Result<(Value, Option<Duration>), Failure> {
        let dot = match self {
            Self::Value(value) => return Ok((value, None)),
            Self::Sibling(dot) => dot,
        };
        let answer = get::read(session, key, ReadOptions::default(), "").await?;
        let (version, value) = get::version_of(session, key, answer.versions(), dot)?;
        let now = SystemClock::start().wall();
        let left = version.expires_at.map(|end| Duration::from_millis(end.0.saturating_sub(now.0)));
        Ok((value.clone(), left))
    }
}

/// All of stdin, or a little more than any bucket takes, which is then refused.
fn stdin() -> Result<Vec<u8>, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        output::message("the value is read from here; Ctrl-D ends it");
    }
    let mut bytes = Vec::new();
    let most = u64::from(VALUE_BYTES_MAX) + 1;
    stdin.lock().take(most).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(
            "the value was not read",
            error.to_string(),
            "send it into stdin, or name it as VALUE",
            Exit::Failed,
        )
    })?;
    Ok(bytes)
}

/// What the command line says of a value, whose bytes are still to come.
fn description(args: &PutArgs) -> Result<Value, Failure> {
    let content_type = args.content_type.as_deref().map(Into::into);
    let mut said = Value { bytes: Bytes::new(), content_type, meta: meta(&args.meta)? };
    said.describe().map_err(|Violation { field, value, limit }| match &*field {
        "meta" => unfit_meta(format!("--meta is {value}; it must be {limit}")),
        _ => Failure::usage(
            "the value was not written",
            format!("--content-type is {value}; it must be {limit}"),
            "name one such as text/plain or 'text/plain; charset=utf-8'",
        ),
    })?;
    Ok(said)
}

/// Names and texts as over HTTP: names in lower case.
fn meta(pairs: &[String]) -> Result<Meta, Failure> {
    let read = |pair: &String| {
        let (name, text) = pair
            .split_once('=')
            .ok_or_else(|| unfit_meta(format!("--meta {pair} names nothing")))?;
        Ok((name.to_ascii_lowercase().into(), text.into()))
    };
    pairs.iter().map(read).collect()
}

fn unfit_meta(why: String) -> Failure {
    Failure::usage("the value was not written", why, "--meta NAME=TEXT, as --meta author=ada")
}
