//! Put, get, delete, siblings and listings, while all is well.

use std::time::Duration;

use henge_actors::api::{Got, KeyQuery};
use henge_kernel::{
    coordination::{DeleteOptions, PutOptions, ReadOptions, RequestError},
    id::WriteId,
};

use crate::world::{Plan, World, delete, get, key, name, pass, put, simulate, texts, value};

fn plans() -> Vec<Plan> {
    let one = Plan::three(1);
    let two = Plan { shards: vec![2], ..Plan::three(2) };
    let mixed = Plan { shards: vec![1, 2, 3], ..Plan::three(3) };
    let five = Plan { nodes: 5, ..Plan::three(4) };
    vec![one, two, mixed, five]
}

#[test]
fn what_is_written_through_any_node_is_read_through_any_other() {
    for plan in plans() {
        simulate(async {
            let world = World::start(plan).await;
            for (turn, writer) in world.names().into_iter().enumerate() {
                for number in 0..20 {
                    let text = format!("key-{turn}-{number}");
                    put(world.node(writer), &text, &text, PutOptions::default()).await.unwrap();
                    for reader in world.names() {
                        let got = get(world.node(reader), &text, ReadOptions::default()).await;
                        assert_eq!(texts(&got), [text.as_str()], "{writer} -> {reader}");
                    }
                }
            }
        });
    }
}

#[test]
fn concurrent_puts_make_siblings_which_a_put_with_the_context_resolves() {
    for plan in plans() {
        simulate(async {
            let world = World::start(plan).await;
            put(world.node("a"), "k", "from a", PutOptions::default()).await.unwrap();
            put(world.node("b"), "k", "from b", PutOptions::default()).await.unwrap();
            let got = get(world.node("c"), "k", ReadOptions::default()).await;
            assert!(matches!(got, Got::Siblings { .. }));
            assert_eq!(texts(&got), ["from a", "from b"]);
            let options = PutOptions::default().context(got.context());
            put(world.node("c"), "k", "both", options).await.unwrap();
            let got = get(world.node("a"), "k", ReadOptions::default().r(3)).await;
            assert_eq!(texts(&got), ["both"]);
        });
    }
}

#[test]
fn no_replicas_are_no_choice() {
    simulate(async {
        let world = World::start(Plan::three(1)).await;
        let node = world.node("a");
        for (options, name) in
            [(ReadOptions::default().r(0), "r"), (ReadOptions::default().pr(0), "pr")]
        {
            let refused = node.get(&key("k"), options).await.unwrap_err();
            assert!(matches!(refused, RequestError::BadRequest { field, .. } if field == name));
        }
        for (options, name) in
            [(PutOptions::default().w(0), "w"), (PutOptions::default().pw(0), "pw")]
        {
            let refused = put(node, "k", "x", options).await.unwrap_err();
            assert!(matches!(refused, RequestError::BadRequest { field, .. } if field == name));
        }
        assert_eq!(get(node, "k", ReadOptions::default().r(3)).await, Got::NotFound);
    });
}

#[test]
fn a_put_s_answer_covers_no_sibling_that_the_client_never_saw() {
    simulate(async {
        let world = World::start(Plan::three(5)).await;
        let mine = put(world.node("a"), "k", "mine", PutOptions::default()).await.unwrap();
        put(world.node("a"), "k", "theirs", PutOptions::default()).await.unwrap();
        let options = PutOptions::default().context(mine.body.context);
        put(world.node("a"), "k", "mine again", options).await.unwrap();
        let got = get(world.node("b"), "k", ReadOptions::default()).await;
        assert_eq!(texts(&got), ["mine again", "theirs"]);
    });
}

#[test]
fn a_delete_leaves_a_tombstone_that_a_put_can_follow() {
    for plan in plans() {
        simulate(async {
            let world = World::start(plan).await;
            let none = get(world.node("a"), "k", ReadOptions::default()).await;
            assert_eq!(none, Got::NotFound);
            put(world.node("a"), "k", "v", PutOptions::default()).await.unwrap();
            let got = get(world.node("b"), "k", ReadOptions::default()).await;
            let options = DeleteOptions::default().context(got.context());
            delete(world.node("c"), "k", options).await.unwrap();
            let gone = get(world.node("a"), "k", ReadOptions::default()).await;
            assert!(matches!(gone, Got::Deleted { .. }), "{gone:?}");
            let options = PutOptions::default().context(gone.context());
            put(world.node("b"), "k", "again", options).await.unwrap();
            let got = get(world.node("c"), "k", ReadOptions::default()).await;
            assert_eq!(texts(&got), ["again"]);
        });
    }
}

#[test]
fn a_delete_without_a_context_is_refused_and_changes_nothing() {
    simulate(async {
        let world = World::start(Plan::three(6)).await;
        put(world.node("a"), "k", "v", PutOptions::default()).await.unwrap();
        let refused = delete(world.node("a"), "k", DeleteOptions::default()).await.unwrap_err();
        assert_eq!(refused, RequestError::ContextRequired);
        assert_eq!(texts(&get(world.node("b"), "k", ReadOptions::default()).await), ["v"]);
    });
}

