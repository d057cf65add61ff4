//! Every message that clients and nodes send each other, for tests and fuzzing.
#![allow(clippy::unwrap_used, reason = "what is written down here is right")]

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketChange, BucketProperties, BucketRegister, Durability, RegisterVersion},
    causality::{Actor, Content, Context, Dot, History, Seal, Stamp, Value, Version},
    coordination::{DeleteOptions, PutOptions, ReadOptions, Replicas, RequestError},
    id::{NodeId, ShardUid, WriteId},
    key::Key,
    time::WallMillis,
};

use super::{ClientReply, ClientRequest, ReportOf};
use crate::api::{Answer, Got, KeyPage, KeyQuery, Written};

pub fn key() -> Key {
    Key::new(Bytes::from_static(b"bucket"), Bytes::from_static(b"\xff/key")).unwrap()
}

pub fn dot(counter: u64) -> Dot {
    Dot { actor: Actor { uid: ShardUid(u64::MAX), epoch: 3 }, counter }
}

pub fn context() -> Context {
    Context::new(History::from_iter([dot(9), dot(11)]), Stamp(1_700_000_000_000))
        .sealed(Seal(u64::MAX))
}

pub fn value(bytes: &'static [u8]) -> Value {
    Value {
        bytes: Bytes::from_static(bytes),
        content_type: Some("text/plain".into()),
        meta: vec![("colour".into(), "blue".into())],
    }
}

pub fn requests() -> Vec<ClientRequest> {
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

pub fn version(counter: u64, bytes: &'static [u8]) -> Version {
    let expires_at = (counter > 1).then_some(WallMillis(8));
    Version::new(dot(counter), Content::Value(value(bytes)), Stamp(7), WriteId(5), expires_at)
}

pub fn replies() -> Vec<ClientReply> {
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
