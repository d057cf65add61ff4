//! What puts and deletes have in common: a name, a context to begin with, and one to end with.

use henge_actors::{
    Answer, Context, Key, RequestError, Written,
    environment::{Entropy as _, SystemEntropy},
};
use henge_kernel::{bucket::VALUE_BYTES_MAX, id::WriteId};
use serde::Serialize;

use super::{
    failure::{Asked, Exit, Failure},
    found::{ReplicaCounts, token},
    output,
    session::Session,
    words::shown_key,
};
use crate::{ClientError, cli::WriteArgs};

/// A put or delete under way.
pub struct Writing<'a> {
    session: &'a Session,
    key: &'a Key,
    /// What it does to the key: `written` or `deleted`.
    done: &'static str,
    /// Its name.
    pub write_id: WriteId,
}

impl<'a> Writing<'a> {
    /// A write of `key`, under the name that was given or a fresh one.
    pub fn new(session: &'a Session, key: &'a Key, done: &'static str, args: &WriteArgs) -> Self {
        let write_id = args.write_id.unwrap_or_else(|| SystemEntropy.draw_write_id());
        Self { session, key, done, write_id }
    }

    /// The context that `token` means for the key; the empty one without.
    pub fn context(&self, token: Option<&str>) -> Result<Context, Failure> {
        let Some(token) = token else { return Ok(Context::default()) };
        Context::from_token(&self.session.client.context_key(), self.key, token)
            .map_err(|error| self.failed(&RequestError::from(error).into()))
    }

    /// Why it failed, and what to do if that leaves open what it did.
    pub fn failed(&self, error: &ClientError) -> Failure {
        let again = format!(
            "run it again with --write-id {}: it stays one write, however often it arrives",
            self.write_id
        );
        let look = self.session.line("get").operands(self.key, None).into_text();
        let bucket = self.session.line("bucket get").bucket(self.key.bucket()).into_text();
        let object = shown_key(self.key);
        let asked = Asked {
            object: &object,
            done: self.done,
            writes: true,
            again: &again,
            look: &look,
            bucket: &bucket,
            fewer: "--w",
        };
        let failure = asked.failed(error);
        match error {
            // No more than this is read of stdin.
            ClientError::Request(RequestError::TooLarge { size, max })
                if *size > VALUE_BYTES_MAX.into() =>
            {
                let why = format!("the value has at least {size} bytes; the bucket takes {max}");
                Failure { why, ..failure }
            }
            _ => failure,
        }
    }

    /// Prints the context that it left behind.
    pub fn show(&self, written: &Answer<Written>, as_json: bool) -> Result<Exit, Failure> {
        let context = token(self.session, self.key, &written.context);
        if as_json {
            let (dot, replicas) = (written.dot.to_string(), written.replicas.into());
            output::json(&Document { context, dot, replicas })?;
        } else {
            output::raw(format!("{context}\n").as_bytes())?;
        }
        Ok(Exit::Ok)
    }
}

#[derive(Serialize)]
struct Document {
    context: String,
    dot: String,
    replicas: ReplicaCounts,
}
