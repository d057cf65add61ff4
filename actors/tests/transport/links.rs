//! A link, from hello to close.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::mpsc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use henge_actors::transport::{
    Frame, Lane, PeerAddress, SendError,
    quic::{Quic, QuicSettings},
};

use super::support::{Cluster, Host, hello_of, link, name, patient, run};

#[test]
fn both_sides_learn_the_others_name_and_hello() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let dial = a.endpoint.dial(&b.peer());
        let (near, hello, dialled) = a.connected().await;
        assert_eq!((near.peer(), hello, dialled), (&name("b"), hello_of("b"), Some(dial)));
        let (far, hello, dialled) = b.connected().await;
        assert_eq!((far.peer(), hello, dialled), (&name("a"), hello_of("a"), None));
    });
}

#[test]
fn a_peer_is_reached_by_dns_name() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        a.endpoint.dial(&PeerAddress { host: "localhost".to_owned(), ..b.peer() });
        assert_eq!(a.connected().await.0.peer(), &name("b"));
    });
}

#[test]
fn frames_of_every_size_arrive_whole_in_both_directions() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let (near, far) = link(&a, &b).await;
        let most = Lane::Request.frame_bytes_max();
        for size in [0, 1, 1024, 6500, 16 << 10, 65_536, 4 << 20, most - 5] {
            let tail: Bytes = (0..=250).cycle().take(size).collect::<Vec<u8>>().into();
            let whole = [&b"head:"[..], &tail].concat();
            let frame = Frame::with_tail(b"head:".to_vec(), tail);
            near.send(Lane::Request, frame.clone()).unwrap();
            assert!(b.frames(Lane::Request, 1).await.0[0] == whole, "{size}");
            far.send(Lane::Request, frame).unwrap();
            assert!(a.frames(Lane::Request, 1).await.0[0] == whole, "{size}");
        }
    });
}

#[test]
fn many_small_frames_arrive_in_order_and_in_batches() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let (near, _far) = link(&a, &b).await;
        let count = 10_000u32;
        for number in 0..count {
            near.send(Lane::Request, Frame::new(number.to_le_bytes().to_vec())).unwrap();
        }
        let (frames, batches) = b.frames(Lane::Request, count.try_into().unwrap()).await;
        assert!(frames.iter().zip(0..count).all(|(frame, number)| **frame == number.to_le_bytes()));
        assert!(batches < 500, "{batches} batches");
    });
}

#[test]
fn the_lanes_carry_apart() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let (near, far) = link(&a, &b).await;
        near.send(Lane::Control, Frame::new(b"gossip".to_vec())).unwrap();
        assert_eq!(b.frames(Lane::Control, 1).await.0[0], "gossip");
        far.send(Lane::Control, Frame::new(b"ack".to_vec())).unwrap();
        assert_eq!(a.frames(Lane::Control, 1).await.0[0], "ack");
    });
}

#[test]
fn a_frame_above_its_lanes_limit_is_not_taken() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let (near, _far) = link(&a, &b).await;
        for lane in [Lane::Control, Lane::Request] {
            let max = lane.frame_bytes_max();
            let refused = near.send(lane, Frame::new(vec![0; max + 1]));
            assert_eq!(refused, Err(SendError::TooLarge { size: max + 1, max }));
        }
        near.send(Lane::Control, Frame::new(b"still up".to_vec())).unwrap();
        assert_eq!(b.frames(Lane::Control, 1).await.0[0], "still up");
    });
}

#[test]
fn a_slow_peer_makes_sends_busy_at_once_and_free_again_later() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let (near, _far) = link(&a, &b).await;
        let frame = Frame::with_tail(Vec::new(), Bytes::from(vec![7; 1 << 20]));
        let mut taken = 0;
        let refused = loop {
            match near.send(Lane::Request, frame.clone()) {
                Ok(()) => taken += 1,
                Err(refused) => break refused,
            }
        };
        assert_eq!(taken, 63);
        let queued = 63 * (4 + (1 << 20));
        assert_eq!(refused, SendError::Busy { queued, max: 64 << 20 });
        // The other lane is not concerned, and what was taken arrives.
        near.send(Lane::Control, Frame::new(b"urgent".to_vec())).unwrap();
        assert_eq!(b.frames(Lane::Control, 1).await.0[0], "urgent");
        b.frames(Lane::Request, taken).await;
        near.send(Lane::Request, frame).unwrap();
        b.frames(Lane::Request, 1).await;
    });
}

