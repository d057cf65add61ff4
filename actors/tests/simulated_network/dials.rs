//! How links come about, or do not.

use henge_actors::transport::{
    CONTROL_FRAME_BYTES_MAX, Lane, PeerAddress, TransportError, simulated::SimulatedNetwork,
};

use crate::support::{Probe, Seen, linked, lossless, lossy, name, pass, simulate};

#[test]
fn both_ends_hear_the_hello_and_the_name_of_the_other() {
    simulate(async {
        let network = SimulatedNetwork::new(1, lossless());
        let (a, b) = linked(&network).await;
        let connected = |peer: &str, dialled| Seen::Connected {
            peer: peer.into(),
            hello: format!("hello of {peer}").into(),
            dialled,
        };
        let (at_dialler, at_acceptor) = (a.seen(), b.seen());
        assert_eq!(at_dialler.len(), 1);
        assert_eq!(at_dialler[0].1, connected("n2", true));
        assert_eq!(at_acceptor.len(), 1);
        assert_eq!(at_acceptor[0].1, connected("n1", false));
        assert!(at_dialler[0].0 <= 13, "four packets of at most 3 ms: {at_dialler:?}");
        assert_ne!(a.link().id(), b.link().id());
    });
}

#[test]
fn what_the_acceptor_says_at_once_comes_after_its_hello() {
    for seed in 0..100 {
        simulate(async {
            let network = SimulatedNetwork::new(seed, lossy());
            let (a, b) = (Probe::bind(&network, "n1", 7401), Probe::bind(&network, "n2", 7402));
            a.endpoint.dial(&b.address);
            while !b.is_linked() {
                pass(1).await;
            }
            b.send(Lane::Control, "at once").unwrap();
            pass(1000).await;
            let seen = a.seen();
            assert!(matches!(seen[0].1, Seen::Connected { .. }), "{seen:?}");
            assert_eq!(seen[1].1, Seen::Frame(Lane::Control, b"at once".to_vec()));
        });
    }
}

#[test]
fn a_dial_of_nobody_fails_after_a_second() {
    simulate(async {
        let network = SimulatedNetwork::new(1, lossless());
        let a = Probe::bind(&network, "n1", 7401);
        a.endpoint.dial(&PeerAddress { name: Some(name("n9")), host: "10.0.0.1".into(), port: 9 });
        a.endpoint.dial(&PeerAddress {
            name: Some(name("n9")),
            host: "no.such.host".into(),
            port: 9,
        });
        pass(999).await;
        assert!(a.seen().is_empty());
        pass(2).await;
        let failures = a.failures();
        assert_eq!(failures.len(), 2);
        assert_eq!(failures[0].1, "cannot reach n9 at 10.0.0.1:9: the dial timed out");
    });
}

#[test]
fn a_dial_that_finds_someone_else_fails_and_names_both() {
    simulate(async {
        let network = SimulatedNetwork::new(1, lossless());
        let (a, b) = (Probe::bind(&network, "n1", 7401), Probe::bind(&network, "n2", 7402));
        a.endpoint.dial(&PeerAddress { name: Some(name("n3")), ..b.address.clone() });
        pass(10).await;
        let failures = a.failures();
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].1, "cannot reach n3 at 10.0.0.1:7402: n2 listens there");
        pass(2000).await;
        assert_eq!(a.seen().len(), 1, "a dial ends once");
        assert!(b.seen().is_empty());
    });
}

#[test]
fn nothing_is_reported_from_inside_a_call() {
    simulate(async {
        let network = SimulatedNetwork::new(1, lossless());
        let (a, b) = linked(&network).await;
        a.link().close("enough");
        a.endpoint.close("stop");
        a.endpoint.dial(&b.address);
        assert_eq!(a.seen().len(), 1);
        pass(1).await;
        assert_eq!(a.closings().len(), 1);
        assert_eq!(a.failures().len(), 1, "a closed endpoint still answers for its dials");
    });
}

#[test]
fn closing_an_endpoint_fails_the_dials_under_way() {
    simulate(async {
        let network = SimulatedNetwork::new(1, lossless());
        for ms in 0..14 {
            let port = 7400 + 2 * u16::try_from(ms).unwrap();
            let (a, b) = (Probe::bind(&network, "n1", port), Probe::bind(&network, "n2", port + 1));
            a.endpoint.dial(&b.address);
            pass(ms).await;
            a.endpoint.close("stop");
            pass(20).await;
            let ends = (a.seen().len(), a.failures().len(), a.closings().len());
            assert!(matches!(ends, (1, 1, 0) | (2, 0, 1)), "{ends:?}");
            assert_eq!(b.closings().len(), b.seen().len() / 2, "{:?}", b.seen());
        }
    });
}

#[test]
fn an_address_has_one_endpoint_and_is_free_again_after_it() {
    simulate(async {
        let network = SimulatedNetwork::new(1, lossless());
        let a = Probe::bind(&network, "n1", 7401);
        let taken = Probe::try_bind(&network, "n2", 7401).err();
        assert!(matches!(taken, Some(TransportError::Listen { .. })));
        a.endpoint.close("stop");
        a.endpoint.closed().await;
        Probe::bind(&network, "n2", 7401);
        let (x, y) = (Probe::bind(&network, "n3", 0), Probe::bind(&network, "n4", 0));
        assert_ne!(x.address.port, 0);
        assert_ne!(x.address.port, y.address.port);
    });
}

#[test]
fn a_hello_has_a_limit() {
    simulate(async {
        let network = SimulatedNetwork::new(1, lossless());
        let binding = henge_actors::transport::Binding {
            name: name("n1"),
            listen: "10.0.0.1:7401".parse().unwrap(),
            shard: 0,
            hello: vec![0; CONTROL_FRAME_BYTES_MAX + 1].into(),
        };
        let refused = network.transport().bind(binding, std::rc::Rc::new(|_| {})).err();
        assert!(matches!(refused, Some(TransportError::HelloTooLarge { .. })));
    });
}
