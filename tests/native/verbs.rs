//! Every verb, as the trait says and as HTTP sees it.

use std::time::Duration;

use bytes::Bytes;
use henge::{
    Client, ClientSettings, DeleteOptions, Got, Key, PutOptions, ReadOptions, Store as _, Value,
};
use henge_actors::api::KeyQuery;
use henge_kernel::{
    bucket::BucketChange,
    causality::{Conflict, Context},
    id::WriteId,
};

use crate::{
    address, blind, connect, key,
    support::node::{Cluster, Single},
    text, tls,
};

#[tokio::test]
async fn a_value_comes_back_with_all_that_was_said_of_it() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let value = Value {
        bytes: Bytes::from_static(b"\x00\xff"),
        content_type: Some("image/x".into()),
        meta: vec![("colour".into(), "blue".into())],
    };
    let written = client.put(&key("a"), value.clone(), blind()).await.unwrap();
    assert_eq!((written.replicas.acks, written.replicas.homes), (1, 1));
    let got = client.get(&key("a"), ReadOptions::default()).await.unwrap();
    let Got::Value { version, context, concurrent_delete } = got.body else { panic!("one value") };
    assert_eq!(
        (version.live_value(single.node.handle.wall()), version.dot),
        (Some(&value), written.dot)
    );
    assert_eq!((context, concurrent_delete), (written.context.clone(), false));
    let local = single.node.handle.get(&key("a"), ReadOptions::default()).await.unwrap();
    let Got::Value { version: same, .. } = local.body else { panic!("one value") };
    assert_eq!(version, same, "what travels is what the node has");
}

#[tokio::test]
async fn siblings_are_shown_resolved_and_deleted() {
    let cluster = Cluster::of_three();
    let client = connect(&cluster.nodes[0]).await;
    let other = connect(&cluster.nodes[1]).await;
    client.put(&key("s"), text("one"), blind()).await.unwrap();
    other.put(&key("s"), text("two"), blind()).await.unwrap();
    let strict = ReadOptions::default().r(3);
    let got = client.get(&key("s"), strict).await.unwrap().body;
    assert_eq!(got.versions().len(), 2);
    let options = PutOptions::default().context(got.context()).return_body(true);
    let written = other.put(&key("s"), text("both"), options).await.unwrap().body;
    let values = written.got.unwrap().into_values();
    assert_eq!(values, [text("both")]);
    let options = DeleteOptions::default().context(written.context);
    client.delete(&key("s"), options).await.unwrap();
    let got = other.get(&key("s"), ReadOptions::default()).await.unwrap().body;
    assert!(matches!(got, Got::Deleted { .. }), "{got:?}");
    assert!(!got.context().is_empty());
    let nothing = client.get(&key("none"), ReadOptions::default()).await.unwrap().body;
    assert_eq!(nothing, Got::NotFound);
}

#[tokio::test]
async fn one_write_id_is_one_write_through_any_node() {
    let cluster = Cluster::of_three();
    let options = PutOptions::default().write_id(WriteId(7));
    for node in &cluster.nodes {
        let client = connect(node).await;
        client.put(&key("again"), text("once"), options.clone()).await.unwrap();
    }
    let client = connect(&cluster.nodes[0]).await;
    let got = client.get(&key("again"), ReadOptions::default().r(3)).await.unwrap();
    assert_eq!(got.versions().len(), 1);
}

#[tokio::test]
async fn contexts_travel_as_the_tokens_of_http() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let context = client.put(&key("t"), text("one"), blind()).await.unwrap().body.context;
    let token = context.to_token(&client.context_key(), &key("t"));
    assert_eq!(token, context.to_token(single.node.handle.context_key(), &key("t")));
    let read = Context::from_token(&client.context_key(), &key("t"), &token).unwrap();
    client.put(&key("t"), text("two"), PutOptions::default().context(read)).await.unwrap();
    let got = client.get(&key("t"), ReadOptions::default()).await.unwrap();
    assert_eq!(got.versions().len(), 1);
}

#[tokio::test]
async fn update_merges_through_the_client() {
    let single = Single::start();
    let client = connect(&single.node).await;
    for item in ["pen", "book"] {
        let add = |carts: Vec<Value>| {
            let mut items: Vec<_> = carts.iter().filter_map(Value::as_text).collect();
            items.push(item);
            text(&items.join("\n"))
        };
        client.update(&key("cart"), add).await.unwrap();
    }
    let got = client.get(&key("cart"), ReadOptions::default()).await.unwrap().body;
    assert_eq!(got.into_values(), [text("pen\nbook")]);
}

