//! `henge status`: how the cluster is, what that means, and what to do.

use henge_actors::reports::{ClusterReport, MemberReport, WaitingReport};
use serde::Serialize;

use super::{
    failure::{Exit, Failure},
    screen::{self, Screen, count_text, size_text, span_text},
    table::{Cell, Table, Tone},
};
use crate::cli::{Cli, StatusArgs};

pub(super) fn run(args: &StatusArgs, cli: &Cli) -> Result<Exit, Failure> {
    screen::run(cli, &args.screen, &async |session| {
        let report = session.client.cluster().await;
        report.map(Status).map_err(|error| screen::unread("the status", &error))
    })
}

#[derive(Serialize)]
#[serde(transparent)]
struct Status(ClusterReport);

impl Screen for Status {
    fn paint(&self) -> String {
        let Self(report) = self;
        let mut table = Table::new(&[
            "",
            "NODE",
            "ZONE",
            "STATE",
            "OWNS>",
            "KEYS>",
            "DISK>",
            "HINTS FOR>",
            "LAG>",
            "UP",
        ]);
        for member in &report.members {
            let standing = Standing::of(member);
            let said = member.health.as_ref().filter(|_| standing.life != Life::Down);
            table.row([
                Cell::new(standing.letters(), standing.tone()),
                member.name.as_str().into(),
                member.zone.as_str().into(),
                standing.word().into(),
                owns_text(member.owns, report.partitions).into(),
                said.map_or(UNKNOWN.to_owned(), |health| count_text(health.keys)).into(),
                said.map_or(UNKNOWN.to_owned(), |health| size_text(health.disk_bytes)).into(),
                count_text(member.hints.count).into(),
                lag_text(member, standing).into(),
                since_text(member, standing).into(),
            ]);
        }
        format!("{}\n{table}{}", headline(report), advice(report).join("\n") + "\n")
    }
}

/// In place of a figure that nobody tells.
const UNKNOWN: &str = "?";

/// How a member stands, as the answering node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    life: Life,
    storage: Storage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Up,
    Suspected,
    Down,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storage {
    Normal,
    Incomplete,
    Full,
    Poisoned,
}

impl Standing {
    pub(super) fn of(member: &MemberReport) -> Self {
        let life = match &*member.liveness {
            "up" if member.suspected => Life::Suspected,
            "up" => Life::Up,
            "down" => Life::Down,
            _ => Life::Unknown,
        };
        let said = member.health.as_ref().map_or("ok", |health| &health.storage);
        let storage = match said {
            "incomplete" => Storage::Incomplete,
            "full" => Storage::Full,
            "poisoned" => Storage::Poisoned,
            _ => Storage::Normal,
        };
        Self { life, storage }
    }

    /// Life and storage, a letter each.
    pub(super) fn letters(self) -> String {
        let life = match self.life {
            Life::Up => 'U',
            Life::Suspected => 'S',
            Life::Down => 'D',
            Life::Unknown => '?',
        };
        let storage = match self.storage {
            Storage::Normal => 'N',
            Storage::Incomplete => 'I',
            Storage::Full => 'F',
            Storage::Poisoned => 'P',
        };
        format!("{life}{storage}")
    }

    pub(super) fn word(self) -> &'static str {
        match self.life {
            Life::Up => "up",
            Life::Suspected => "suspected",
            Life::Down => "down",
            Life::Unknown => "unknown",
        }
    }

    pub(super) fn tone(self) -> Tone {
        match self {
            Self { life: Life::Down, .. } | Self { storage: Storage::Poisoned, .. } => Tone::Bad,
            Self { life: Life::Up, storage: Storage::Normal } => Tone::Good,
            _ => Tone::Doubtful,
        }
    }
}

