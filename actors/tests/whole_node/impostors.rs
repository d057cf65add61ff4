//! A peer that answers garbage, or with what belongs to another key: it is refused and told of, and
//! nothing is ever stored under a key that it was not written to.
//!
//! Each value names its key, so whatever went astray shows when all replicas have been merged.

use std::collections::BTreeMap;

use bytes::Bytes;
use henge_actors::{
    NodeHandle,
    simulation::{PeerReply, PeerRequest, RequestFrame},
    transport::{Frame, Lane},
};
use henge_kernel::coordination::{Fate, PutOptions, ReadOptions};

use crate::{
    overheard::Overheard,
    sloppy::{five, replica, sides},
    world::{World, name, pass, put, simulate, texts},
};

const LIAR: &str = "c";
const KEYS: usize = 12;

/// What the liar twists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    /// Records in answers to reads.
    Answer,
    /// Records to be stored: of puts, repairs, hints and exchanges.
    Store,
    /// Values of puts that it forwards.
    Forward,
}

impl Carrier {
    fn of(frame: &RequestFrame) -> Option<Self> {
        match frame {
            RequestFrame::Reply { reply: PeerReply::Found { .. }, .. } => Some(Self::Answer),
            RequestFrame::Request { request: PeerRequest::Store { .. }, .. } => Some(Self::Store),
            RequestFrame::Request { request: PeerRequest::Write(_), .. } => Some(Self::Forward),
            _ => None,
        }
    }
}

/// A frame of the request lane, if it is one.
fn decoded(lane: Lane, frame: &Bytes) -> Option<RequestFrame> {
    (lane == Lane::Request).then(|| RequestFrame::decode(frame).ok()).flatten()
}

fn joined(Frame { mut header, tail }: Frame) -> Bytes {
    header.extend_from_slice(&tail);
    header.into()
}

/// A frame with another tail.
fn with_tail(frame: &Bytes, tail: &[u8]) -> Bytes {
    let header = frame.slice(..tail_begins(frame));
    [&header[..], tail].concat().into()
}

fn tail_begins(frame: &Bytes) -> usize {
    3 + usize::from(u16::from_le_bytes([frame[1], frame[2]]))
}

/// Each frame carries what the one before it should have.
fn mixed_up(carrier: Carrier) -> impl FnMut(Lane, Bytes) -> Bytes {
    let mut held: Option<Bytes> = None;
    move |lane, frame| {
        let Some(true) = decoded(lane, &frame).map(|it| Carrier::of(&it) == Some(carrier)) else {
            return frame;
        };
        let own = frame.slice(tail_begins(&frame)..);
        match held.replace(own) {
            Some(other) => with_tail(&frame, &other),
            None => frame,
        }
    }
}

/// One byte of what each frame carries is another.
fn garbled(carrier: Carrier) -> impl FnMut(Lane, Bytes) -> Bytes {
    let mut rng = fastrand::Rng::with_seed(1);
    move |lane, frame| {
        let Some(true) = decoded(lane, &frame).map(|it| Carrier::of(&it) == Some(carrier)) else {
            return frame;
        };
        let mut tail = frame[tail_begins(&frame)..].to_vec();
        let at = rng.usize(..tail.len());
        tail[at] ^= 1 << rng.u8(..8);
        with_tail(&frame, &tail)
    }
}

/// Of two questions that are asked together each gets the other's answer.
fn crossed(lane: Lane, frame: Bytes) -> Bytes {
    match decoded(lane, &frame) {
        Some(RequestFrame::Reply { correlation, about, reply }) => {
            joined(reply.encode(correlation ^ 1, about).unwrap())
        }
        _ => frame,
    }
}

/// What it answers is no record, and says that it is about the right key.
fn nonsense(lane: Lane, frame: Bytes) -> Bytes {
    match decoded(lane, &frame) {
        Some(RequestFrame::Reply {
            correlation,
            about,
            reply: PeerReply::Found { generation, complete, .. },
        }) => {
            let record = Bytes::from_static(b"\x01nonsense");
            let reply = PeerReply::Found { record, generation, complete };
            joined(reply.encode(correlation, about).unwrap())
        }
        _ => frame,
    }
}

/// A world in which one node lies while all write, read, hand over and compare; then it is honest
/// again. Returns how often each of `events` was told of meanwhile.
async fn lie(
    seed: u64,
    twist: impl FnMut(Lane, Bytes) -> Bytes + Send + 'static,
    events: &[&str],
) -> Vec<usize> {
    let (heard, _guard) = Overheard::listen();
    let world = World::start(five(seed)).await;
    world.network.twist(&name(LIAR), twist);
    let mut acknowledged = BTreeMap::<String, Vec<String>>::new();
    for round in 0..3 {
        // One home of many keys is away for a while: the liar keeps hints for it, and is compared
        // with it when it is back.
        if round == 1 {
            world.network.isolate(&name("b"));
            world.until_seen(&["a", LIAR, "d", "e"], "b", "down").await;
        }
        let puts = world.names().into_iter().flat_map(|node| {
            let handle = world.node(node).clone();
            (0..KEYS).map(move |number| write(handle.clone(), node, round, number))
        });
        let puts: Vec<_> = puts.map(tokio::task::spawn_local).collect();
        for put in puts {
            if let Some((text, content)) = put.await.unwrap() {
                acknowledged.entry(text).or_default().push(content);
            }
        }
        read_all(&world).await;
        world.network.heal_all();
        pass(6_000).await;
    }
    let told = events.iter().map(|event| heard.count(event)).collect();
    world.network.untwist(&name(LIAR));
    // No delivery waits longer than a minute.
    pass(75_000).await;
    judge(&world, &acknowledged).await;
    told
}

