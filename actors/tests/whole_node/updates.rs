//! `Store::update`: read, merge, write; over and over while others write too.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use henge_actors::{
    NodeHandle, Store,
    api::{Answer, Got, KeyPage, KeyQuery},
    store::{Change, UpdateOptions, Updated},
};
use henge_kernel::{
    bucket::{BucketChange, BucketRegister},
    causality::Value,
    coordination::{DeleteOptions, Fate, PutOptions, ReadOptions, RequestError},
    key::Key,
};

use crate::world::{Plan, PutResult, World, get, key, name, put, simulate, texts, value};

/// A cart is a set of items, as words.
fn items(carts: &[Value]) -> BTreeSet<String> {
    let words = carts.iter().flat_map(|cart| cart.as_text().unwrap().split(' '));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn cart(items: &BTreeSet<String>) -> Value {
    value(&items.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
}

/// Written against the trait, so that every store will do.
async fn add<S: Store>(store: &S, text: &str, item: &str) -> Result<Updated, S::Error> {
    let merge = |carts: Vec<Value>| {
        let mut all = items(&carts);
        all.insert(item.to_owned());
        cart(&all)
    };
    store.update(&key(text), merge).await
}

#[test]
fn an_update_writes_a_new_key_and_merges_siblings() {
    simulate(async {
        let world = World::start(Plan::three(30)).await;
        let (a, b) = (world.node("a"), world.node("b"));
        let first = add(a, "new", "book").await.unwrap();
        assert_eq!(
            (first.value, first.writes, first.siblings_left),
            (Some(value("book")), 1, false)
        );
        put(a, "k", "book", PutOptions::default()).await.unwrap();
        put(b, "k", "pen", PutOptions::default()).await.unwrap();
        let merged = add(world.node("c"), "k", "cup").await.unwrap();
        assert_eq!((merged.writes, merged.siblings_left), (1, false));
        assert_eq!(texts(&get(a, "k", ReadOptions::default().r(3)).await), ["book cup pen"]);
        // The context covers the write, so a put with it replaces the cart.
        let options = PutOptions::default().context(merged.context);
        put(b, "k", "empty", options).await.unwrap();
        assert_eq!(texts(&get(a, "k", ReadOptions::default().r(3)).await), ["empty"]);
    });
}

#[test]
fn concurrent_updates_of_one_cart_through_three_nodes_lose_no_item() {
    const ROUNDS: usize = 20;
    for seed in 0..5 {
        simulate(async {
            let world = World::start(Plan::three(40 + seed)).await;
            let shop = async |node: &NodeHandle, tag: &str| {
                let mut writes = 0;
                for round in 0..ROUNDS {
                    writes += add(node, "cart", &format!("{tag}{round}")).await.unwrap().writes;
                }
                writes
            };
            let (a, b, c) = (world.node("a"), world.node("b"), world.node("c"));
            let writes =
                futures_util::future::join3(shop(a, "a"), shop(b, "b"), shop(c, "c")).await;
            assert!(writes.0 + writes.1 + writes.2 > 60, "nobody met a conflict: {writes:?}");
            world.until_equal(&key("cart")).await;
            add(a, "cart", "last").await.unwrap();
            let got = get(b, "cart", ReadOptions::default().r(3)).await;
            assert!(matches!(got, Got::Value { .. }), "{got:?}");
            assert_eq!(items(&got.into_values()).len(), 3 * ROUNDS + 1);
        });
    }
}

/// A store where somebody else writes the key just before each put.
struct Rivalled {
    node: NodeHandle,
    rivals: AtomicUsize,
}

impl Store for Rivalled {
    type Error = RequestError;

    async fn get(&self, key: &Key, options: ReadOptions) -> Result<Answer<Got>, RequestError> {
        self.node.get(key, options).await
    }

    async fn put(&self, key: &Key, value: Value, options: PutOptions) -> PutResult {
        let rival = format!("rival{}", self.rivals.fetch_add(1, Relaxed));
        self.node.put(key, cart(&BTreeSet::from([rival])), PutOptions::default()).await?;
        self.node.put(key, value, options).await
    }

    async fn delete(&self, key: &Key, options: DeleteOptions) -> PutResult {
        self.node.delete(key, options).await
    }

    async fn keys(&self, bucket: &Bytes, query: KeyQuery) -> Result<KeyPage, RequestError> {
        self.node.keys(bucket, query).await
    }

    async fn bucket(&self, bucket: &Bytes) -> Result<BucketRegister, RequestError> {
        self.node.bucket(bucket)
    }

    async fn set_bucket(
        &self,
        bucket: &Bytes,
        change: BucketChange,
    ) -> Result<BucketRegister, RequestError> {
        self.node.set_bucket(bucket, change).await
    }

    async fn buckets(&self) -> Result<Vec<BucketRegister>, RequestError> {
        self.node.buckets().await
    }
}

#[test]
fn a_conflict_is_merged_a_bounded_number_of_times_and_then_left_to_the_next_update() {
    simulate(async {
        let world = World::start(Plan::three(50)).await;
        let a = world.node("a");
        let rivalled = Rivalled { node: a.clone(), rivals: AtomicUsize::new(0) };
        let mut calls = 0;
        let options = UpdateOptions::default().writes_max(3);
        let merge = |carts: Vec<Value>| {
            calls += 1;
            cart(&items(&carts))
        };
        let updated = rivalled.update_with(&key("k"), options, merge).await.unwrap();
        assert_eq!((calls, updated.writes, updated.siblings_left), (3, 3, true));
        let merged = add(a, "k", "last").await.unwrap();
        assert_eq!((merged.writes, merged.siblings_left), (1, false));
        let got = get(world.node("b"), "k", ReadOptions::default().r(3)).await;
        assert_eq!(texts(&got), ["last rival0 rival1 rival2"]);
    });
}

#[test]
fn an_update_can_delete_and_can_keep() {
    simulate(async {
        let world = World::start(Plan::three(51)).await;
        let a = world.node("a");
        let kept = a.update(&key("none"), |_| Change::Delete).await.unwrap();
        assert_eq!(kept.writes, 0, "there was nothing to delete");
        put(a, "k", "v", PutOptions::default()).await.unwrap();
        let kept = a.update(&key("k"), |_| Change::Keep).await.unwrap();
        assert_eq!((kept.writes, kept.value), (0, None));
        assert_eq!(texts(&get(a, "k", ReadOptions::default()).await), ["v"]);
        let deleted = a.update(&key("k"), |_| None::<Value>).await.unwrap();
        assert_eq!((deleted.writes, deleted.value), (1, None));
        let gone = get(world.node("b"), "k", ReadOptions::default()).await;
        assert!(matches!(gone, Got::Deleted { .. }), "{gone:?}");
        add(a, "k", "again").await.unwrap();
        assert_eq!(texts(&get(a, "k", ReadOptions::default()).await), ["again"]);
    });
}

#[test]
fn the_errors_of_an_update_keep_their_fate() {
    simulate(async {
        let world = World::start(Plan::three(52)).await;
        let a = world.node("a");
        let refused = a.update_with(&key("k"), UpdateOptions::default().r(9), |_| value("v")).await;
        assert!(matches!(refused, Err(RequestError::BadRequest { .. })), "{refused:?}");
        let large = value(&"x".repeat((1 << 20) + 1));
        let refused = a.update(&key("k"), |_| large.clone()).await.unwrap_err();
        assert_eq!((refused.code(), refused.fate()), ("too_large", Fate::NotApplied));
        // Reads go on with one replica; the write reaches its own node, and then no other.
        world.network.isolate(&name("a"));
        let options = UpdateOptions::default().r(1).w(2).timeout(Duration::from_millis(300));
        let lost = a.update_with(&key("k"), options, |_| value("v")).await.unwrap_err();
        assert_eq!(lost.fate(), Fate::Unknown, "{lost:?}");
    });
}
