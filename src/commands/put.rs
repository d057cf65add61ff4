//! `henge put`: writes a value; what it leaves behind is its context.

use henge_actors::{Context, PutOptions, Store as _};
use henge_kernel::id::WriteId;

use super::{
    failure::{Exit, Failure},
    found::Found,
    session::Session,
    value::Given,
    words::key_of,
    writing::Writing,
};
use crate::cli::{Cli, PutArgs};

pub(super) fn run(args: &PutArgs, cli: &Cli) -> Result<Exit, Failure> {
    let key = key_of(&args.key)?;
    let given = Given::of(args)?;
    Session::run(cli, &args.connect, async |session| {
        let writing = Writing::new(session, &key, "written", &args.write);
        let context = writing.context(args.context.as_deref())?;
        let (value, left) = given.value(session, &key).await?;
        let mut options = options(args, context, writing.write_id);
        options.ttl = args.ttl.or(left);
        let written = session.client.put(&key, value, options).await;
        let written = written.map_err(|error| writing.failed(&error))?;
        match &written.got {
            Some(got) => {
                Found { session, key: &key, got, replicas: written.replicas }.show(cli.global.json)
            }
            None => writing.show(&written, cli.global.json),
        }
    })
}

fn options(args: &PutArgs, context: Context, write_id: WriteId) -> PutOptions {
    PutOptions {
        context,
        w: args.write.w,
        pw: args.write.pw,
        sloppy: args.write.sloppy,
        timeout: None,
        ttl: args.ttl,
        durability: args.write.durability,
        write_id: Some(write_id),
        return_body: args.return_body,
    }
}
