//! Histories, as `henge judge` takes them from anybody.
//!
//! An input that begins with a zero is a script, eight bytes an event, in which a change of one byte
//! is another event rather than bad JSON; any other is what lies in the file.

use super::{Allocates, Features, Target};
use crate::simulation::{
    checkers::judge,
    history::{
        Answered, Dump, Event, Expectation, History, Invoke, Kind, Mark, MarkName, Meta, Moment,
        NodeState, Quorum, Unanswered, read, read_history, read_line,
    },
    timeline,
};

pub(super) fn targets() -> Vec<Target> {
    vec![Target {
        name: "histories",
        seeds,
        words: &[
            b"\n",
            b",",
            b"{\"ev\":\"mark\",\"t\":9,\"name\":\"heal\"}\n",
            b"{\"ev\":\"ok\",\"t\":9,\"id\":\"",
            b"{\"ev\":\"info\",\"t\":9,\"id\":\"",
            b"{\"ev\":\"fail\",\"t\":9,\"id\":\"",
            b"\"op\":\"put\"",
            b"\"op\":\"delete\"",
            b"\"op\":\"get\"",
            b",\"final\":true",
            b",\"quorum\":\"strict\"",
            b",\"val\":\"",
            b",\"wid\":\"1\"",
            b",\"ctx\":[\"",
            b",\"vals\":[\"",
            b",\"dots\":[\"",
            b",\"tombs\":[\"",
            b",\"deleted\":true",
            b",\"r\":255",
            b",\"w\":0",
            b",\"pr\":3",
            b",\"pw\":3",
            b",\"n\":0",
            b",\"serve_ms\":1",
            b",\"timeout_ms\":9",
            b"{\"ev\":\"mark\",\"t\":0,\"name\":\"service\",\"reach\":{\"a\":3}}\n",
            b",\"ttl_ms\":",
            b",\"skew_ms\":",
            b",\"max_siblings\":1",
            b",\"round\":",
            b"18446744073709551615",
            b"1e999",
            b"-1",
            b"0.0005",
        ],
        mend: Some(mend),
        run,
        // A step of a script is an event, and each pair of a get and a put may be accused.
        allocates: Allocates { floor: 1 << 20, each: 1 << 10 },
    }]
}

const META: &str = r#"{"ev":"meta","fmt":1,"source":"s","n":3,"r":2,"w":2}"#;
const NOTE: &str = r#"{"ev":"mark","t":0,"name":"note"}"#;

/// A conflict that a retry makes; a cut, with a delete; replicas that differ.
const SEEDS: [&str; 3] = [
    r#"{"ev":"meta","fmt":1,"source":"lab","n":3,"r":2,"w":2,"max_siblings":1,"skew_ms":2}
{"ev":"mark","t":0,"name":"bucket","bucket":"l","lww":true,"n":5}
{"ev":"invoke","t":1.5,"id":"1","c":"c","op":"put","bucket":"l","key":"k","node":"a","val":"1","wid":"7","ttl_ms":5}
{"ev":"info","t":2,"id":"1","code":"timed_out","err":"too late"}
{"ev":"invoke","t":3,"id":"2","c":"c","op":"put","bucket":"l","key":"k","node":"b","val":"1","wid":"7","w":1,"pw":1}
{"ev":"ok","t":4,"id":"2","dot":"9f.1.4","acks":1,"fallbacks":0}
{"ev":"invoke","t":14,"id":"3","c":"c","op":"get","bucket":"l","key":"k","node":"a","final":true}
{"ev":"ok","t":15,"id":"3","vals":["1","1"],"dots":["9f.1.4","07.1.1"],"concurrent_delete":true}
"#,
    r#"{"ev":"meta","fmt":1,"source":"s","seed":7,"n":3,"r":2,"w":2,"quorum":"strict","min_avail":0.9}
{"ev":"invoke","t":1,"id":"1","c":"c","op":"put","key":"k","node":"a","val":"1"}
{"ev":"ok","t":2,"id":"1"}
{"ev":"mark","t":2,"name":"fault","kind":"halves","down":["c"],"expect":"available"}
{"ev":"invoke","t":3,"id":"2","c":"c","op":"delete","key":"k","node":"a","val":"2","ctx":["1"]}
{"ev":"fail","t":4,"id":"2","code":"quorum_not_met"}
{"ev":"mark","t":5,"name":"heal"}
{"ev":"invoke","t":6,"id":"3","c":"c","op":"get","key":"k","node":"b","r":3,"pr":1,"final":true}
{"ev":"ok","t":7,"id":"3","tombs":["2"],"deleted":true,"corrupt":["x"]}
"#,
    r#"{"ev":"meta","fmt":1,"source":"s","n":3,"r":2,"w":2,"converge_ms":5,"min_acked":1,"require_faults":["crash"]}
{"ev":"invoke","t":1,"id":"1","c":"c","op":"put","key":"k","node":"a","val":"1","cred":"none"}
{"ev":"ok","t":2,"id":"1","dot":"a.1.1"}
{"ev":"replica","t":3,"round":1,"node":"d","key":"k","vals":["1"],"homes":["a","b"],"digest":"9f","dots":{"a.1.1":"4"}}
{"ev":"replica","t":9,"round":4,"node":"a","key":"k","homes":["a","b"],"digest":"9f","dots":{"a.1.1":"5"}}
{"ev":"replica","t":9,"round":4,"node":"b","key":"k","homes":["a","b"]}
{"ev":"node","t":9,"node":"a","hints":1}
{"ev":"invoke","t":9,"id":"2","c":"c","op":"get","key":"k","node":"a","final":true}
{"ev":"ok","t":9,"id":"2"}
"#,
];

