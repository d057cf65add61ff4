//! `henge repair`: how far one node and its peers hold the same, and what it may lack.

use henge_actors::reports::{AntiEntropyReport, DivergedReport, PeerSyncReport};
use serde::Serialize;

use super::{
    failure::{Exit, Failure},
    screen::{self, Screen, span_text},
    table::{Cell, Table, Tone},
};
use crate::cli::{Cli, RepairArgs};

/// Partitions that are named one by one; the rest is counted.
const NAMED_MAX: usize = 8;

pub(super) fn run(args: &RepairArgs, cli: &Cli) -> Result<Exit, Failure> {
    screen::run(cli, &args.screen, &async |session| {
        let report = session.client.anti_entropy().await;
        report.map(Repair).map_err(|error| screen::unread("the state of the repair", &error))
    })
}

#[derive(Serialize)]
#[serde(transparent)]
struct Repair(AntiEntropyReport);

impl Screen for Repair {
    fn paint(&self) -> String {
        let Self(report) = self;
        let mut lines = own_lines(report);
        if report.peers.is_empty() {
            lines.insert(
                0,
                format!("{} has met no node that it shares partitions with.", report.node),
            );
            return lines.join("\n") + "\n";
        }
        let mut table = Table::new(&["PEER", "STATE", "LAST EXCHANGE>", "KEYS MENDED>"]);
        for peer in &report.peers {
            let (state, tone) = state_of(peer);
            table.row([
                peer.name.as_str().into(),
                Cell::new(state, tone),
                peer.exchanged_ms.map_or_else(|| "never".to_owned(), ago).into(),
                peer.mended.to_string().into(),
            ]);
        }
        lines.extend(report.peers.iter().filter_map(partitions_line));
        format!("{table}{}\n", lines.join("\n"))
    }
}

/// What a peer and the node hold of what they share.
fn state_of(peer: &PeerSyncReport) -> (String, Tone) {
    let longest = peer.diverged.iter().map(|one| one.since_ms).max();
    match (longest, peer.exchanged_ms) {
        (Some(since), _) => (format!("diverged for {}", span_text(since)), Tone::Doubtful),
        (None, Some(_)) => ("in sync".to_owned(), Tone::Good),
        (None, None) => ("not compared yet".to_owned(), Tone::Doubtful),
    }
}

fn ago(ms: u64) -> String {
    format!("{} ago", span_text(ms))
}

/// Which partitions differ, and since when.
fn partitions_line(peer: &PeerSyncReport) -> Option<String> {
    let named = |one: &DivergedReport| format!("{} ({})", one.partition, span_text(one.since_ms));
    let names: Vec<_> = peer.diverged.iter().take(NAMED_MAX).map(named).collect();
    let rest = peer.diverged.len() - names.len();
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let line = format!("Partitions that differ with {}: {}{rest}.", peer.name, names.join(", "));
    (!names.is_empty()).then_some(line)
}

/// What the node says of itself.
fn own_lines(report: &AntiEntropyReport) -> Vec<String> {
    let AntiEntropyReport { node, incomplete, quarantined, clashes, owed, .. } = report;
    let AntiEntropyReport { read_repairs, scrub, .. } = report;
    let mut lines = Vec::new();
    if *incomplete > 0 {
        lines.push(format!(
            "{node} may lack records of {incomplete} partitions: reads rely on the other homes \
             until they were compared."
        ));
    }
    if *quarantined > 0 {
        lines.push(format!(
            "{quarantined} damaged records of {node} wait until every other home was asked."
        ));
    }
    if !owed.is_empty() {
        lines.push(format!("To be compared as soon as they are back: {}.", owed.join(", ")));
    }
    if *clashes > 0 {
        lines.push(format!(
            "{clashes} times one write had two contents: settled alike everywhere, and an alarm."
        ));
    }
    if scrub.mismatched > 0 {
        lines.push(format!(
            "{} times a tree did not match its records: put right, and an alarm.",
            scrub.mismatched
        ));
    }
    if scrub.lost > 0 {
        lines.push(format!(
            "{} damaged records of {node} are lost: nobody else had them, or they were kept for \
             others. See its log.",
            scrub.lost
        ));
    }
    if lines.is_empty() {
        lines.push(format!("{node} lacks nothing that it knows of."));
    }
    if read_repairs.sent + read_repairs.shed > 0 {
        lines.push(format!(
            "Reads through {node} repaired {} times, and left {} to the next exchange.",
            read_repairs.sent, read_repairs.shed
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use henge_actors::reports::{ReadRepairReport, ScrubReport};

    use super::*;

    fn report() -> AntiEntropyReport {
        let diverged = (0..10).map(|partition| DivergedReport { partition, since_ms: 61_000 });
        let peer = |name: &str, diverged, exchanged_ms| PeerSyncReport {
            name: name.to_owned(),
            compared_ms: None,
            exchanged_ms,
            mended: 7,
            diverged,
        };
        AntiEntropyReport {
            node: "node-a".to_owned(),
            peers: vec![
                peer("node-b", Vec::new(), Some(3_000)),
                peer("node-c", diverged.collect(), Some(1_000)),
                peer("node-d", Vec::new(), None),
            ],
            exchanges: 1,
            questions: 0,
            mended: 21,
            bytes: 0,
            traffic_bytes: 0,
            tree_bytes: 0,
            clashes: 0,
            incomplete: 2,
            quarantined: 1,
            owed: vec!["node-d".to_owned()],
            read_repairs: ReadRepairReport { sent: 3, joined: 2, shed: 1 },
            scrub: ScrubReport { records: 9, damaged: 1, mismatched: 1, lost: 2 },
        }
    }

    #[test]
    fn each_peer_has_a_line_and_what_is_wrong_is_said_below() {
        let painted = Repair(report()).paint();
        let painted = anstream::adapter::strip_str(&painted).to_string();
        let lines: Vec<&str> = painted.lines().map(str::trim).collect();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[1]), "node-b in sync 3s ago 7");
        assert_eq!(words(lines[2]), "node-c diverged for 1m 1s 1s ago 7");
        assert_eq!(words(lines[3]), "node-d not compared yet never 7");
        assert!(lines[4].starts_with("node-a may lack records of 2 partitions"), "{painted}");
        assert!(lines[5].starts_with("1 damaged records of node-a"), "{painted}");
        assert_eq!(lines[6], "To be compared as soon as they are back: node-d.");
        let last = "Partitions that differ with node-c: 0 (1m 1s), 1 (1m 1s)";
        assert!(lines[7].starts_with("1 times a tree did not match"), "{painted}");
        assert!(lines[8].starts_with("2 damaged records of node-a are lost"), "{painted}");
        assert_eq!(
            lines[9],
            "Reads through node-a repaired 3 times, and left 1 to the next exchange."
        );
        assert!(lines[10].starts_with(last) && lines[10].ends_with(" and 2 more."), "{painted}");
    }
}
