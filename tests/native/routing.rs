//! Requests go where their keys are.

use henge::{Client, ClientTls, PutOptions, ReadOptions, Store as _};
use henge_actors::events::ActorReport;

use crate::{
    blind, connect,
    failover::{address_of, tls_of},
    key,
    processes::{Cluster, Plan},
    support::node,
    text,
};

/// What the actors of one name on one shard have handled.
fn handled(actors: &[ActorReport], name: &str, shard: u16) -> u64 {
    let those = actors.iter().filter(|one| one.actor == name && one.shard == shard);
    those.map(|one| one.handled).sum()
}

#[tokio::test]
async fn a_client_that_knows_one_node_asks_a_home_of_each_key() {
    let cluster = node::Cluster::of_three();
    let client = connect(&cluster.nodes[0]).await;
    let served = |node: &node::TestNode| handled(&node.handle.actors(), "ClientLink", 0);
    for number in 0..20 {
        let name = key(&format!("route-{number}"));
        let first = cluster.nodes[0].handle.preference_list(&name).homes[0].clone();
        let home = cluster.nodes.iter().find(|node| node.name == first).unwrap();
        let before = served(home);
        client.put(&name, text("x"), blind()).await.unwrap();
        assert_eq!(served(home), before + 1, "{first} is the first home of {name:?}");
    }
}

#[tokio::test]
async fn with_two_shards_requests_go_straight_to_the_shard_of_their_key() {
    let cluster = Cluster::started(&Plan { shards: 2, ..Plan::default() });
    let tls = ClientTls::from_dir(tls_of(&cluster.nodes[0])).unwrap();
    let mut watchers = Vec::new();
    for node in &cluster.nodes {
        watchers.push(Client::connect([address_of(node)], tls.clone()).await.unwrap());
    }
    let client = Client::connect([address_of(&cluster.nodes[0])], tls).await.unwrap();
    // The first requests make the links, and tell how many shards a node has.
    for number in 0..50 {
        client.put(&key(&format!("warm-{number}")), text("x"), blind()).await.unwrap();
    }
    let mut fronts = Vec::new();
    for watcher in &watchers {
        let actors = watcher.actors().await.unwrap();
        fronts.push([0, 1].map(|shard| handled(&actors, "Front", shard)));
    }
    for number in 0..50 {
        let name = key(&format!("two-{number}"));
        client.put(&name, text("x"), PutOptions::default()).await.unwrap();
        client.get(&name, ReadOptions::default()).await.unwrap();
    }
    for (watcher, before) in watchers.iter().zip(fronts) {
        let actors = watcher.actors().await.unwrap();
        for shard in [0, 1] {
            assert!(handled(&actors, "ClientLink", shard) > 0, "shard {shard} serves clients");
            let front = handled(&actors, "Front", shard);
            assert_eq!(front, before[usize::from(shard)], "no request took the long way");
        }
    }
}
