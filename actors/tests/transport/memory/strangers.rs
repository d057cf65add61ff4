//! Who does not fit is told so, and the links of others stay.

use std::{rc::Rc, sync::Arc, time::Duration};

use quinn::{Connection, EndpointConfig, TokioRuntime};

use henge_actors::transport::{Frame, Lane, SendError, quic::Sockets as _};

use super::{
    certified, identity,
    network::{Network, Weather},
    pair, pass, run_paused,
    station::{Station, ip},
    until,
};
use crate::{
    refusals::{by_hand, client_config},
    support::Cluster,
};

/// Connects to station a by bare QUIC as node c, with this protocol.
async fn stranger(
    cluster: &Cluster,
    network: &Network,
    protocol: &[u8],
) -> Result<Connection, quinn::ConnectionError> {
    let socket = network.open((ip(9), 7400).into()).unwrap();
    let runtime = Arc::new(TokioRuntime);
    let endpoint =
        quinn::Endpoint::new_with_abstract_socket(EndpointConfig::default(), None, socket, runtime);
    let config = client_config(cluster.dir.path(), Some("c"), protocol);
    endpoint.unwrap().connect_with(config, (ip(1), 7400).into(), "a").unwrap().await
}

/// a and b still talk, over the link that they had.
async fn assert_unharmed(a: &Rc<Station>) {
    a.ask("b", 1, 100);
    until(Duration::from_secs(2), || a.waiting() == 0).await;
    assert!(a.ends.borrow().is_empty() && a.answer_times().len() == 1);
}

#[test]
fn another_version_of_the_protocol_is_refused_at_the_handshake() {
    let cluster = certified(&["a", "b", "c"]);
    for protocol in [&b"henge-peer/2"[..], b"henge-client/9", b"h3"] {
        run_paused(async {
            let network = Network::new(2, Weather::rough());
            let (a, _b) = pair(&cluster, &network).await;
            let refused = stranger(&cluster, &network, protocol).await.unwrap_err().to_string();
            assert!(refused.contains("support any known protocol"), "{refused}");
            assert!(!a.is_linked_to("c"));
            assert_unharmed(&a).await;
        });
    }
}

#[test]
fn a_peer_that_reads_nothing_is_refused_more_and_holds_nobody_else_up() {
    let cluster = certified(&["a", "b", "c"]);
    run_paused(async {
        let network = Network::new(2, Weather::fair());
        let (a, _b) = pair(&cluster, &network).await;
        let connection = stranger(&cluster, &network, b"henge-peer/1").await.unwrap();
        let _lanes = by_hand(&connection).await;
        until(Duration::from_secs(1), || a.is_linked_to("c")).await;
        let link = a.link("c").unwrap();
        let frame = Frame::with_tail(Vec::new(), vec![7; 1 << 20].into());
        for question in 0..100 {
            let _ = link.send(Lane::Request, frame.clone());
            a.ask("b", question, 1_000);
            pass(10).await;
        }
        let refused = link.send(Lane::Request, frame);
        assert!(matches!(refused, Err(SendError::Busy { .. })), "{refused:?}");
        assert!(link.send(Lane::Control, Frame::new(b"still taken".to_vec())).is_ok());
        until(Duration::from_secs(1), || a.waiting() == 0).await;
        let longest = a.answer_times().into_iter().max().unwrap();
        assert!(longest < Duration::from_millis(50), "{longest:?}");
    });
}

#[test]
fn a_certificate_of_another_authority_never_makes_a_link() {
    let (cluster, other) = (certified(&["a", "b"]), certified(&["c"]));
    run_paused(async {
        let network = Network::new(4, Weather::rough());
        let (a, b) = pair(&cluster, &network).await;
        let c = Station::bind(&network, identity(&other, "c"), "c", 3);
        c.keep_linked_to(&a);
        b.keep_linked_to(&c);
        pass(10_000).await;
        for station in [&b, &c] {
            let failed = station.failed_dials.borrow();
            assert!(failed.len() > 5, "{failed:?}");
            assert!(failed.iter().any(|reason| reason.contains("certificate")), "{failed:?}");
        }
        assert!(!a.is_linked_to("c") && !b.is_linked_to("c") && !c.is_linked_to("a"));
        assert!(b.is_linked_to("a"));
        assert_unharmed(&a).await;
    });
}

#[test]
fn a_peer_under_another_name_never_makes_a_link() {
    let cluster = certified(&["a", "b", "c"]);
    run_paused(async {
        let network = Network::new(4, Weather::fair());
        let (a, _b) = pair(&cluster, &network).await;
        // At the address of d, which a looks for, is c.
        let d = Station::bind(&network, identity(&cluster, "c"), "c", 4);
        a.keep_linked_to_as(&d, "d");
        pass(3_000).await;
        assert!(a.failed_dials.borrow().iter().all(|reason| reason.contains("\"d\"")));
        assert!(!a.failed_dials.borrow().is_empty() && !a.is_linked_to("c"));
        assert_unharmed(&a).await;
    });
}