async fn write(
    handle: NodeHandle,
    node: &str,
    round: usize,
    number: usize,
) -> Option<(String, String)> {
    let (text, content) = (format!("k{number}"), format!("k{number}: {node} {round}"));
    let outcome = put(&handle, &text, &content, PutOptions::default()).await;
    let certain = outcome.as_ref().is_err_and(|error| error.fate() == Fate::NotApplied);
    assert!(outcome.is_ok() || !certain || node == LIAR, "{node} {text}: {outcome:?}");
    outcome.is_ok().then_some((text, content))
}

/// Reads all keys through all nodes at once; what is found belongs to its key.
async fn read_all(world: &World) {
    let mut reads = Vec::new();
    for node in world.names().into_iter().filter(|node| *node != LIAR) {
        for number in 0..KEYS {
            let (node, text) = (world.node(node).clone(), format!("k{number}"));
            reads.push(tokio::task::spawn_local(async move {
                let options = ReadOptions::default().r(3);
                let got = node.get(&crate::world::key(&text), options).await;
                got.ok().map(|got| (text, texts(&got)))
            }));
        }
    }
    for read in reads {
        if let Some((text, found)) = read.await.unwrap() {
            assert!(found.iter().all(|value| belongs(value, &text)), "{text}: {found:?}");
        }
    }
}

fn belongs(value: &str, text: &str) -> bool {
    value.split(':').next() == Some(text)
}

/// Everything that was acknowledged is there, nothing is where it does not belong, and all homes
/// hold the same.
async fn judge(world: &World, acknowledged: &BTreeMap<String, Vec<String>>) {
    assert!(acknowledged.len() == KEYS, "{acknowledged:?}");
    for (text, expected) in acknowledged {
        let got = crate::world::get(world.node("a"), text, ReadOptions::default().r(3)).await;
        let found = texts(&got);
        assert!(found.iter().all(|value| belongs(value, text)), "{text}: {found:?}");
        assert!(expected.iter().all(|value| found.contains(value)), "{text}: {found:?}");
        let homes = sides(world, text).0;
        let first = replica(world, &homes[0], text).await.digest;
        for home in &homes[1..] {
            assert_eq!(replica(world, home, text).await.digest, first, "{text} at {home}");
        }
        for node in world.names() {
            assert!(replica(world, node, text).await.marks.is_empty(), "{text} at {node}");
        }
    }
}

const ANSWER_REFUSED: &str = "an answer is refused";
const REQUEST_REFUSED: &str = "a request is refused";

#[test]
fn records_that_are_answered_for_other_keys_are_refused() {
    simulate(async {
        let told = lie(1, mixed_up(Carrier::Answer), &[ANSWER_REFUSED]).await;
        assert!(told[0] > 0);
    });
}

#[test]
fn records_that_are_sent_for_other_keys_are_refused_by_whoever_should_store_them() {
    simulate(async {
        let told = lie(2, mixed_up(Carrier::Store), &[REQUEST_REFUSED]).await;
        assert!(told[0] > 0);
    });
}

#[test]
fn puts_that_are_forwarded_with_the_values_of_others_are_refused() {
    simulate(async {
        let told = lie(3, mixed_up(Carrier::Forward), &[REQUEST_REFUSED]).await;
        assert!(told[0] > 0);
    });
}

#[test]
fn one_damaged_bit_is_enough_to_be_refused() {
    for (seed, carrier, event) in [
        (4, Carrier::Answer, ANSWER_REFUSED),
        (5, Carrier::Store, REQUEST_REFUSED),
        (6, Carrier::Forward, REQUEST_REFUSED),
    ] {
        simulate(async {
            let told = lie(seed, garbled(carrier), &[event]).await;
            assert!(told[0] > 0, "{carrier:?}");
        });
    }
}

#[test]
fn answers_to_each_others_questions_are_refused() {
    simulate(async {
        let told = lie(7, crossed, &[ANSWER_REFUSED]).await;
        assert!(told[0] > 0);
    });
}

#[test]
fn what_is_no_record_is_not_taken_for_one() {
    simulate(async {
        let told = lie(8, nonsense, &["a peer answered with a damaged record"]).await;
        assert!(told[0] > 0);
    });
}
