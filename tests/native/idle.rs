//! Clients that say nothing cost little, and keep nobody else waiting.

use std::{fs, time::Instant};

use henge::{ReadOptions, Store as _};
use henge_actors::transport::TransportEvent;

use crate::{
    blind, connect,
    dial::{Dialler, local},
    frames::identity,
    key,
    support::node::Single,
    text,
};

/// What a link may take of memory, both ends together; measured: half of it.
const LINK_BYTES_MAX: usize = 192 << 10;
/// So many that memory is worth counting; this test runs alone in its process.
const ALONE: usize = 2000;
/// Handshakes at a time; a node looks at 64.
const AT_ONCE: usize = 16;

/// Bytes of memory that this process has in use: both ends of each link are in it.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() << 10
}

#[test]
fn idle_clients_are_kept_and_the_node_serves() {
    idle(300);
}

#[test]
#[ignore = "two thousand handshakes take half a minute without optimisation"]
fn two_thousand_idle_clients_are_kept_and_the_node_serves() {
    idle(ALONE);
}

fn idle(clients: usize) {
    local(async {
        let single = Single::start_with(|settings| settings.limits.connections_max = 2100);
        let client = connect(&single.node).await;
        client.put(&key("a"), text("x"), blind()).await.unwrap();
        let dialler = Dialler::new(identity(&single.node), &single.node);
        let before = resident();
        let began = Instant::now();
        let (mut links, mut failed) = (Vec::new(), 0);
        while links.len() < clients {
            let dials = AT_ONCE.min(clients - links.len());
            (0..dials).for_each(|_| dialler.redial());
            for _ in 0..dials {
                match dialler.next().await {
                    TransportEvent::Connected { link, .. } => links.push(link),
                    // A busy machine may need longer than the node gives a handshake.
                    TransportEvent::DialFailed { .. } if failed < clients / 10 => failed += 1,
                    other => panic!("after {} links: {other:?}", links.len()),
                }
            }
        }
        let each = (resident() - before) / clients;
        println!("{clients} links in {:?}, {each} bytes each, both ends", began.elapsed());
        if clients == ALONE {
            assert!(each < LINK_BYTES_MAX, "{each}");
        }
        for _ in 0..100 {
            client.get(&key("a"), ReadOptions::default()).await.unwrap();
        }
        dialler.endpoint.close("enough");
        dialler.endpoint.closed().await;
        client.put(&key("a"), text("y"), blind()).await.unwrap();
    });
}
