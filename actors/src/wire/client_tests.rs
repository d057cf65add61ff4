//! The client protocol: every message comes back as it went, and nothing else is taken.

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketChange, BucketProperties, BucketRegister, Durability, RegisterVersion},
    causality::{Actor, Content, Context, Dot, History, Seal, Stamp, Value, Version},
    coordination::{DeleteOptions, PutOptions, ReadOptions, Replicas, RequestError},
    id::{ClusterId, NodeId, ShardUid, WriteId},
    key::Key,
    time::WallMillis,
};

use super::*;
use crate::{
    api::{Answer, Got, KeyPage, KeyQuery, Written},
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

fn dot(counter: u64) -> Dot {
    Dot { actor: Actor { uid: ShardUid(u64::MAX), epoch: 3 }, counter }
}

fn context() -> Context {
    Context::new(History::from_iter([dot(9), dot(11)]), Stamp(1_700_000_000_000))
        .sealed(Seal(u64::MAX))
}

fn value(bytes: &'static [u8]) -> Value {
    Value {
        bytes: Bytes::from_static(bytes),
        content_type: Some("text/plain".into()),
        meta: vec![("colour".into(), "blue".into())],
    }
}

fn requests() -> Vec<ClientRequest> {
    let get = ReadOptions::default().r(1).pr(1).sloppy(false).timeout(Duration::from_micros(1500));
    let put = PutOptions::default()
        .context(context())
        .w(2)
        .pw(1)
        .ttl(Duration::from_mins(1))
        .durability(Durability::Os)
        .write_id(WriteId(u128::MAX - 1))
        .return_body(true);
    let delete = DeleteOptions::default().context(context()).durability(Durability::Periodic);
    let bucket = Bytes::from_static(b"carts");
    let prefix = Bytes::from_static(b"p\xff");
    let query = KeyQuery { prefix, after: Some("abc".to_owned()), limit: 1000 };
    let change = BucketChange::default().set("n", "3").set("ttl", "none").set("conflict", "lww");
    let mut requests = vec![
        ClientRequest::Get { key: key(), options: ReadOptions::default() },
        ClientRequest::Get { key: key(), options: get },
        ClientRequest::Put { key: key(), value: Value::default(), options: PutOptions::default() },
        ClientRequest::Put { key: key(), value: value(b"value"), options: put },
        ClientRequest::Delete { key: key(), options: delete },
        ClientRequest::Keys { bucket: bucket.clone(), query },
        ClientRequest::Bucket { bucket: Bytes::new() },
        ClientRequest::SetBucket { bucket, change },
        ClientRequest::Buckets,
    ];
    let reports = [
        ReportOf::Routing,
        ReportOf::Cluster,
        ReportOf::Ring,
        ReportOf::Preference(key()),
        ReportOf::Replica(key()),
        ReportOf::Actors,
        ReportOf::Hints,
        ReportOf::AntiEntropy,
    ];
    requests.extend(reports.map(ClientRequest::Report));
    requests
}

fn version(counter: u64, bytes: &'static [u8]) -> Version {
    let expires_at = (counter > 1).then_some(WallMillis(8));
    Version::new(dot(counter), Content::Value(value(bytes)), Stamp(7), WriteId(5), expires_at)
}

fn replies() -> Vec<ClientReply> {
    let replicas = Replicas { acks: 2, fallbacks: 1, homes: 3 };
    let one = Got::Value {
        version: Box::new(version(1, b"one")),
        context: context(),
        concurrent_delete: true,
    };
    let two = Got::Siblings {
        versions: vec![version(1, b"one"), version(2, b"")],
        context: context(),
        concurrent_delete: false,
    };
    let written = |got| Written { context: context(), dot: dot(4), got };
    let register = |name: &'static str| BucketRegister {
        name: Bytes::from_static(name.as_bytes()),
        version: RegisterVersion { counter: 4, setter: NodeId(77) },
        properties: BucketProperties::default(),
        established: true,
    };
    let keys = vec![Bytes::from_static(b"a"), Bytes::from_static(b"\xff\x00")];
    let found = [Got::NotFound, Got::Deleted { context: context() }, one.clone(), two.clone()];
    let mut replies: Vec<_> = found.map(|body| ClientReply::Got(Answer { body, replicas })).into();
    replies.extend(
        [None, Some(one), Some(two)]
            .map(|got| ClientReply::Written(Answer { body: written(got), replicas })),
    );
    replies.extend([
        ClientReply::Keys(KeyPage { keys, next: Some("next".to_owned()) }),
        ClientReply::Keys(KeyPage { keys: Vec::new(), next: None }),
        ClientReply::Buckets(vec![register("carts"), register("users")]),
        ClientReply::Buckets(Vec::new()),
        ClientReply::Report(Bytes::from_static(b"{}")),
        ClientReply::Refused(RequestError::TooLarge { size: 2, max: 1 }),
    ]);
    replies
}