#[test]
fn a_retry_with_the_same_write_id_makes_no_sibling_even_through_another_node() {
    simulate(async {
        let world = World::start(Plan::three(7)).await;
        let options = PutOptions::default().write_id(WriteId(42)).w(3);
        let first = put(world.node("a"), "k", "v", options.clone()).await.unwrap();
        let again = put(world.node("b"), "k", "v", options).await.unwrap();
        assert_eq!(first.body.dot, again.body.dot);
        assert_eq!(texts(&get(world.node("c"), "k", ReadOptions::default()).await), ["v"]);
    });
}

#[test]
fn return_body_answers_with_all_siblings_and_their_context() {
    simulate(async {
        let world = World::start(Plan::three(8)).await;
        put(world.node("a"), "k", "one", PutOptions::default().w(3)).await.unwrap();
        let options = PutOptions::default().return_body(true);
        let answer = put(world.node("b"), "k", "two", options).await.unwrap();
        let got = answer.body.got.unwrap();
        assert_eq!(texts(&got), ["one", "two"]);
        let resolve = PutOptions::default().context(got.context());
        put(world.node("b"), "k", "three", resolve).await.unwrap();
        assert_eq!(texts(&get(world.node("c"), "k", ReadOptions::default()).await), ["three"]);
    });
}

#[test]
fn an_expired_value_reads_as_deleted() {
    simulate(async {
        let world = World::start(Plan::three(9)).await;
        let options = PutOptions::default().ttl(Duration::from_secs(10));
        put(world.node("a"), "k", "v", options).await.unwrap();
        assert_eq!(texts(&get(world.node("b"), "k", ReadOptions::default()).await), ["v"]);
        pass(11_000).await;
        let gone = get(world.node("b"), "k", ReadOptions::default()).await;
        assert!(matches!(gone, Got::Deleted { .. }), "{gone:?}");
    });
}

#[test]
fn bad_quorums_and_large_values_are_refused_with_their_numbers() {
    simulate(async {
        let world = World::start(Plan::three(10)).await;
        let node = world.node("a");
        for options in [
            PutOptions::default().w(0),
            PutOptions::default().w(4),
            PutOptions::default().pw(3),
            PutOptions::default().timeout(Duration::from_secs(61)),
        ] {
            let refused = put(node, "k", "v", options).await.unwrap_err();
            assert!(matches!(refused, RequestError::BadRequest { .. }), "{refused:?}");
        }
        let large = value(&"x".repeat((1 << 20) + 1));
        let refused = node.put(&key("k"), large, PutOptions::default()).await.unwrap_err();
        assert_eq!(refused, RequestError::TooLarge { size: (1 << 20) + 1, max: 1 << 20 });
        assert_eq!(get(node, "k", ReadOptions::default().r(3)).await, Got::NotFound);
    });
}

#[test]
fn a_listing_pages_through_all_live_keys_of_a_bucket() {
    for plan in plans() {
        simulate(async {
            let world = World::start(plan).await;
            let mut wanted: Vec<String> = (0..57).map(|number| format!("key-{number}")).collect();
            for text in &wanted {
                put(world.node("a"), text, "v", PutOptions::default()).await.unwrap();
            }
            let context = get(world.node("b"), "key-7", ReadOptions::default()).await.context();
            let options = DeleteOptions::default().context(context).w(3);
            delete(world.node("b"), "key-7", options).await.unwrap();
            wanted.remove(7);
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let prefix = bytes::Bytes::from_static(b"key-");
                let query = KeyQuery { prefix, after, limit: 10 };
                let page = world.node("c").keys(key("k").bucket(), query).await.unwrap();
                found.extend(page.keys.iter().map(|k| String::from_utf8(k.to_vec()).unwrap()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted);
        });
    }
}

#[test]
fn time_that_ran_out_is_told_as_such_while_everybody_is_up() {
    simulate(async {
        let world = World::start(Plan::three(12)).await;
        for round in 0..50 {
            let timeout = Duration::from_millis(1 + round % 3);
            let text = format!("k{round}");
            let options = PutOptions::default().w(3).timeout(timeout);
            if let Err(error) = put(world.node("a"), &text, "v", options).await {
                assert!(matches!(error, RequestError::TimedOut { .. }), "{timeout:?}: {error:?}");
            }
            let options = ReadOptions::default().r(3).timeout(timeout);
            if let Err(error) = world.node("b").get(&key(&text), options).await {
                assert!(matches!(error, RequestError::TimedOut { .. }), "{timeout:?}: {error:?}");
            }
        }
    });
}

#[test]
fn every_answer_says_who_stood_for_it() {
    simulate(async {
        let world = World::start(Plan::three(11)).await;
        let answer = put(world.node("a"), "k", "v", PutOptions::default().w(3)).await.unwrap();
        assert_eq!((answer.replicas.acks, answer.replicas.homes), (3, 3));
        assert_eq!(answer.replicas.fallbacks, 0);
        let got = world.node("b").get(&key("k"), ReadOptions::default().r(2)).await.unwrap();
        assert_eq!((got.replicas.acks, got.replicas.fallbacks, got.replicas.homes), (2, 0, 3));
        assert_eq!(world.node("a").preference_list(&key("k")).homes.len(), 3);
        let _ = name("a");
    });
}
