//! `henge members`.

use henge_actors::reports::{ClusterReport, HealthReport};
use serde::Serialize;

use super::{
    failure::{Exit, Failure},
    screen::{self, Screen},
    status::{Standing, lag_text, owns_text, since_text},
    table::{Cell, Table},
};
use crate::cli::{Cli, MembersArgs};

pub(super) fn run(args: &MembersArgs, cli: &Cli) -> Result<Exit, Failure> {
    screen::run(cli, &args.screen, &async |session| {
        let report = session.client.cluster().await;
        report.map(Members).map_err(|error| screen::unread("the list of members", &error))
    })
}

#[derive(Serialize)]
#[serde(transparent)]
struct Members(ClusterReport);

impl Screen for Members {
    fn paint(&self) -> String {
        let Self(report) = self;
        let columns = [
            "",
            "NODE",
            "ADDRESS",
            "ZONE",
            "WEIGHT>",
            "OWNS>",
            "SINCE",
            "LAG>",
            "STORAGE",
            "CLOCK>",
            "INCARNATION",
        ];
        let mut table = Table::new(&columns);
        for member in &report.members {
            let (standing, health) = (Standing::of(member), member.health.as_ref());
            let incarnation = member.incarnation.as_deref();
            table.row([
                Cell::new(standing.letters(), standing.tone()),
                member.name.as_str().into(),
                member.address.as_str().into(),
                member.zone.as_str().into(),
                member.weight.to_string().into(),
                owns_text(member.owns, report.partitions).into(),
                since_text(member, standing).into(),
                lag_text(member, standing).into(),
                health.map_or("—", |health| &health.storage).into(),
                health.and_then(clock_text).unwrap_or_else(|| "—".to_owned()).into(),
                incarnation.unwrap_or("—").into(),
            ]);
        }
        format!("{table}As {} sees it.\n", report.node)
    }
}

/// How far the member's clock is off that of the node that answers.
fn clock_text(health: &HealthReport) -> Option<String> {
    health.clock_offset_ms.map(|offset| format!("{offset:+} ms"))
}
