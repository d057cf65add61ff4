//! Every message that peers send, for tests and fuzzing.
#![allow(clippy::unwrap_used, reason = "what is written down here is right")]

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::{
    anti_entropy::{Brief, Place, Summary, TreeId, exchange::Listing},
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

use super::{
    ControlMessage, FenceAnswer, FenceQuestion, ForwardedWrite, ListedKeys, PeerReply, PeerRequest,
    TreeAnswer, TreeQuestion,
};
use crate::{
    api::{KeyPosition, KeyRange},
    messages::ring_manager::RegisterRefused,
    transport::Frame,
};

pub fn joined(frame: Frame) -> Bytes {
    let mut bytes = frame.header;
    bytes.extend_from_slice(&frame.tail);
    bytes.into()
}

pub fn key() -> Key {
    Key::new(Bytes::from_static(b"bucket"), Bytes::from_static(b"\xff/key")).unwrap()
}

pub fn dot() -> Dot {
    Dot { actor: Actor { uid: ShardUid(u64::MAX), epoch: 3 }, counter: 9 }
}

pub fn context() -> Context {
    Context::new(History::from_iter([dot()]), Stamp(1_700_000_000_000))
}

pub fn version() -> RegisterVersion {
    RegisterVersion { counter: 4, setter: NodeId(77) }
}

pub fn position(text: &'static str) -> KeyPosition {
    KeyPosition { token: Token(5), key: Bytes::from_static(text.as_bytes()) }
}

pub fn write(content: Content) -> PeerRequest {
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

pub fn requests() -> Vec<PeerRequest> {
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

pub fn tree() -> TreeId {
    TreeId { partition: PartitionId(300), n: 3 }
}

pub fn place() -> Place {
    Place::new(127, 1).unwrap()
}

pub fn questions() -> Vec<TreeQuestion> {
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

pub fn tree_answers() -> Vec<TreeAnswer> {
    vec![
        TreeAnswer::Roots(vec![Summary(1)]),
        TreeAnswer::Differing(vec![tree()]),
        TreeAnswer::Branches(vec![(127, Brief(2))]),
        TreeAnswer::Leaves(vec![(place(), Brief(3))]),
        TreeAnswer::Keys(Listing { keys: vec![(key(), Digest(4))], more: true }),
        TreeAnswer::Digests(vec![None, Some(Digest(5))]),
    ]
}

pub fn errors() -> Vec<RequestError> {
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

pub fn fence() -> Fence {
    Fence { generation: Generation(7), finished: Generation(6), reaped: Stamp(u64::MAX) }
}

pub fn fence_questions() -> Vec<FenceQuestion> {
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

pub fn fence_answers() -> Vec<FenceAnswer> {
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

pub fn replies() -> Vec<PeerReply> {
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

pub fn controls() -> Vec<ControlMessage> {
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
