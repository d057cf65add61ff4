//! `henge put`: a value what is left behind is its context.

use henge_actors::{
    Answer, Context, Key, PutOptions, Store as _, Written,
    environment::{Entropy as _, SystemEntropy},
};
use henge_kernel::id::WriteId;
use serde::Serialize;

use super::{
    failure::{Asked, Exit, Failure},
    found::{Found, ReplicaCounts, token},
    output,
    session::Session,
    value,
    words::{key_of, shown_key},
};
use crate::{
    ClientError,
    cli::{Cli, PutArgs},
};

pub(super) fn run(args: &PutArgs, cli: &Cli) -> Result<Exit, Failure> {
    let key = key_of(&args.key)?;
    let given = if args.keep.is_none() { Some(value::given(args)?) } else { None };
    Session::run(cli, &args.connect, async |session| {
        let context = context_of(session, &key, args.context.as_deref())?;
        let (value, ttl) = match (given, &args.keep) {
            (Some(value), _) => (value, args.ttl),
            (None, dot) => {
                let dot = dot.as_deref().unwrap_or_default();
                let kept = value::kept(session, &key, dot).await?;
                let (value, left) = kept.ok_or_else(|| no_longer(session, &key, dot))?;
                (value, args.ttl.or(left))
            }
        };
        let write_id = args.write.write_id.unwrap_or_else(draw_write_id);
        let options = PutOptions {
            context,
            w: args.write.w,
            pw: args.write.pw,
            sloppy: args.write.sloppy,
            timeout: None,
            ttl,
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

/// A sibling that is asked for is gone.
pub(super) fn no_longer(session: &Session, key: &Key, dot: &str) -> Failure {
    let look = session.line("get").operands(key, None).into_text();
    Failure::new(
        format!("{dot} was not read"),
        format!("{} holds it no more", shown_key(key)),
        format!("{look} shows what it holds now"),
        Exit::NotFound,
    )
}

/// A put or delete under way.
pub(super) struct Writing<'a> {
    pub(super) session: &'a Session,
    pub(super) key: &'a Key,
    pub(super) write_id: WriteId,
}

impl Writing<'_> {
    /// Why it failed, and what to do if that leaves open what it did.
    pub(super) fn failed(&self, error: &ClientError, done: &str) -> Failure {
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
