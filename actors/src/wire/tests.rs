//! Every message comes back as it went; whatever else comes in is refused without a panic.

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::{
    anti_entropy::{
        Brief, Place, Summary, TreeId,
        exchange::{Listing, ROOTS_MAX},
    },
    bucket::{BucketProperties, BucketRegister, Durability, RegisterVersion},
    causality::{Actor, Conflict, Content, Context, Digest, Dot, History, Stamp, Value},
    coordination::{Failure, Fate, Generation, Replicas, RequestError},
    id::{NodeId, ShardUid, WriteId},
    key::{Key, PartitionId, Token},
    reaping::{
        Ask, Fence, Purpose,
        fence::{LeftBehind, Refusal},
    },
    time::WallMillis,
};

use super::*;
use crate::{
    api::{KeyPosition, KeyRange},
    messages::ring_manager::RegisterRefused,
    transport::Frame,
};

fn joined(frame: Frame) -> Bytes {
    let mut bytes = frame.header;
    bytes.extend_from_slice(&frame.tail);
    bytes.into()
}

fn key() -> Key {
    Key::new(Bytes::from_static(b"bucket"), Bytes::from_static(b"\xff/key")).unwrap()
}

fn dot() -> Dot {
    Dot { actor: Actor { uid: ShardUid(u64::MAX), epoch: 3 }, counter: 9 }
}

fn context() -> Context {
    Context::new(History::from_iter([dot()]), Stamp(1_700_000_000_000))
}

fn version() -> RegisterVersion {
    RegisterVersion { counter: 4, setter: NodeId(77) }
}

fn position(text: &'static str) -> KeyPosition {
    KeyPosition { token: Token(5), key: Bytes::from_static(text.as_bytes()) }
}

fn write(content: Content) -> PeerRequest {
    PeerRequest::Write(ForwardedWrite {
        key: key(),
        content,
        context: context(),
        write_id: WriteId(u128::MAX - 1),
        expires_at: Some(WallMillis(8)),
        w: 2,
        pw: 1,
        sloppy: true,
        durability: Durability::Os,
        return_body: true,
        generation: Generation(6),
        properties: Some(version()),
    })
}

fn requests() -> Vec<PeerRequest> {
    let value = Value {
        bytes: Bytes::from_static(b"value"),
        content_type: Some("text/plain".into()),
        meta: vec![("colour".into(), "blue".into())],
    };
    let range = KeyRange {
        bucket: Bytes::from_static(b"bucket"),
        prefix: Bytes::from_static(b"p"),
        after: Some(position("after")),
        limit: 10,
    };
    vec![
        PeerRequest::Read { key: key(), known: Some(Digest(1)), properties: None },
        PeerRequest::Store {
            key: key(),
            record: Bytes::from_static(b"record"),
            generation: Generation(2),
            stands_in_for: Some(NodeId(u64::MAX)),
            durable: true,
            properties: Some(version()),
        },
        write(Content::Value(value)),
        write(Content::Tombstone),
        PeerRequest::List { partition: PartitionId(300), range },
    ]
    .into_iter()
    .chain(questions().into_iter().map(PeerRequest::Trees))
    .chain(fence_questions().into_iter().map(PeerRequest::Fence))
    .collect()
}

fn tree() -> TreeId {
    TreeId { partition: PartitionId(300), n: 3 }
}

fn place() -> Place {
    Place::new(127, 1).unwrap()
}

fn questions() -> Vec<TreeQuestion> {
    let keys = |after| TreeQuestion::Keys { tree: tree(), leaves: vec![place()], after };
    vec![
        TreeQuestion::Roots(vec![tree()]),
        TreeQuestion::Compare(vec![(tree(), Summary(u128::MAX)); 2]),
        TreeQuestion::Branches { tree: tree(), salt: 7 },
        TreeQuestion::Leaves { tree: tree(), branches: vec![0, 127], salt: u64::MAX },
        keys(None),
        keys(Some(key())),
        TreeQuestion::Digests(vec![key(), key()]),
    ]
}

fn tree_answers() -> Vec<TreeAnswer> {
    vec![
        TreeAnswer::Roots(vec![Summary(1)]),
        TreeAnswer::Differing(vec![tree()]),
        TreeAnswer::Branches(vec![(127, Brief(2))]),
        TreeAnswer::Leaves(vec![(place(), Brief(3))]),
        TreeAnswer::Keys(Listing { keys: vec![(key(), Digest(4))], more: true }),
        TreeAnswer::Digests(vec![None, Some(Digest(5))]),
    ]
}

