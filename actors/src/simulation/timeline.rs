//! The end of a history as people read it.

use std::fmt::Write as _;

use super::{
    checkers::Violation,
    history::{Event, Invoke, Kind, MarkName},
};

/// The last events that have to do with a violation, oldest first, a line each: those of its key,
/// and whatever was done to the cluster. Without a violation, the last events of all.
pub fn timeline(events: &[Event], violation: Option<&Violation>, lines_max: usize) -> Vec<String> {
    let key = violation.and_then(|violation| violation.key.as_deref());
    let mut lines = Vec::new();
    let mut operations = std::collections::BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        if let Event::Invoke(invoke) = event {
            operations.insert(invoke.id.as_str(), invoke);
        }
        let is_accused = violation.is_some_and(|violation| violation.events.contains(&(index + 1)));
        let Some(line) = line_of(event, key, &operations) else { continue };
        lines.push(format!("{} {line}", if is_accused { '>' } else { ' ' }));
    }
    let skipped = lines.len().saturating_sub(lines_max);
    // What is accused is never left out.
    let accused = |(place, line): &(usize, String)| *place >= skipped || line.starts_with('>');
    lines.into_iter().enumerate().filter(accused).map(|(_, line)| line).collect()
}

fn line_of(
    event: &Event,
    key: Option<&str>,
    operations: &std::collections::BTreeMap<&str, &Invoke>,
) -> Option<String> {
    let concerned = |invoke: &&Invoke| key.is_none_or(|key| key == full_key(invoke));
    let of = |id: &str| operations.get(id).copied().filter(concerned);
    match event {
        Event::Invoke(invoke) => concerned(&invoke).then(|| sent(invoke)),
        Event::Ok(answered) => of(&answered.id).map(|_| {
            let mut shown = answered.vals.clone();
            shown.extend(answered.deleted.then(|| "deleted".to_owned()));
            shown.extend(answered.dot.iter().map(|dot| format!("as {dot}")));
            format!("{:>14}  {:<10} <- ok   {}", at(answered.t), answered.id, shown.join(" "))
        }),
        Event::Info(unanswered) | Event::Fail(unanswered) => of(&unanswered.id).map(|_| {
            let fate = if matches!(event, Event::Info(_)) { "info" } else { "fail" };
            let why = unanswered.err.as_deref().or(unanswered.code.as_deref()).unwrap_or_default();
            format!("{:>14}  {:<10} <- {fate} {why}", at(unanswered.t), unanswered.id)
        }),
        Event::Mark(mark) => {
            let kind = mark.kind.as_deref().unwrap_or_default();
            let note = mark.note.as_deref().unwrap_or_default();
            let what = match mark.name {
                MarkName::Fault => format!("{kind} {note}"),
                MarkName::Heal => "all faults are over".to_owned(),
                MarkName::Bucket => format!("bucket {}", mark.bucket),
                MarkName::Service => format!("within reach: {:?}", mark.reach),
                MarkName::Note => note.to_owned(),
            };
            Some(format!("{:>14}  == {what}", at(mark.t)))
        }
        Event::Replica(dump) => {
            let held = dump.digest.as_deref().unwrap_or("nothing");
            let name = format!("{}/{}", dump.bucket, dump.key);
            key.is_none_or(|key| key == name)
                .then(|| format!("{:>14}  {} holds {held} of {name}", at(dump.t), dump.node))
        }
        Event::Meta(_) | Event::Node(_) => None,
    }
}

fn at(moment: super::history::Moment) -> String {
    moment.to_string()
}

fn full_key(invoke: &Invoke) -> String {
    if invoke.bucket.is_empty() {
        invoke.key.clone()
    } else {
        format!("{}/{}", invoke.bucket, invoke.key)
    }
}

fn sent(invoke: &Invoke) -> String {
    let op = match invoke.op {
        Kind::Put => "put",
        Kind::Get => "get",
        Kind::Delete => "delete",
    };
    let mut line = format!(
        "{:>14}  {:<10} -> {} {op} {}",
        at(invoke.t),
        invoke.id,
        invoke.node,
        full_key(invoke)
    );
    if let Some(val) = invoke.val.as_ref().filter(|val| **val != invoke.id) {
        let _ = write!(line, " {val}");
    }
    if !invoke.ctx.is_empty() {
        let _ = write!(line, " seen {}", invoke.ctx.join(" "));
    }
    if let Some(wid) = &invoke.wid {
        let _ = write!(line, " named {}", wid.get(..8).unwrap_or(wid));
    }
    line
}