#[tokio::test]
async fn a_value_with_a_ttl_expires() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let options = PutOptions::default().ttl(Duration::from_millis(1));
    client.put(&key("soon"), text("gone"), options).await.unwrap();
    loop {
        match client.get(&key("soon"), ReadOptions::default()).await.unwrap().body {
            Got::Value { .. } => tokio::task::yield_now().await,
            got => return assert!(matches!(got, Got::Deleted { .. }), "{got:?}"),
        }
    }
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let cluster = Cluster::of_three();
    let client = connect(&cluster.nodes[2]).await;
    let mut expected = Vec::new();
    for number in 0..25 {
        let name = Bytes::from(format!("k{number:02}\u{ff}"));
        let all = PutOptions::default().w(3);
        client.put(&Key::new("list", name.clone()).unwrap(), text("x"), all).await.unwrap();
        expected.push(name);
    }
    let other = Key::new("list", "other").unwrap();
    client.put(&other, text("x"), PutOptions::default().w(3)).await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let query = KeyQuery { prefix: Bytes::from_static(b"k"), after, limit: 10 };
        let page = client.keys(&Bytes::from_static(b"list"), query).await.unwrap();
        assert!(page.keys.len() <= 10);
        found.extend(page.keys);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn buckets_are_set_and_seen_everywhere() {
    let cluster = Cluster::of_three();
    let client = connect(&cluster.nodes[0]).await;
    let name = Bytes::from_static(b"sessions");
    let before = client.bucket(&name).await.unwrap();
    assert_eq!((before.version.counter, before.properties.conflict), (0, Conflict::Siblings));
    let change = BucketChange::default().set("conflict", "lww").set("w", "1").set("ttl", "30d");
    let set = client.set_bucket(&name, change).await.unwrap();
    assert_eq!((set.properties.conflict, set.properties.w), (Conflict::Lww, 1));
    assert_eq!(client.bucket(&name).await.unwrap(), set);
    let all = client.buckets().await.unwrap();
    assert!(all.contains(&set), "{all:?}");
}

#[tokio::test]
async fn reports_are_those_of_the_node_that_was_named_first() {
    let cluster = Cluster::of_three();
    for node in &cluster.nodes {
        let client = connect(node).await;
        let report = client.cluster().await.unwrap();
        assert_eq!((report.node.as_str(), report.members.len()), (node.name.as_str(), 3));
        assert_eq!(client.ring().await.unwrap(), node.handle.ring());
        let list = client.preference_list(&key("a")).await.unwrap();
        assert_eq!(list, node.handle.preference_list(&key("a")));
        client.put(&key("a"), text("x"), PutOptions::default().w(3)).await.unwrap();
        let replica = client.replica(&key("a")).await.unwrap();
        assert_eq!(replica, node.handle.replica(&key("a")).await.unwrap());
        assert_eq!(replica.node, node.name);
        let actors = client.actors().await.unwrap();
        assert!(
            actors.iter().any(|one| one.actor == "ClientLink" && one.handled > 0),
            "{actors:?}"
        );
    }
}

#[tokio::test]
async fn a_large_value_and_many_at_once_come_back() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let large = Value::plain(vec![7; 1 << 20]);
    let puts = (0..20).map(|number| {
        let (client, large) = (client.clone(), large.clone());
        async move { client.put(&key(&format!("large-{number}")), large, blind()).await }
    });
    for put in futures_util::future::join_all(puts).await {
        put.unwrap();
    }
    let gets = (0..20).map(|number| {
        let client = client.clone();
        async move { client.get(&key(&format!("large-{number}")), ReadOptions::default()).await }
    });
    for got in futures_util::future::join_all(gets).await {
        assert_eq!(got.unwrap().body.into_values(), std::slice::from_ref(&large));
    }
}

#[test]
fn a_client_works_from_any_thread_and_runtime() {
    let single = Single::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime.block_on(connect(&single.node));
    drop(runtime);
    let threads = (0..4).map(|number| {
        let client = client.clone();
        std::thread::spawn(move || {
            // No runtime at all here.
            let name = key(&format!("thread-{number}"));
            let put = client.put(&name, text("x"), blind());
            pollster(put).unwrap();
            pollster(client.get(&name, ReadOptions::default())).unwrap();
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    pollster(client.close());
    let closed = pollster(client.get(&key("thread-0"), ReadOptions::default()));
    assert_eq!(closed.unwrap_err().code(), "closed");
}

#[test]
fn a_local_client_works_while_its_local_set_runs_and_at_no_other_time() {
    let single = Single::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let client = local.block_on(&runtime, async {
        let (nodes, settings) = ([address(&single.node)], ClientSettings::default());
        let client = Client::connect_local(nodes, tls(&single.node), settings).await.unwrap();
        client.put(&key("here"), text("x"), blind()).await.unwrap();
        client
    });
    let elsewhere = client.clone();
    let thread = std::thread::spawn(move || {
        pollster(elsewhere.get(&key("here"), ReadOptions::default())).unwrap()
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!thread.is_finished(), "nothing works for it now");
    local.block_on(&runtime, async {
        while !thread.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client.close().await;
    });
    assert_eq!(thread.join().unwrap().body.into_values(), [text("x")]);
    pollster(client.close());
}

/// Runs a future with nothing but a thread that is woken.
fn pollster<F: Future>(future: F) -> F::Output {
    use std::{
        pin::pin,
        sync::Arc,
        task::{Context, Poll, Wake, Waker},
        thread::{self, Thread},
    };
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
