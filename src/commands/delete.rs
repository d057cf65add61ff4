//! `henge delete`.

use henge_actors::{DeleteOptions, Got, ReadOptions, Store as _};

use super::{
    failure::{Exit, Failure},
    found::Found,
    get,
    put::{Writing, context_of, draw_write_id, show_written},
    session::Session,
    words::key_of,
};
use crate::cli::{Cli, DeleteArgs};

pub(super) fn run(args: &DeleteArgs, cli: &Cli) -> Result<Exit, Failure> {
    let key = key_of(&args.key)?;
    Session::run(cli, &args.connect, async |session| {
        let context = if args.read_first {
            let answer = get::read(session, &key, ReadOptions::default()).await?;
            if matches!(answer.body, Got::Deleted { .. } | Got::NotFound) {
                return Found::of(session, &key, &answer).show(cli.global.json);
            }
            answer.context()
        } else {
            context_of(session, &key, args.context.as_deref())?
        };
        let write_id = args.write.write_id.unwrap_or_else(draw_write_id);
        let options = DeleteOptions {
            context,
            w: args.write.w,
            pw: args.write.pw,
            sloppy: args.write.sloppy,
            timeout: None,
            durability: args.write.durability,
            write_id: Some(write_id),
        };
        let deleted = session.client.delete(&key, options).await;
        let writing = Writing { session, key: &key, write_id };
        let deleted = deleted.map_err(|error| writing.failed(&error, "deleted"))?;
        show_written(session, &key, &deleted, cli.global.json)
    })
}
