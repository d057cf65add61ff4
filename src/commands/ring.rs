//! `henge ring`: who owns how much, or who holds a key.

use henge_actors::{
    Key,
    reports::{ClusterReport, PreferenceReport, RingReport},
};
use serde::Serialize;

use super::{
    failure::{Exit, Failure},
    screen::{self, Screen},
    status::Standing,
    table::{Cell, Table},
    words,
};
use crate::cli::{Cli, RingArgs};

pub(super) fn run(args: &RingArgs, cli: &Cli) -> Result<Exit, Failure> {
    let (Some(bucket), Some(key)) = (&args.bucket, &args.key) else {
        return screen::run(cli, &args.screen, &async |session| {
            let report = session.client.ring().await;
            report.map(Owners).map_err(|error| screen::unread("the ring", &error))
        });
    };
    let key = words::key(bucket, key, args.percent)?;
    screen::run(cli, &args.screen, &async |session| {
        let failed = |error| screen::unread("the ring", &error);
        let list = session.client.preference_list(&key).await.map_err(failed)?;
        let cluster = session.client.cluster().await.map_err(failed)?;
        Ok(Preference { key: key.clone(), list, cluster })
    })
}

#[derive(Serialize)]
#[serde(transparent)]
struct Owners(RingReport);

impl Screen for Owners {
    fn paint(&self) -> String {
        let Self(RingReport { epoch, digest, partitions, owners, .. }) = self;
        let mut table = Table::new(&["NODE", "PARTITIONS>", "SHARE>"]);
        for owner in owners {
            let share = format!("{:.1} %", owner.share);
            table.row([owner.name.as_str().into(), owner.owns.to_string().into(), share.into()]);
        }
        format!(
            "{partitions} partitions · epoch {epoch} · digest {digest}\n{table}\
             `henge ring BUCKET KEY` shows who holds a key.\n"
        )
    }
}

/// Who holds a key, and how they are.
#[derive(Serialize)]
#[serde(transparent)]
struct Preference {
    #[serde(skip)]
    key: Key,
    list: PreferenceReport,
    #[serde(skip)]
    cluster: ClusterReport,
}

impl Preference {
    fn row(&self, table: &mut Table, place: usize, role: &str, name: &str) {
        let member = self.cluster.members.iter().find(|member| member.name == name);
        let (state, address) = match member {
            Some(member) => {
                let standing = Standing::of(member);
                (Cell::new(standing.letters(), standing.tone()), member.address.as_str())
            }
            None => ("".into(), "—"),
        };
        table.row([place.to_string().into(), state, name.into(), role.into(), address.into()]);
    }
}

impl Screen for Preference {
    fn paint(&self) -> String {
        let PreferenceReport { token, partition, n, homes, fallbacks } = &self.list;
        let mut table = Table::new(&["#>", "", "NODE", "ROLE", "ADDRESS"]);
        let roles = homes.iter().map(|name| ("home", name));
        let roles = roles.chain(fallbacks.iter().map(|name| ("fallback", name)));
        for (place, (role, name)) in (1..).zip(roles) {
            self.row(&mut table, place, role, name);
        }
        let key = words::shown_key(&self.key);
        format!("{key} · token {token} · partition {partition} · N={n}\n{table}")
    }
}
