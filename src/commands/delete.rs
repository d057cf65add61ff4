//! `henge delete`.

use henge_actors::{Context, DeleteOptions, ReadOptions, Store as _};
use henge_kernel::id::WriteId;

use super::{
    failure::{Exit, Failure},
    found::Found,
    get,
    session::Session,
    words::key_of,
    writing::Writing,
};
use crate::cli::{Cli, DeleteArgs};

pub(super) fn run(args: &DeleteArgs, cli: &Cli) -> Result<Exit, Failure> {
    let key = key_of(&args.key)?;
    Session::run(cli, &args.connect, async |session| {
        let writing = Writing::new(session, &key, "deleted", &args.write);
        let context = if args.read_first {
            let answer = get::read(session, &key, ReadOptions::default(), "").await?;
            if answer.versions().is_empty() {
                return Found::of(session, &key, &answer).show(cli.global.json);
            }
            answer.context()
        } else {
            writing.context(args.context.as_deref())?
        };
        let deleted = session.client.delete(&key, options(args, context, writing.write_id)).await;
        let deleted = deleted.map_err(|error| writing.failed(&error))?;
        writing.show(&deleted, cli.global.json)
    })
}

fn options(args: &DeleteArgs, context: Context, write_id: WriteId) -> DeleteOptions {
    DeleteOptions {
        context,
        w: args.write.w,
        pw: args.write.pw,
        sloppy: args.write.sloppy,
        timeout: None,
        durability: args.write.durability,
        write_id: Some(write_id),
    }
}
