//! Clients: who may be one, and that they leave room for peers.

use std::net::Ipv4Addr;

use henge_actors::transport::{
    CLIENT_FRAME_BYTES_MAX, Frame, Lane, PeerAddress, Protocol, TransportEvent,
    quic::{Quic, QuicSettings},
    tls::Issue,
};

use super::{
    refusals::{connect, end},
    support::{Cluster, Host, link, name, now, patient, run},
};

const CLIENT: &[u8] = b"henge-client/1";

fn client(cluster: &Cluster, text: &str) -> Host {
    cluster.certificates.issue(Issue::Client { name: &name(text) }, now()).unwrap();
    let quic = Quic::new(cluster.certificates.load_client(now()).unwrap(), patient());
    Host::bind(&quic, text, (Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

fn nameless(host: &Host) -> PeerAddress {
    PeerAddress { name: None, ..host.peer() }
}

#[test]
fn a_client_reaches_any_node_and_both_know_whom_they_met() {
    run(async {
        let cluster = Cluster::new("stones");
        let (node, ada) = (cluster.host("a"), client(&cluster, "ada"));
        for address in [nameless(&node), node.peer()] {
            ada.endpoint.dial(&address);
            let (near, hello, _) = ada.connected().await;
            let (far, theirs, _) = node.connected().await;
            assert_eq!((near.peer(), &hello[..]), (&name("a"), &b"hello from a"[..]));
            assert_eq!((far.peer(), &theirs[..]), (&name("ada"), &b"hello from ada"[..]));
            assert_eq!((near.protocol(), far.protocol()), (Protocol::Client, Protocol::Client));
            near.send(Lane::Request, Frame::new(b"question".to_vec())).unwrap();
            node.frames(Lane::Request, 1).await;
            far.send(Lane::Request, Frame::new(b"answer".to_vec())).unwrap();
            ada.frames(Lane::Request, 1).await;
            near.close("done");
            node.closed(far.id()).await;
            ada.closed(near.id()).await;
        }
        let wrong = PeerAddress { name: Some(name("b")), ..node.peer() };
        let reason = ada.dial_failed(ada.endpoint.dial(&wrong)).await;
        assert_eq!(reason, "dialled b, reached a");
    });
}

#[test]
fn roles_and_protocols_belong_together() {
    run(async {
        let cluster = Cluster::new("stones");
        let (node, _ada) = (cluster.host("a"), client(&cluster, "ada"));
        cluster.identity("b");
        let dir = cluster.dir.path();
        let reason = end(connect(dir, Some("b"), CLIENT, &node).await).await;
        assert!(reason.contains("nodes are no clients; the certificate proves"), "{reason}");
        let reason = end(connect(dir, Some("client"), b"henge-peer/1", &node).await).await;
        assert!(reason.contains("only nodes are peers"), "{reason}");
        let reason = end(connect(dir, None, CLIENT, &node).await).await;
        assert!(reason.to_lowercase().contains("certificate"), "{reason}");
        assert!(node.nothing_happened());
    });
}

#[test]
fn clients_leave_room_for_peers() {
    run(async {
        let cluster = Cluster::new("stones");
        let settings = QuicSettings { connections_max: 4, clients_max: 1, ..patient() };
        let quic = Quic::new(cluster.identity("a"), settings);
        let node = Host::bind(&quic, "a", (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let (ada, bob) = (client(&cluster, "ada"), client(&cluster, "bob"));
        ada.endpoint.dial(&nameless(&node));
        let (near, ..) = ada.connected().await;
        let (far, ..) = node.connected().await;
        bob.endpoint.dial(&nameless(&node));
        // The node may refuse after the link is up on the client's side.
        let reason = match bob.event().await {
            TransportEvent::DialFailed { reason, .. } => reason,
            TransportEvent::Connected { link, .. } => bob.closed(link.id()).await,
            other => panic!("{other:?}"),
        };
        assert!(reason.contains("this node serves 1 clients already"), "{reason}");
        let friend = cluster.host("b");
        let (_peer, _far) = link(&friend, &node).await;
        near.close("done");
        node.closed(far.id()).await;
        bob.endpoint.dial(&nameless(&node));
        bob.connected().await;
    });
}

#[test]
fn a_node_takes_shorter_frames_from_clients() {
    run(async {
        let cluster = Cluster::new("stones");
        let (node, ada) = (cluster.host("a"), client(&cluster, "ada"));
        ada.endpoint.dial(&nameless(&node));
        let (near, ..) = ada.connected().await;
        let (far, ..) = node.connected().await;
        far.send(Lane::Request, Frame::new(vec![0; CLIENT_FRAME_BYTES_MAX + 1])).unwrap();
        ada.frames(Lane::Request, 1).await;
        near.send(Lane::Request, Frame::new(vec![0; CLIENT_FRAME_BYTES_MAX + 1])).unwrap();
        assert!(matches!(node.event().await, TransportEvent::Closed { .. }));
    });
}
