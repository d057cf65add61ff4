//! What is refused, in the words of HTTP.

use std::time::Duration;

use bytes::Bytes;
use henge::{
    Client, ClientError, ClientSettings, DeleteOptions, PutOptions, ReadOptions, RequestError,
    Store as _, Value,
};
use henge_actors::api::KeyQuery;
use henge_kernel::bucket::BucketChange;

use crate::{
    address, blind, connect, failure, key,
    support::{
        http,
        node::{Cluster, Single, eventually},
    },
    text, tls,
};

#[tokio::test]
async fn bad_options_are_refused_with_field_value_and_limit() {
    let cluster = Cluster::of_three();
    let client = connect(&cluster.nodes[0]).await;
    let reads = [
        (ReadOptions::default().r(4), "r", "4", "1 to 3 (n)"),
        (ReadOptions::default().r(0), "r", "0", "1 to 3 (n)"),
        (ReadOptions::default().r(1).pr(2), "pr", "2", "1 to 1 (r)"),
        (ReadOptions::default().pr(0), "pr", "0", "1 to 2 (r)"),
    ];
    for (options, field, value, limit) in reads {
        let refused = client.get(&key("a"), options).await.unwrap_err();
        let ClientError::Request(RequestError::BadRequest { field: f, value: v, limit: l }) =
            refused
        else {
            panic!("{refused}");
        };
        assert_eq!((&*f, &*v, &*l), (field, value, limit));
    }
    for timeout in [Duration::ZERO, Duration::from_secs(61)] {
        let refused = client.get(&key("a"), ReadOptions::default().timeout(timeout)).await;
        assert_eq!(failure(refused), ("bad_request", "not_applied"));
    }
    let puts = [
        PutOptions::default().w(4),
        PutOptions::default().w(0),
        PutOptions::default().w(1).pw(2),
        PutOptions::default().pw(0),
        PutOptions::default().ttl(Duration::ZERO),
    ];
    for options in puts {
        let refused = client.put(&key("a"), text("x"), options).await;
        assert_eq!(failure(refused), ("bad_request", "not_applied"));
    }
    let got = client.get(&key("a"), ReadOptions::default()).await.unwrap();
    assert!(got.versions().is_empty(), "nothing was written");
}

#[tokio::test]
async fn a_delete_needs_a_context_and_a_value_its_limit() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let delete = client.delete(&key("a"), DeleteOptions::default()).await;
    assert_eq!(failure(delete), ("context_required", "not_applied"));
    for size in [(1 << 20) + 1, 3 << 20, 40 << 20] {
        let put = client.put(&key("a"), Value::plain(vec![0; size]), blind()).await.unwrap_err();
        let ClientError::Request(RequestError::TooLarge { size: found, max }) = put else {
            panic!("{put}");
        };
        assert!(found == size as u64 && max >= 1 << 20, "{found} {max}");
    }
    client.put(&key("a"), text("still here"), blind()).await.unwrap();
    let meta = vec![("name".into(), "x".repeat(70_000).into())];
    let put = client.put(&key("a"), Value { meta, ..Value::default() }, blind()).await;
    assert_eq!(failure(put), ("bad_request", "not_applied"));
}

#[tokio::test]
async fn a_key_with_too_many_siblings_takes_no_blind_put() {
    let single = Single::start();
    let client = connect(&single.node).await;
    for number in 0..64 {
        client.put(&key("full"), text(&number.to_string()), blind()).await.unwrap();
    }
    let put = client.put(&key("full"), text("one more"), blind()).await;
    assert_eq!(failure(put), ("too_many_siblings", "not_applied"));
    let got = client.get(&key("full"), ReadOptions::default()).await.unwrap();
    assert_eq!(got.versions().len(), 64);
    let options = PutOptions::default().context(got.context());
    client.put(&key("full"), text("all"), options).await.unwrap();
}

#[tokio::test]
async fn listings_and_buckets_refuse_what_http_refuses() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let name = Bytes::from_static(b"b");
    let query = |limit, after: Option<&str>| KeyQuery {
        prefix: Bytes::new(),
        after: after.map(str::to_owned),
        limit,
    };
    for query in [query(0, None), query(1001, None), query(1, Some("!"))] {
        let refused = client.keys(&name, query).await;
        assert_eq!(failure(refused), ("bad_request", "not_applied"));
    }
    for bucket in [Bytes::new(), Bytes::from(vec![b'x'; 257])] {
        assert_eq!(failure(client.bucket(&bucket).await), ("bad_request", "not_applied"));
        assert_eq!(failure(client.keys(&bucket, query(1, None)).await).0, "bad_request");
    }
    let changes = [
        BucketChange::default().set("w", "9"),
        BucketChange::default().set("colour", "blue"),
        BucketChange::default().set("ttl", "0s"),
        serde_json::from_str(r#"{"ttl": ["none"]}"#).unwrap(),
    ];
    for change in changes {
        let refused = client.set_bucket(&name, change).await;
        assert_eq!(failure(refused), ("bad_request", "not_applied"));
    }
    client.put(&key("used"), text("x"), blind()).await.unwrap();
    let change = BucketChange::default().set("conflict", "lww");
    let fixed = client.set_bucket(key("used").bucket(), change).await;
    assert_eq!(failure(fixed), ("bucket_property_fixed", "not_applied"));
}

#[tokio::test]
async fn without_a_quorum_a_request_says_so_and_what_became_of_it() {
    let mut cluster = Cluster::of_three();
    let client = connect(&cluster.nodes[0]).await;
    client.put(&key("a"), text("x"), PutOptions::default().w(3)).await.unwrap();
    cluster.nodes.pop().unwrap().stop();
    cluster.nodes.pop().unwrap().stop();
    let left = &cluster.nodes[0];
    eventually("both are known as down", || {
        let members = left.handle.cluster().members;
        members.iter().filter(|one| one.liveness == "down").count() == 2
    });
    let refused = client.put(&key("a"), text("y"), blind()).await;
    assert_eq!(failure(refused), ("quorum_not_met", "not_applied"));
    let over_http = http::put(left.http, "/v1/kv/carts/a", "y");
    assert_eq!(over_http.json()["code"], "quorum_not_met");
    let refused = client.get(&key("a"), ReadOptions::default()).await;
    assert_eq!(failure(refused).0, "quorum_not_met");
    client.get(&key("a"), ReadOptions::default().r(1)).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said_in_time_and_was_not_applied() {
    let single = Single::start();
    let certificates = tls(&single.node);
    let settings =
        ClientSettings { connect_timeout: Duration::from_millis(300), ..ClientSettings::default() };
    let nobody = Client::connect_with(["127.0.0.1:9"], certificates.clone(), settings).await;
    let (code, fate) = failure(nobody);
    assert!(["unreachable", "timed_out"].contains(&code), "{code} {fate}");
    for bad in ["", "nowhere", "a:b", "::1:80"] {
        let refused = Client::connect([bad], certificates.clone()).await;
        assert_eq!(failure(refused), ("bad_address", "not_applied"), "{bad}");
    }
    let none: [&str; 0] = [];
    assert_eq!(failure(Client::connect(none, certificates.clone()).await).0, "bad_address");
    let one_lives =
        Client::connect(["127.0.0.1:9".to_owned(), address(&single.node)], certificates);
    one_lives.await.unwrap().put(&key("a"), text("x"), blind()).await.unwrap();
}