#[test]
fn longer_lists_than_may_be_asked_for_are_refused() {
    let long = TreeQuestion::Compare(vec![(tree(), Summary(1)); ROOTS_MAX + 1]);
    let frame = PeerRequest::Trees(long).encode(7, Duration::from_secs(1)).unwrap();
    let refused = RequestFrame::decode(&joined(frame)).unwrap_err();
    assert!(matches!(refused, MalformedFrame::Rule { .. }), "{refused}");
}

fn errors() -> Vec<RequestError> {
    vec![
        RequestError::BadRequest { field: "w".into(), value: "4".into(), limit: "1 to 3".into() },
        RequestError::BadContext { reason: "damaged".into() },
        RequestError::ContextRequired,
        RequestError::PreconditionFailed,
        RequestError::TooLarge { size: 2, max: 1 },
        RequestError::TooManySiblings {
            versions: 64,
            versions_max: 64,
            record_bytes: 1,
            record_bytes_max: 2,
        },
        RequestError::Forbidden { action: "faults".into() },
        RequestError::BucketPropertyFixed {
            field: "n".into(),
            fixed: "3".into(),
            value: "5".into(),
        },
        RequestError::StaleProperties { used: 1, newest: 2 },
        RequestError::Overloaded { retry_after: Duration::from_millis(100) },
        RequestError::NotReady { reason: "starting".into() },
        RequestError::StorageFull { free: 1, needed: 2 },
        RequestError::QuorumNotMet { needed: 2, got: 1, homes_down: 1, fate: Fate::Unknown },
        RequestError::QuorumNotMet { needed: 2, got: 0, homes_down: 2, fate: Fate::NotApplied },
        RequestError::TimedOut { needed: 2, got: 1, after: Duration::from_secs(2) },
        RequestError::Interrupted,
    ]
}

fn fence() -> Fence {
    Fence { generation: Generation(7), finished: Generation(6), reaped: Stamp(u64::MAX) }
}

fn fence_questions() -> Vec<FenceQuestion> {
    let partition = PartitionId(511);
    let ask = |purpose| Ask {
        round: u64::MAX,
        partition,
        purpose,
        generation: Generation(8),
        finished: Generation(7),
        epoch: 1,
        stamp: Stamp(9),
        keys: vec![(key(), Digest(3)), (key(), Digest(u128::MAX))],
    };
    vec![
        FenceQuestion::Fences,
        FenceQuestion::Hear { partition },
        FenceQuestion::Promise(ask(Purpose::Reap)),
        FenceQuestion::Drop(ask(Purpose::Prune)),
        FenceQuestion::Meet { partition, fence: fence() },
    ]
}

fn fence_answers() -> Vec<FenceAnswer> {
    let left = LeftBehind { finished: Generation(2), generation: Generation(1) };
    let refusals = [
        Refusal::Passed(Generation(4)),
        Refusal::Epoch(3),
        Refusal::BeingFilled,
        Refusal::Suspect,
        Refusal::LeftBehind(left),
        Refusal::Differs(key()),
        Refusal::Quarantined(key()),
        Refusal::Alive(key()),
        Refusal::TooMany(300),
    ];
    let mut answers: Vec<_> = refusals.into_iter().map(FenceAnswer::Refused).collect();
    answers.push(FenceAnswer::Fences(vec![(PartitionId(511), fence())]));
    answers.extend([FenceAnswer::Heard(fence()), FenceAnswer::Promised, FenceAnswer::Dropped]);
    answers
}

fn replies() -> Vec<PeerReply> {
    let written = |record: Option<&'static [u8]>| PeerReply::Written {
        context: context(),
        dot: dot(),
        record: record.map(Bytes::from_static),
        replicas: Replicas { acks: 2, fallbacks: 0, homes: 3 },
    };
    let listed = ListedKeys { keys: vec![position("a"), position("bb")], resume: None };
    let mut replies = vec![
        PeerReply::Nothing { complete: true },
        PeerReply::Same { complete: false },
        PeerReply::Found {
            record: Bytes::from_static(b"record"),
            generation: Generation(2),
            complete: true,
        },
        PeerReply::Stored,
        PeerReply::Outdated(fence()),
        written(None),
        written(Some(b"record")),
        PeerReply::Listed(ListedKeys { resume: Some(position("c")), ..listed.clone() }),
        PeerReply::Listed(listed),
    ];
    let failures = [Failure::Unreachable, Failure::Lost, Failure::Refused, Failure::Corrupt];
    replies.extend(failures.map(PeerReply::Failed));
    replies.extend(tree_answers().into_iter().map(PeerReply::Trees));
    replies.extend(fence_answers().into_iter().map(PeerReply::Fence));
    replies.extend(errors().into_iter().map(PeerReply::Refused));
    replies
}