fn seeds() -> Vec<Vec<u8>> {
    let texts = SEEDS.map(|seed| seed.as_bytes().to_vec());
    // A put, a delete of it, and a get, all answered; then what replicas hold.
    let script = [
        [0, 2, 1, 1, 0, 0, 0, 0],
        [6, 1, 1, 0, 0, 1, 0, 1],
        [9, 1, 1, 0, 0, 0, 1, 0],
        [8, 1, 2, 1, 0, 2, 2, 1],
        [9, 1, 2, 0, 0, 0, 2, 0],
        [7, 1, 3, 2, 16, 0, 0, 1],
        [9, 1, 3, 0, 4, 0, 0, 0],
        [3, 1, 0, 0, 1, 3, 0, 0],
        [4, 1, 0, 1, 0, 1, 1, 0],
        [5, 1, 0, 1, 0, 0, 0, 0],
    ];
    texts.into_iter().chain([script.concat()]).collect()
}

/// Numbers at which judges break.
const EDGES: [u64; 8] = [0, 1, 2, 3, 5, 255, 1 << 40, u64::MAX];

fn edge(byte: u8) -> u64 {
    EDGES[usize::from(byte) % EDGES.len()]
}

fn small(byte: u8) -> Option<u8> {
    let number = u8::try_from(edge(byte)).ok();
    number.filter(|_| byte & 8 == 0)
}

fn node(byte: u8) -> String {
    ["a", "b", "c", "d"][usize::from(byte) % 4].to_owned()
}

fn name(byte: u8) -> String {
    format!("o{}", byte % 16)
}

/// The names whose bits are set.
fn names(bits: u8) -> Vec<String> {
    (0..8).filter(|place| bits & (1 << place) != 0).map(name).collect()
}

/// What a script says.
fn events_of(script: &[u8]) -> Vec<Event> {
    const EVENTS_MAX: usize = 64;
    let mut steps = script.as_chunks::<8>().0.iter().take(EVENTS_MAX);
    let Some([_, n, r, w, flags, skew, bound, more]) = steps.next() else { return Vec::new() };
    let mut events = vec![Event::Meta(Meta {
        n: small(*n).unwrap_or(3),
        r: small(*r).unwrap_or(2),
        w: small(*w).unwrap_or(2),
        lossy: flags & 1 != 0,
        converge_ms: (flags & 2 != 0).then(|| edge(*more)),
        serve_ms: (flags & 4 == 0).then(|| edge(*more)),
        min_avail: (flags & 8 != 0).then_some(0.9),
        skew_ms: Some(edge(*skew)).filter(|_| skew & 8 == 0),
        max_siblings: small(*bound).map(usize::from),
        ..Meta::new("s")
    })];
    let mut now = Moment::default();
    for step in steps {
        now = now.later(edge(step[1]).min(u64::from(u32::MAX)));
        let event = event_of(*step, now);
        // What contradicts the rest ends a history: mostly it is left out.
        if step[4] & 128 != 0 || fits(&events, &event) {
            events.push(event);
        }
    }
    events
}

