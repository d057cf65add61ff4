//! `henge put`: a value from the command line or stdin.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Read as _},
    os::unix::ffi::OsStrExt as _,
};

use henge_actors::{
    Answer, Context, Key, PutOptions, Store as _, Value, Written,
    environment::{Entropy as _, SystemEntropy},
};
use henge_kernel::{bucket::VALUE_BYTES_MAX, id::WriteId};
use serde::Serialize;

use super::{
    failure::{Asked, Exit, Failure},
    found::{Found, ReplicaCounts, token},
    output,
    session::Session,
    words::{key_of, shown_key},
};
use crate::{
    cli::{Cli, PutArgs},
    surfaces::http::headers::{
        CONTENT_TYPE_BYTES_MAX, META_BYTES_MAX, META_COUNT_MAX, is_media_type, is_token,
    },
};

pub(super) fn run(args: &PutArgs, cli: &Cli) -> Result<Exit, Failure> {
    let key = key_of(&args.key)?;
    let value = value(args)?;
    Session::run(cli, &args.connect, async |session| {
        let context = context_of(session, &key, args.context.as_deref())?;
        let write_id = args.write.write_id.unwrap_or_else(draw_write_id);
        let options = PutOptions {
            context,
            w: args.write.w,
            pw: args.write.pw,
            sloppy: args.write.sloppy,
            timeout: None,
            ttl: args.ttl,
            durability: args.write.durability,
            write_id: Some(write_id),
            return_body: args.return_body,
        };
        let written = session.client.put(&key, value, options).await;
        let written = written
            .map_err(|error| Writing { session, key: &key, write_id }.failed(&error, "written"))?;
        let got = written.got.as_ref().map(|got| Found {
            session,
            key: &key,
            got,
            replicas: written.replicas,
        });
        match got {
            Some(found) => found.show(cli.global.json),
            None => show_written(session, &key, &written, cli.global.json),
        }
    })
}

/// What was left behind by a put or delete: its context.
pub(super) fn show_written(
    session: &Session,
    key: &Key,
    written: &Answer<Written>,
    as_json: bool,
) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Document {
        context: String,
        dot: String,
        replicas: ReplicaCounts,
    }
    let context = token(session, key, &written.context);
    if as_json {
        let (dot, replicas) = (written.dot.to_string(), written.replicas.into());
        output::json(&Document { context, dot, replicas })?;
    } else {
        output::raw(format!("{context}\n").as_bytes())?;
    }
    Ok(Exit::Ok)
}

/// A put or delete under way.
pub(super) struct Writing<'a> {
    pub(super) session: &'a Session,
    pub(super) key: &'a Key,
    pub(super) write_id: WriteId,
}

impl Writing<'_> {
    /// Why it failed, and what to do if that leaves open what it did.
    pub(super) fn failed(&self, error: &crate::ClientError, done: &str) -> Failure {
        let again = format!(
            "run it again with --write-id {}: it stays one write, however often it arrives",
            self.write_id
        );
        let look = self.session.line("get").operands(self.key, None).into_text();
        let object = shown_key(self.key);
        let bucket = self.session.line("bucket get").bucket(self.key.bucket()).into_text();
        let (look, bucket) = (look.as_str(), bucket.as_str());
        Asked { object: &object, done, writes: true, again: &again, look, bucket }.failed(error)
    }
}

/// The context that `token` means for `key`.
pub(super) fn context_of(
    session: &Session,
    key: &Key,
    token: Option<&str>,
) -> Result<Context, Failure> {
    let Some(token) = token else { return Ok(Context::default()) };
    Context::from_token(&session.client.context_key(), key, token).map_err(|error| {
        let get = session.line("get").words("--context-only").operands(key, None).into_text();
        Failure::usage(
            format!("{} was not written", shown_key(key)),
            error.to_string(),
            format!("take the context that was given for this very key: {get}"),
        )
    })
}

/// A fresh name for a write.
pub(super) fn draw_write_id() -> WriteId {
    let half = || u128::from(SystemEntropy.draw("write id"));
    WriteId(half() << 64 | half())
}

fn value(args: &PutArgs) -> Result<Value, Failure> {
    let content_type = args.content_type.as_deref().map(content_type).transpose()?;
    let meta = meta(&args.meta)?.into_iter().collect();
    let bytes = match &args.value {
        Some(value) if value != "-" => value.as_bytes().to_vec(),
        _ => stdin()?,
    };
    Ok(Value { bytes: bytes.into(), content_type, meta })
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
    if text.len() <= CONTENT_TYPE_BYTES_MAX && is_media_type(text) {
        return Ok(text.into());
    }
    Err(Failure::usage(
        "the value was not written",
        format!("--content-type is no media type of at most {CONTENT_TYPE_BYTES_MAX} bytes"),
        "name one such as text/plain or 'text/plain; charset=utf-8'",
    ))
}

/// Names and texts as over HTTP: names in lower case, each once, in one order for all.
fn meta(pairs: &[String]) -> Result<BTreeMap<Box<str>, Box<str>>, Failure> {
    let refused = |why: String| {
        Failure::usage("the value was not written", why, "--meta NAME=TEXT, as --meta author=ada")
    };
    let mut meta: BTreeMap<Box<str>, Box<str>> = BTreeMap::new();
    for pair in pairs {
        let named = pair.split_once('=').filter(|(name, _)| is_token(name));
        let (name, text) = named.ok_or_else(|| refused(format!("--meta {pair} names nothing")))?;
        if text.chars().any(char::is_control) {
            return Err(refused(format!("--meta {name} has a control character")));
        }
        if meta.insert(name.to_ascii_lowercase().into(), text.into()).is_some() {
            return Err(refused(format!("--meta {name} is given twice")));
        }
    }
    let bytes: usize = meta.iter().map(|(name, text)| name.len() + text.len()).sum();
    if meta.len() > META_COUNT_MAX || bytes > META_BYTES_MAX {
        let (count, most) = (meta.len(), META_COUNT_MAX);
        return Err(refused(format!(
            "--meta: {count} with {bytes} bytes; at most {most} with {META_BYTES_MAX} bytes are kept"
        )));
    }
    Ok(meta)
}