fn controls() -> Vec<ControlMessage> {
    let properties = BucketProperties {
        conflict: Conflict::Lww,
        ttl: Some(Duration::from_mins(1)),
        durability: Durability::Os,
        ..BucketProperties::default()
    };
    let name = Bytes::from_static(b"carts");
    let register = BucketRegister { name, version: version(), properties, established: true };
    let refused = RegisterRefused { field: "n".into(), fixed: "3".into(), value: "5".into() };
    vec![
        ControlMessage::Gossip(Bytes::from_static(b"packet")),
        ControlMessage::Registers { ticket: 9, registers: vec![register] },
        ControlMessage::RegisterAnswered { ticket: 9, refused: None },
        ControlMessage::RegisterAnswered { ticket: 9, refused: Some(refused) },
    ]
}

#[test]
fn requests_come_back() {
    for request in requests() {
        let frame = joined(request.encode(7, Duration::from_millis(1500)).unwrap());
        let remaining = Duration::from_millis(1500);
        let about = request.about();
        let expected = RequestFrame::Request { correlation: 7, remaining, about, request };
        assert_eq!(RequestFrame::decode(&frame), Ok(expected));
    }
}

#[test]
fn replies_come_back() {
    for reply in replies() {
        let about = key().token();
        let frame = joined(reply.encode(u64::MAX, about).unwrap());
        let expected = RequestFrame::Reply { correlation: u64::MAX, about, reply };
        assert_eq!(RequestFrame::decode(&frame), Ok(expected));
    }
}

#[test]
fn control_messages_come_back() {
    for message in controls() {
        let frame = joined(message.encode().unwrap());
        assert_eq!(ControlMessage::decode(&frame), Ok(message));
    }
}

#[test]
fn a_frame_is_a_format() {
    // Golden bytes: another codec that replaces this one must write the same.
    let request = PeerRequest::Read { key: key(), known: None, properties: Some(version()) };
    let frame = joined(request.encode(1, Duration::from_secs(2)).unwrap());
    let seal = b"\xfd\x76\x34\xe8\x8e\xc0\xf5\xe5\x19";
    let rest = b"\xfb\xd0\x07\x00\x06bucket\x05\xff/key\x00\x01\x04\x4d";
    let mut golden = [&b"\x01\x00\x00\x01"[..], seal, rest].concat();
    golden[1] = u8::try_from(golden.len() - 3).unwrap();
    assert_eq!(frame, golden);
}

#[test]
fn registers_that_break_a_rule_are_refused() {
    let properties = BucketProperties { w: 9, ..BucketProperties::default() };
    let name = Bytes::from_static(b"carts");
    let register = BucketRegister { name, version: version(), properties, established: true };
    let message = ControlMessage::Registers { ticket: 0, registers: vec![register] };
    let refused = ControlMessage::decode(&joined(message.encode().unwrap())).unwrap_err();
    assert!(matches!(refused, MalformedFrame::Rule { .. }), "{refused}");
}

#[test]
fn mutated_and_random_frames_never_panic() {
    let mut frames: Vec<Bytes> = Vec::new();
    let second = Duration::from_secs(1);
    frames.extend(requests().iter().map(|one| joined(one.encode(7, second).unwrap())));
    frames.extend(replies().iter().map(|one| joined(one.encode(7, key().token()).unwrap())));
    frames.extend(controls().iter().map(|one| joined(one.encode().unwrap())));
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..50_000 {
        let mut bytes = frames[rng.usize(..frames.len())].to_vec();
        for _ in 0..rng.usize(1..5) {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        bytes.truncate(rng.usize(..=bytes.len()));
        let bytes = Bytes::from(bytes);
        let _ = RequestFrame::decode(&bytes);
        let _ = ControlMessage::decode(&bytes);
        let random: Vec<u8> = (0..rng.usize(..64)).map(|_| rng.u8(..)).collect();
        let _ = RequestFrame::decode(&random.clone().into());
        let _ = ControlMessage::decode(&random.into());
    }
}