fn event_of([kind, _, id, at, flags, one, two, more]: [u8; 8], t: Moment) -> Event {
    let (id, node, has) = (name(id), node(at), |bit: u8| flags & (1 << bit) != 0);
    let mark = |name| Mark { down: vec![node.clone()], ..Mark::new(t, name) };
    let expect = has(0).then_some(Expectation::Available);
    let op = [Kind::Put, Kind::Get, Kind::Delete][usize::from(kind) % 3];
    let refused = |code: &str| Unanswered { t, id: id.clone(), code: Some(code.into()), err: None };
    match kind % 13 {
        0 => Event::Mark(Mark { lww: has(0), n: small(one), ..mark(MarkName::Bucket) }),
        1 => Event::Mark(Mark { kind: Some("cut".into()), expect, ..mark(MarkName::Fault) }),
        2 => Event::Mark(mark(MarkName::Heal)),
        3 => {
            let reach = small(one).map(|reach| (node.clone(), reach)).into_iter().collect();
            Event::Mark(Mark { expect, reach, ..mark(MarkName::Service) })
        }
        4 => Event::Replica(Dump {
            t,
            round: u32::try_from(edge(more)).unwrap_or(u32::MAX),
            node,
            key: "k".into(),
            vals: names(one),
            homes: ["a", "b", "c"][usize::from(more >> 4) % 4..]
                .iter()
                .map(|&a| a.into())
                .collect(),
            digest: (!has(0)).then(|| name(two)),
            dots: [(name(one), name(two))].into(),
            ..Dump::default()
        }),
        5 => Event::Node(NodeState { t, node, hints: edge(one) }),
        6..=8 => Event::Invoke(Invoke {
            node,
            val: (op != Kind::Get).then(|| name(one)),
            wid: has(0).then(|| "1".into()),
            ctx: names(two),
            quorum: has(1).then_some(Quorum::Strict),
            r: small(more),
            w: small(more),
            pr: small(more >> 4),
            pw: small(more >> 4),
            ttl_ms: has(2).then(|| edge(more)),
            timeout_ms: has(3).then(|| edge(more >> 4)),
            is_final: has(4),
            ..Invoke::new(t, id, op, "k")
        }),
        9 | 10 => Event::Ok(Answered {
            t,
            id,
            vals: names(one),
            dots: if has(0) { Vec::new() } else { names(one) },
            dot: has(1).then(|| name(two)),
            tombs: names(two),
            deleted: has(2),
            concurrent_delete: has(3),
            acks: small(more),
            fallbacks: small(more >> 4),
            ..Answered::default()
        }),
        11 => Event::Info(refused("timed_out")),
        _ => Event::Fail(refused("quorum_not_met")),
    }
}

/// Puts a note, or the meta line, in the place of each line that is no event or does not fit those
/// before it: so that what follows is looked at. A line that has no room for that is joined with the
/// next one.
fn mend(input: &mut [u8]) {
    if input.first() == Some(&0) {
        return;
    }
    let (mut at, mut taken) = (0, Vec::new());
    while at < input.len() {
        let end = input[at..].iter().position(|byte| *byte == b'\n');
        let end = end.map_or(input.len(), |length| at + length);
        let event = event_in(&input[at..end]).filter(|event| fits(&taken, event));
        let event = event.or_else(|| {
            let stand_in = if taken.is_empty() { META } else { NOTE };
            let (words, rest) = input[at..end].split_at_mut_checked(stand_in.len())?;
            words.copy_from_slice(stand_in.as_bytes());
            rest.fill(b' ');
            event_in(stand_in.as_bytes())
        });
        match event {
            Some(event) => {
                taken.push(event);
                at = end + 1;
            }
            None if end < input.len() => input[end] = b' ',
            None => {
                // The last line is part of the one before it.
                input[at.saturating_sub(1)..].fill(b' ');
                return;
            }
        }
    }
}

fn event_in(line: &[u8]) -> Option<Event> {
    read_line(1, str::from_utf8(line).ok()?).ok()
}

fn fits(taken: &[Event], event: &Event) -> bool {
    History::of(taken.iter().chain([event]).cloned()).is_ok()
}

/// What is read, written and read again is the same; what is a history is judged, and shown.
fn run(input: &[u8], features: &mut Features) {
    if input.first() == Some(&0) {
        run_text(lines_of(&events_of(input)).as_bytes(), features);
    } else {
        run_text(input, features);
    }
}

fn lines_of(events: &[Event]) -> String {
    let lines = events.iter().map(|event| serde_json::to_string(event).map(|line| line + "\n"));
    let Ok(lines) = lines.collect() else { panic!("an event cannot be written") };
    lines
}

fn run_text(text: &[u8], features: &mut Features) {
    let events = match read(text) {
        Ok(events) => events,
        Err(malformed) => {
            assert!(malformed.line() > 0, "lines are counted from 1");
            features.tell(&malformed);
            return;
        }
    };
    for event in &events {
        features.note(event);
    }
    let again = read(lines_of(&events).as_bytes()).ok();
    assert_eq!(again.as_ref(), Some(&events), "it is read as something else again");
    match read_history(text) {
        Ok(history) => {
            let verdict = judge(&history);
            features.note(&verdict.outcome());
            for violation in &verdict.violations {
                features.note(&violation.kind);
                assert!(!violation.to_string().is_empty(), "what was broken is shown");
            }
            drop(timeline(&events, verdict.violations.first(), 60));
        }
        Err(malformed) => features.tell(&malformed),
    }
}
