//! A node that is asked to stop.

use std::time::Instant;

use crate::{
    load::Load,
    processes::{Cluster, PROMPTLY, Plan},
};

#[test]
fn sigterm_under_load_ends_with_0_and_clients_of_the_others_see_no_failure() {
    let mut cluster = Cluster::started(&Plan::default());
    let others = [cluster.nodes[0].http, cluster.nodes[1].http];
    let own = Load::start("own", &[cluster.nodes[2].http]);
    let load = Load::start("others", &others);
    load.wait_for(100);
    own.wait_for(10);
    let asked = Instant::now();
    // As `timeout` does, which also sends it to the process group: an echo is no second request.
    cluster.nodes[2].signal("TERM");
    cluster.nodes[2].signal("TERM");
    let status = cluster.nodes[2].wait_end(PROMPTLY);
    println!("stopped after {:?}", asked.elapsed());
    assert_eq!(status.code(), Some(0), "{}", cluster.nodes[2].log());
    load.wait_for(100);
    assert_eq!(load.end().failures, Vec::<String>::new());
    // Its own clients were refused, but nothing that was acknowledged to them is lost.
    let kept = own.end().acknowledged;
    for key in kept {
        let got = cluster.nodes[0].get(crate::load::path_of(&key)).send().unwrap();
        assert_eq!((got.status, got.body), (200, key));
    }
}
