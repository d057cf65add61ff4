//! One table of bad inputs for every door that a program has: a node in its process, and a client.

use std::time::Duration;

use bytes::Bytes;
use henge::{DeleteOptions, Got, PutOptions, ReadOptions, Store, Value};
use henge_actors::{Key, api::KeyQuery};
use henge_kernel::{
    bucket::{BucketChange, TTL_MAX},
    causality::{Actor, Context, ContextKey, Dot, Stamp},
    id::{ClusterId, ShardUid},
};

use crate::{
    blind, connect, key,
    support::node::{Cluster, Single, TestNode},
    text,
};

/// Code, fate and words of a refusal.
type Refusal = (&'static str, &'static str, String);

fn refusal<T: std::fmt::Debug, E: henge_actors::store::StoreError>(
    outcome: Result<T, E>,
) -> Refusal {
    let error = outcome.unwrap_err();
    (error.code(), error.fate().as_str(), error.to_string())
}

fn described(content_type: Option<&str>, meta: &[(&str, &str)]) -> Value {
    let meta = meta.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    Value { content_type: content_type.map(Into::into), meta, ..Value::plain("x") }
}

/// Values that no bucket takes.
fn bad_values() -> Vec<Value> {
    let names: Vec<String> = (0..33).map(|number| format!("n{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let long_type = format!("text/{}", "x".repeat(251));
    let mut values: Vec<_> = ["", "text", "te xt/plain", "text/plain\n", &long_type]
        .map(|kind| described(Some(kind), &[]))
        .into();
    let long = ["x".repeat(4096), "x".repeat(70_000)];
    for meta in [
        &many[..],
        &[("a", &long[0])],
        &[("a", &long[1])],
        &[("", "x")],
        &[("A", "x")],
        &[("a", "x\r\ny")],
        &[("a", "1"), ("a", "2")],
    ] {
        values.push(described(None, meta));
    }
    values
}

fn bad_reads() -> Vec<ReadOptions> {
    let mut reads = vec![
        ReadOptions::default().r(4),
        ReadOptions::default().r(255),
        ReadOptions::default().r(1).pr(2),
        ReadOptions::default().pr(3),
    ];
    reads.extend(bad_timeouts().map(|timeout| ReadOptions::default().timeout(timeout)));
    reads
}

fn bad_timeouts() -> [Duration; 4] {
    let over = Duration::from_millis(60_001);
    [Duration::ZERO, Duration::from_micros(999), over, Duration::from_hours(1)]
}

fn bad_puts() -> Vec<PutOptions> {
    let mut puts = vec![
        PutOptions::default().w(4),
        PutOptions::default().w(1).pw(2),
        PutOptions::default().pw(3),
        PutOptions::default().ttl(Duration::ZERO),
        PutOptions::default().ttl(Duration::from_micros(999)),
        PutOptions::default().ttl(TTL_MAX + Duration::from_millis(1)),
    ];
    puts.extend(bad_timeouts().map(|timeout| PutOptions::default().timeout(timeout)));
    puts
}

fn bad_queries() -> Vec<KeyQuery> {
    let query = |prefix: usize, after: Option<String>, limit| KeyQuery {
        prefix: vec![b'p'; prefix].into(),
        after,
        limit,
    };
    vec![
        query(1025, None, 1),
        query(70_000, None, 1),
        query(0, None, 0),
        query(0, None, 1001),
        query(0, Some("!".to_owned()), 1),
        query(0, Some("A".repeat(5)), 1),
        query(0, Some("A".repeat(70_000)), 1),
    ]
}

fn bad_changes() -> Vec<BucketChange> {
    let mut changes: Vec<_> = [
        ("n", "0"),
        ("n", "8"),
        ("r", "4"),
        ("w", "9"),
        ("pr", "3"),
        ("colour", "blue"),
        ("ttl", "0s"),
        ("ttl", "1"),
        ("conflict", "last"),
        ("sloppy", "maybe"),
        ("durability", "never"),
        ("value_bytes_max", "1GiB"),
    ]
    .map(|(name, value)| BucketChange::default().set(name, value))
    .into();
    changes.push(serde_json::from_str(r#"{"ttl": ["none"]}"#).unwrap());
    changes
}

/// All refusals of `store` in the order of the table. Whatever is not refused fails the test.
async fn refusals<S: Store>(store: &S, context: &Context) -> Vec<Refusal> {
    let mut all = Vec::new();
    let name = key("bad");
    for options in bad_reads() {
        all.push(refusal(store.get(&name, options).await));
    }
    for options in bad_puts() {
        all.push(refusal(store.put(&name, text("y"), options).await));
    }
    for value in bad_values() {
        all.push(refusal(store.put(&name, value, blind()).await));
    }
    for size in [(1 << 20) + 1, 3 << 20] {
        let value = Value::plain(vec![0; size]);
        all.push(refusal(store.put(&name, value, blind()).await));
    }
    all.push(refusal(store.delete(&name, DeleteOptions::default()).await));
    for PutOptions { w, pw, timeout, .. } in bad_puts().into_iter().filter(|put| put.ttl.is_none())
    {
        let context = context.clone();
        let options = DeleteOptions { context, w, pw, timeout, ..DeleteOptions::default() };
        all.push(refusal(store.delete(&name, options).await));
    }
    for query in bad_queries() {
        all.push(refusal(store.keys(name.bucket(), query).await));
    }
    for length in [0, 257, 70_000] {
        let bucket = Bytes::from(vec![b'b'; length]);
        let query = KeyQuery { prefix: Bytes::new(), after: None, limit: 1 };
        all.push(refusal(store.keys(&bucket, query).await));
        all.push(refusal(store.bucket(&bucket).await));
        let change = BucketChange::default().set("w", "1");
        all.push(refusal(store.set_bucket(&bucket, change).await));
    }
    for change in bad_changes() {
        all.push(refusal(store.set_bucket(name.bucket(), change).await));
    }
    all
}

#[tokio::test]
async fn a_node_and_a_client_refuse_the_same_inputs_in_the_same_words() {
    let cluster = Cluster::of_three();
    let node = &cluster.nodes[0];
    let client = connect(node).await;
    client.put(&key("bad"), text("x"), blind()).await.unwrap();
    let before = client.get(&key("bad"), ReadOptions::default()).await.unwrap().body;
    let bucket = client.bucket(key("bad").bucket()).await.unwrap();
    let here = refusals(&node.handle, &before.context()).await;
    let there = refusals(&client, &before.context()).await;
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(here, there);
        let code = ["bad_request", "too_large", "context_required"].contains(&here.0);
        assert!(code && here.1 == "not_applied", "{here:?}");
    }
    assert_eq!(here.len(), there.len());
    let after = client.get(&key("bad"), ReadOptions::default()).await.unwrap().body;
    assert_eq!((after, client.bucket(key("bad").bucket()).await.unwrap()), (before, bucket));
}

/// The metadata that comes back of names that were not given in order.
async fn kept<S: Store>(store: &S, name: &str) -> Vec<(Box<str>, Box<str>)> {
    let value = described(None, &[("size", "7"), ("colour", "blue")]);
    store.put(&key(name), value, PutOptions::default()).await.unwrap();
    let got = store.get(&key(name), ReadOptions::default()).await.unwrap();
    got.body.into_values().swap_remove(0).meta
}

#[tokio::test]
async fn metadata_has_one_order_through_every_door() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let ordered = described(None, &[("colour", "blue"), ("size", "7")]).meta;
    assert_eq!(kept(&single.node.handle, "a").await, ordered);
    assert_eq!(kept(&client, "b").await, ordered);
}

#[test]
fn keys_that_are_empty_or_too_long_cannot_be_made() {
    for (bucket, key) in [(0, 1), (257, 1), (1, 0), (1, 1025)] {
        assert!(Key::new(vec![b'b'; bucket], vec![b'k'; key]).is_err(), "{bucket} {key}");
    }
    Key::new(vec![0; 256], vec![0; 1024]).unwrap();
}

/// Writes under `context`, with every verb that takes one.
async fn write_under<S: Store>(store: &S, key: &Key, context: Context) -> [Refusal; 2] {
    let put = store.put(key, text("y"), PutOptions::default().context(context.clone())).await;
    let delete = store.delete(key, DeleteOptions::default().context(context)).await;
    [refusal(put), refusal(delete)]
}

/// What `store` refuses as contexts of `carts/mine`.
async fn foreign_contexts<S: Store>(store: &S) -> Vec<Refusal> {
    let mine = key("mine");
    let written = store.put(&mine, text("x"), blind()).await.unwrap().body;
    let seen = store.get(&mine, ReadOptions::default()).await.unwrap().body.context();
    let unsealed = Context::new(seen.history().clone(), seen.stamp());
    let elsewhere = ContextKey::of(ClusterId::of("elsewhere")).seal(&mine);
    let mut all = Vec::new();
    let others =
        [key("yours"), Key::new("carts2", "mine").unwrap(), Key::new("cartsm", "ine").unwrap()];
    for other in others {
        all.extend(write_under(store, &other, written.context.clone()).await);
        all.extend(write_under(store, &other, seen.clone()).await);
        let got = store.get(&other, ReadOptions::default()).await.unwrap().body;
        assert_eq!(got, Got::NotFound, "nothing was written");
    }
    all.extend(write_under(store, &mine, unsealed.clone()).await);
    all.extend(write_under(store, &mine, unsealed.sealed(elsewhere)).await);
    let got = store.get(&mine, ReadOptions::default()).await.unwrap().body;
    assert_eq!(got.context(), seen, "nothing was written");
    // The key's own context is good, and so is that of a put that answers with the record.
    let options = PutOptions::default().context(seen).return_body(true);
    let again = store.put(&mine, text("z"), options).await.unwrap().body;
    for context in [again.context, again.got.unwrap().context()] {
        let options = PutOptions::default().context(context);
        store.put(&mine, text("z"), options).await.unwrap();
    }
    all
}

#[tokio::test]
async fn a_context_of_another_key_is_refused_and_nothing_is_written() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let mut all = foreign_contexts(&single.node.handle).await;
    all.extend(foreign_contexts(&client).await);
    for (code, fate, words) in all {
        assert_eq!((code, fate), ("bad_context", "not_applied"));
        assert!(words.contains("another key, bucket or cluster"), "{words}");
    }
}

/// A context of dots that the node has never minted, or has forgotten.
fn forgotten(node: &TestNode, key: &Key) -> Context {
    let dot = Dot { actor: Actor { uid: ShardUid(7), epoch: 1 }, counter: 9 };
    let context = Context::new([dot].into_iter().collect(), Stamp(1));
    context.sealed(node.handle.context_key().seal(key))
}

#[tokio::test]
async fn a_context_of_forgotten_dots_is_accepted() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let options = PutOptions::default().context(forgotten(&single.node, &key("fresh")));
    client.put(&key("fresh"), text("y"), options).await.unwrap();
    let got = client.get(&key("fresh"), ReadOptions::default()).await.unwrap();
    assert_eq!(got.versions().len(), 1);
}