#[test]
fn the_reason_of_a_closed_link_arrives_and_both_sides_hear_of_it_once() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let (near, far) = link(&a, &b).await;
        near.close("another link is better");
        near.close("not heard");
        assert!(a.nothing_happened(), "no event from inside a call");
        assert_eq!(a.closed(near.id()).await, "another link is better");
        assert_eq!(b.closed(far.id()).await, "the peer closed it: another link is better");
        assert_eq!(near.send(Lane::Request, Frame::default()), Err(SendError::Closed));
        assert_eq!(far.send(Lane::Control, Frame::default()), Err(SendError::Closed));
        link(&a, &b).await;
        assert!(a.nothing_happened() && b.nothing_happened());
    });
}

#[test]
fn a_closing_endpoint_tells_every_peer_and_answers_nobody() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b, c) = (cluster.host("a"), cluster.host("b"), cluster.host("c"));
        let (to_a, from_b) = link(&b, &a).await;
        let (to_c, from_a) = link(&a, &c).await;
        a.endpoint.close("shutting down");
        a.endpoint.closed().await;
        assert_eq!(b.closed(to_a.id()).await, "the peer closed it: shutting down");
        assert_eq!(c.closed(from_a.id()).await, "the peer closed it: shutting down");
        for _ in 0..2 {
            let event = a.event().await;
            let shown = format!("{event:?}");
            assert!(shown.contains("Closed") && shown.contains("shutting down"), "{shown}");
        }
        let dial = b.endpoint.dial(&a.peer());
        b.dial_failed(dial).await;
        let dial = a.endpoint.dial(&b.peer());
        a.dial_failed(dial).await;
        drop((from_b, to_c));
    });
}

#[test]
fn a_dial_to_nobody_fails_in_time() {
    run(async {
        let cluster = Cluster::new("stones");
        let a = cluster.quick_host("a");
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = silent.local_addr().unwrap().port();
        let peer = PeerAddress { name: Some(name("b")), host: "127.0.0.1".to_owned(), port };
        let begun = tokio::time::Instant::now();
        let dial = a.endpoint.dial(&peer);
        assert_eq!(a.dial_failed(dial).await, "no link within 1s");
        assert!(begun.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_host_without_address_fails_the_dial() {
    run(async {
        let cluster = Cluster::new("stones");
        let a = cluster.quick_host("a");
        let host = "not a host".to_owned();
        let dial = a.endpoint.dial(&PeerAddress { name: Some(name("b")), host, port: 1 });
        let reason = a.dial_failed(dial).await;
        assert!(reason.starts_with("cannot resolve not a host") || reason.starts_with("no link"));
    });
}

#[test]
fn connections_are_bounded() {
    run(async {
        let cluster = Cluster::new("stones");
        let settings = QuicSettings { connections_max: 1, ..patient() };
        let quic = Quic::new(cluster.identity("a"), settings);
        let a = Host::bind(&quic, "a", (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let (b, c) = (cluster.host("b"), cluster.host("c"));
        let (near, _far) = link(&b, &a).await;
        let dial = c.endpoint.dial(&a.peer());
        let reason = c.dial_failed(dial).await;
        assert!(reason.contains("refused"), "{reason}");
        near.send(Lane::Request, Frame::new(b"unharmed".to_vec())).unwrap();
        a.frames(Lane::Request, 1).await;
    });
}

#[test]
fn a_peer_that_was_killed_and_restarted_says_so_at_the_next_packet() {
    run(async {
        let cluster = Cluster::new("stones");
        let a = cluster.host("a");
        let (tell, told) = mpsc::channel();
        let (kill, killed) = mpsc::channel();
        let (quic, restarted) = (cluster.quic("b"), cluster.certificates.clone());
        #[expect(clippy::disallowed_methods, reason = "a process in miniature, with real sockets")]
        let first_life = thread::spawn(move || {
            run(async move {
                let b = Host::bind(&quic, "b", (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
                tell.send(b.peer()).unwrap();
                b.connected().await;
                // Stops the thread where it is, and drops all that it has.
                killed.recv().unwrap();
            });
        });
        let peer = told.recv().unwrap();
        a.endpoint.dial(&peer);
        let (link, ..) = a.connected().await;
        kill.send(()).unwrap();
        first_life.join().unwrap();
        let identity = restarted.load_node(&name("b"), super::support::now()).unwrap();
        let listen = (Ipv4Addr::LOCALHOST, peer.port).into();
        let _b = Host::bind(&Quic::new(identity, patient()), "b", listen).unwrap();
        let begun = tokio::time::Instant::now();
        link.send(Lane::Request, Frame::new(vec![0; 100])).unwrap();
        let reason = a.closed(link.id()).await;
        assert_eq!(reason, "the peer restarted and knows nothing of it");
        assert!(begun.elapsed() < Duration::from_secs(4));
    });
}
