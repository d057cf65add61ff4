//! `henge keys`: page by page, until there are as many as were asked for.

use bytes::Bytes;
use henge_actors::{
    Store as _,
    api::{KEYS_PER_PAGE_MAX, KeyQuery},
};

use super::{
    failure::{Exit, Failure},
    output, screen,
    session::Session,
    words::{bucket_of, bytes_of, percent_encoded, printable, shell_word, shown},
};
use crate::{
    cli::{Cli, KeysArgs},
    surfaces::http::documents::Keys,
};

pub(super) fn run(args: &KeysArgs, cli: &Cli) -> Result<Exit, Failure> {
    let bucket = bucket_of(&args.bucket, args.percent)?;
    let prefix = args.prefix.as_deref().map(|prefix| bytes_of(prefix, args.percent));
    let prefix = prefix.transpose()?.unwrap_or_default();
    Session::run(cli, &args.connect, async |session| {
        let mut listing = Listing { session, bucket: &bucket, args, left: args.limit };
        if cli.global.json { listing.document(prefix).await } else { listing.lines(prefix).await }
    })
}

struct Listing<'a> {
    session: &'a Session,
    bucket: &'a Bytes,
    args: &'a KeysArgs,
    left: u64,
}

impl Listing<'_> {
    /// The next keys, and where they end if there may be more.
    async fn page(
        &mut self,
        prefix: &Bytes,
        after: Option<String>,
    ) -> Result<(Vec<Bytes>, Option<String>), Failure> {
        let limit = self.left.min(KEYS_PER_PAGE_MAX.into());
        let limit = u16::try_from(limit).unwrap_or(KEYS_PER_PAGE_MAX);
        let query = KeyQuery { prefix: prefix.clone(), after, limit };
        let object = format!("the list of keys in {}", shown(self.bucket));
        let page = self.session.client.keys(self.bucket, query).await;
        let page = page.map_err(|error| screen::unread(&object, &error))?;
        self.left = self.left.saturating_sub(page.keys.len() as u64);
        Ok((page.keys, page.next))
    }

    async fn document(&mut self, prefix: Bytes) -> Result<Exit, Failure> {
        let (mut keys, mut next) = (Vec::new(), self.args.after.clone());
        loop {
            let (more, end) = self.page(&prefix, next).await?;
            keys.extend(more);
            next = end;
            if next.is_none() || self.left == 0 {
                output::json(&Keys::new(keys, next))?;
                return Ok(Exit::Ok);
            }
        }
    }

    async fn lines(&mut self, prefix: Bytes) -> Result<Exit, Failure> {
        let (mut next, mut hidden) = (self.args.after.clone(), false);
        loop {
            let (keys, end) = self.page(&prefix, next).await?;
            hidden |= keys.iter().any(|key| printable(key).is_none());
            let lines: Vec<u8> = keys.iter().flat_map(|key| self.line(key)).collect();
            let reader = output::raw(&lines)?;
            next = end;
            if next.is_none() || self.left == 0 || !reader {
                break;
            }
        }
        if hidden && output::is_terminal() && !self.args.percent {
            output::message("some keys are no text and shown as --percent writes them");
        }
        if let Some(next) = next.filter(|_| self.left == 0) {
            self.point_on(&prefix, &next);
        }
        Ok(Exit::Ok)
    }

    fn line(&self, key: &Bytes) -> Vec<u8> {
        let mut line = match self.args.percent {
            true => percent_encoded(key).into_bytes(),
            false if output::is_terminal() => shown(key).into_bytes(),
            false => key.to_vec(),
        };
        line.push(b'\n');
        line
    }

    /// Says how to see the keys that follow.
    fn point_on(&self, prefix: &Bytes, next: &str) {
        let line = self.session.line("keys").option("--after", next);
        let visible = [prefix, self.bucket].iter().all(|name| printable(name).is_some());
        let line = if visible && !self.args.percent {
            line.words(&format!("--prefix={}", shell_word(prefix))).bucket(self.bucket)
        } else {
            line.words(&format!("--percent --prefix={} --", percent_encoded(prefix)))
                .words(&percent_encoded(self.bucket))
        };
        output::message(&format!("there may be more: {}", line.into_text()));
    }
}