fn headline(report: &ClusterReport) -> String {
    let ClusterReport { cluster, members, partitions, ring_epoch, n, .. } = report;
    let n = match n.as_slice() {
        [] => String::new(),
        [n] => format!(" · N={n} everywhere"),
        [n, others @ ..] => {
            let others: Vec<_> = others.iter().map(u8::to_string).collect();
            format!(" · N={n}, in some buckets {}", others.join(", "))
        }
    };
    let nodes = if members.len() == 1 { "node" } else { "nodes" };
    format!(
        "cluster {cluster} · {} {nodes} · {partitions} partitions · ring epoch {ring_epoch}{n}",
        members.len()
    )
}

/// Part of the ring that a member owns.
pub(super) fn owns_text(owns: usize, partitions: u16) -> String {
    let owns = u32::try_from(owns).map_or(0.0, f64::from);
    format!("{:.1} %", 100.0 * owns / f64::from(partitions.max(1)))
}

/// How late a member's event loop is by its own word; what a member that is down said is old.
pub(super) fn lag_text(member: &MemberReport, standing: Standing) -> String {
    match &member.health {
        Some(health) if standing.life != Life::Down => format!("{} ms", health.loop_lag_ms),
        _ => "—".to_owned(),
    }
}

/// How long it has been so.
pub(super) fn since_text(member: &MemberReport, standing: Standing) -> String {
    let span = span_text(member.since_ms);
    match standing.life {
        Life::Up | Life::Suspected => span,
        Life::Down => format!("down {span}"),
        Life::Unknown => "not heard of yet".to_owned(),
    }
}

/// What the table means, and what to do about it.
fn advice(report: &ClusterReport) -> Vec<String> {
    let mut advice: Vec<String> = report.members.iter().filter_map(advice_on).collect();
    if advice.is_empty() {
        advice.push("All nodes are up.".to_owned());
    }
    advice.extend(report.members.iter().filter_map(advice_on_hints));
    let nodes = report.members.len();
    if let Some(n) = report.n.iter().find(|n| usize::from(**n) > nodes) {
        advice.push(format!("There are fewer nodes ({nodes}) than some keys want replicas ({n})."));
    }
    if let Some(skew) = report.clock_skew_ms {
        advice.push(format!(
            "The clock of {} is {skew} ms off its peers': set it, or TTLs and last-writer-wins go \
             wrong.",
            report.node
        ));
    }
    advice
}

fn advice_on_hints(member: &MemberReport) -> Option<String> {
    let WaitingReport { count, oldest_ms } = member.hints;
    let (hints, wait) = if count == 1 { ("hint", "waits") } else { ("hints", "wait") };
    let waiting = (count > 0).then(|| format!("{} {hints} {wait}", count_text(count)))?;
    let (name, oldest) = (&member.name, span_text(oldest_ms));
    Some(format!("{waiting} for {name}, the oldest for {oldest}: `henge hints` says where."))
}

fn advice_on(member: &MemberReport) -> Option<String> {
    let (name, standing) = (&member.name, Standing::of(member));
    Some(match (standing.life, standing.storage) {
        (Life::Down, _) => format!(
            "{name} is down: requests go on while enough homes of their key are up. See its log, \
             start it again; it was at {}.",
            member.address
        ),
        (Life::Unknown, _) => {
            format!(
                "{name} has not been heard of: is it started, and reached at {}?",
                member.address
            )
        }
        (_, Storage::Poisoned) => format!(
            "{name} takes no more writes: a write to its disk failed. See its log, mend the disk, \
             start it again."
        ),
        (_, Storage::Full) => {
            format!(
                "The disk of {name} is nearly full: it takes reads and deletes, no puts. Make room."
            )
        }
        (Life::Suspected, _) => format!("{name} does not answer just now."),
        (_, Storage::Incomplete) => format!(
            "{name} lost records, or may have: reads rely on the other homes until it has been \
             compared with them. See henge repair --node {}.",
            member.address
        ),
        (Life::Up, Storage::Normal) => return None,
    })
}
