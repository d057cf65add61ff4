//! `henge hints`: what one node keeps for nodes that are away.

use henge_actors::reports::HintsReport;
use serde::Serialize;

use super::{
    failure::{Exit, Failure},
    screen::{self, Screen, count_text, size_text, span_text},
    table::Table,
};
use crate::cli::{Cli, HintsArgs};

pub(super) fn run(args: &HintsArgs, cli: &Cli) -> Result<Exit, Failure> {
    screen::run(cli, &args.screen, &async |session| {
        let report = session.client.hints().await;
        report.map(Hints).map_err(|error| screen::unread("the hints", &error))
    })
}

#[derive(Serialize)]
#[serde(transparent)]
struct Hints(HintsReport);

impl Screen for Hints {
    fn paint(&self) -> String {
        let Self(HintsReport { node, homes, .. }) = self;
        if homes.is_empty() {
            return format!("{node} keeps nothing for other nodes.\n");
        }
        let mut table = Table::new(&["FOR", "RECORDS>", "BYTES>", "OLDEST>"]);
        for home in homes {
            table.row([
                home.home.as_str().into(),
                count_text(home.count).into(),
                size_text(home.bytes).into(),
                span_text(home.oldest_ms).into(),
            ]);
        }
        format!("{table}Kept by {node}; handed over when they are back.\n")
    }
}
