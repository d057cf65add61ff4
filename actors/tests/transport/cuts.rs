//! Cuts made on purpose behave as pulled cables.

use henge_actors::transport::{Frame, Lane, faults::Cut};

use super::support::{Cluster, link, name, run};

#[test]
fn a_cut_silences_both_ways_and_heals() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, faults) = cluster.host_with_faults("a");
        let b = cluster.quick_host("b");
        faults.cut(name("b"), vec![b.address()], Cut::Both);
        assert_eq!(faults.cuts(), [(name("b"), Cut::Both)]);
        let there = a.endpoint.dial(&b.peer());
        assert_eq!(a.dial_failed(there).await, "no link within 1s");
        let back = b.endpoint.dial(&a.peer());
        assert_eq!(b.dial_failed(back).await, "no link within 1s");
        faults.heal();
        link(&a, &b).await;
        link(&b, &a).await;
    });
}

#[test]
fn a_cut_concerns_the_named_peer_only() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, faults) = cluster.host_with_faults("a");
        let (b, c) = (cluster.host("b"), cluster.host("c"));
        faults.cut(name("b"), vec![b.address()], Cut::Both);
        let (near, _far) = link(&a, &c).await;
        near.send(Lane::Request, Frame::new(b"through".to_vec())).unwrap();
        assert_eq!(c.frames(Lane::Request, 1).await.0[0], "through");
    });
}

#[test]
fn a_one_way_cut_lets_the_peers_packets_in() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, faults) = cluster.host_with_faults("a");
        let b = cluster.host("b");
        let (near, far) = link(&a, &b).await;
        faults.cut(name("b"), vec![b.address()], Cut::Outgoing);
        far.send(Lane::Request, Frame::new(b"heard".to_vec())).unwrap();
        assert_eq!(a.frames(Lane::Request, 1).await.0[0], "heard");
        near.send(Lane::Request, Frame::new(b"late".to_vec())).unwrap();
        far.send(Lane::Request, Frame::new(b"heard too".to_vec())).unwrap();
        assert_eq!(a.frames(Lane::Request, 1).await.0[0], "heard too");
        assert!(b.nothing_happened());
        faults.heal();
        assert_eq!(b.frames(Lane::Request, 1).await.0[0], "late");
    });
}