#[test]
fn requests_come_back() {
    for request in requests() {
        let frame = joined(request.encode(7).unwrap());
        assert_eq!(ClientQuestion::decode(&frame), Ok(ClientQuestion { correlation: 7, request }));
    }
}

#[test]
fn replies_come_back() {
    for reply in replies() {
        let frame = joined(reply.encode(u64::MAX, 3).unwrap());
        let expected = ClientAnswer { correlation: u64::MAX, epoch: 3, reply };
        assert_eq!(ClientAnswer::decode(&frame), Ok(expected));
    }
}

#[test]
fn a_hello_comes_back() {
    let hello = ClientHello::of(ClusterId::of("stones"));
    assert_eq!(ClientHello::decode(&hello.encode().unwrap()), Ok(hello));
}

#[test]
fn a_single_value_is_not_copied() {
    let bytes = Bytes::from(vec![7; 1 << 20]);
    let content = Content::Value(Value::plain(bytes.clone()));
    let version = Version::new(dot(1), content, Stamp(7), WriteId(5), None);
    let body =
        Got::Value { version: Box::new(version), context: context(), concurrent_delete: false };
    let frame = ClientReply::Got(Answer { body, replicas: Replicas::default() }).encode(1, 1);
    assert_eq!(frame.unwrap().tail.as_ptr(), bytes.as_ptr());
    let value = Value::plain(bytes.clone());
    let put = ClientRequest::Put { key: key(), value, options: PutOptions::default() };
    assert_eq!(put.encode(1).unwrap().tail.as_ptr(), bytes.as_ptr());
}

#[test]
fn surplus_bytes_are_refused_where_no_value_ends_the_frame() {
    for request in requests() {
        let takes_all = matches!(request, ClientRequest::Put { .. });
        let mut frame = joined(request.encode(7).unwrap()).to_vec();
        frame.push(b'x');
        assert_eq!(ClientQuestion::decode(&frame.into()).is_ok(), takes_all, "{request:?}");
    }
    for reply in replies() {
        let takes_all = matches!(reply, ClientReply::Report(_));
        let mut frame = joined(reply.encode(7, 1).unwrap()).to_vec();
        frame.push(0);
        assert_eq!(ClientAnswer::decode(&frame.into()).is_ok(), takes_all, "{reply:?}");
    }
}

#[test]
fn mutated_and_random_frames_never_panic() {
    let mut frames: Vec<Bytes> = Vec::new();
    frames.extend(requests().iter().map(|one| joined(one.encode(7).unwrap())));
    frames.extend(replies().iter().map(|one| joined(one.encode(7, 1).unwrap())));
    frames.push(ClientHello::of(ClusterId(1)).encode().unwrap());
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..50_000 {
        let mut bytes = frames[rng.usize(..frames.len())].to_vec();
        for _ in 0..rng.usize(1..5) {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        bytes.truncate(rng.usize(..=bytes.len()));
        let random: Vec<u8> = (0..rng.usize(..64)).map(|_| rng.u8(..)).collect();
        for bytes in [Bytes::from(bytes), Bytes::from(random)] {
            let _ = ClientQuestion::decode(&bytes);
            let _ = ClientAnswer::decode(&bytes);
            let _ = ClientHello::decode(&bytes);
        }
    }
}
