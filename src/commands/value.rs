//! The value of a put: from the command line, from stdin, or one of the siblings that are there.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Read as _},
    os::unix::ffi::OsStrExt as _,
    time::Duration,
};

use henge_actors::{
    Key, ReadOptions, Value,
    environment::{Clock as _, SystemClock},
};
use henge_kernel::{
    bucket::VALUE_BYTES_MAX,
    causality::{Dot, InvalidDescription, Meta, check_content_type, check_meta},
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
        let content_type = args.content_type.as_deref().map(content_type).transpose()?;
        let meta = meta(&args.meta)?;
        let bytes = match &args.value {
            Some(value) if value != "-" => value.as_bytes().to_vec(),
            _ => stdin()?,
        };
        Ok(Self::Value(Value { bytes: bytes.into(), content_type, meta }))
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

fn content_type(text: &str) -> Result<Box<str>, Failure> {
    check_content_type(text).map(|()| text.into()).map_err(|refused| {
        let InvalidDescription { value, limit, .. } = refused;
        Failure::usage(
            "the value was not written",
            format!("--content-type is {value}; it must be {limit}"),
            "name one such as text/plain or 'text/plain; charset=utf-8'",
        )
    })
}

/// Names and texts as over HTTP: names in lower case, each once, in one order for all.
fn meta(pairs: &[String]) -> Result<Meta, Failure> {
    let refused = |why: String| {
        Failure::usage("the value was not written", why, "--meta NAME=TEXT, as --meta author=ada")
    };
    let mut meta: BTreeMap<Box<str>, Box<str>> = BTreeMap::new();
    for pair in pairs {
        let named = pair.split_once('=');
        let (name, text) = named.ok_or_else(|| refused(format!("--meta {pair} names nothing")))?;
        if meta.insert(name.to_ascii_lowercase().into(), text.into()).is_some() {
            return Err(refused(format!("--meta {name} is given twice")));
        }
    }
    let meta: Vec<_> = meta.into_iter().collect();
    check_meta(&meta).map_err(|InvalidDescription { value, limit, .. }| {
        refused(format!("--meta is {value}; it must be {limit}"))
    })?;
    Ok(meta)
}
