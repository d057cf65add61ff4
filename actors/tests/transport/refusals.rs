//! Who is turned away, and what a peer that breaks the protocol does to a node: nothing.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use henge_actors::transport::{
    PeerAddress, Transport, TransportError, TransportEvent,
    quic::Quic,
    tls::{Directory, Issue},
};
use henge_kernel::time::WallMillis;
use quinn::{ClientConfig, Connection, ConnectionError, crypto::rustls::QuicClientConfig};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::support::{Cluster, Host, link, name, now, patient, run};

const PEER: &[u8] = b"henge-peer/1";

/// What a bare QUIC client is, with the certificate called `stem` in `dir`.
pub fn client_config(dir: &Path, stem: Option<&str>, protocol: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut crypto = match stem {
        Some(stem) => {
            let chain = CertificateDer::from_pem_file(dir.join(format!("{stem}.pem"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(dir.join(format!("{stem}.key"))).unwrap();
            builder.with_client_auth_cert(vec![chain], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    crypto.alpn_protocols = vec![protocol.to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto).unwrap()))
}

/// Connects by bare QUIC, with the certificate called `stem` in `dir`.
pub async fn connect(
    dir: &Path,
    stem: Option<&str>,
    protocol: &[u8],
    host: &Host,
) -> Result<Connection, ConnectionError> {
    let config = client_config(dir, stem, protocol);
    let local: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let endpoint = quinn::Endpoint::client(local).unwrap();
    endpoint.connect_with(config, host.address(), &host.node).unwrap().await
}

/// What the connection ends with, seen from the outside.
pub async fn end(connection: Result<Connection, ConnectionError>) -> String {
    match connection {
        Ok(connection) => connection.closed().await.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The node took no notice, and serves.
async fn serves(host: &Host, friend: &Host) {
    assert!(host.nothing_happened());
    let (near, far) = link(friend, host).await;
    near.close("done");
    host.closed(far.id()).await;
    friend.closed(near.id()).await;
}

#[test]
fn a_node_of_another_ca_is_refused_by_both_sides() {
    run(async {
        let (cluster, other) = (Cluster::new("stones"), Cluster::new("stones"));
        let (a, b) = (cluster.host("a"), other.host("b"));
        for (dialer, listener) in [(&a, &b), (&b, &a)] {
            let dial = dialer.endpoint.dial(&listener.peer());
            let reason = dialer.dial_failed(dial).await;
            assert!(reason.contains("certificate"), "{reason}");
            assert!(listener.nothing_happened());
        }
    });
}

#[test]
fn a_certificate_of_another_time_is_refused() {
    const YEAR_MS: u64 = 365 * 86_400_000;
    run(async {
        let cluster = Cluster::new("stones");
        let a = cluster.host("a");
        let times =
            [("old", now().0 - 12 * YEAR_MS, "expired"), ("new", now().0 + YEAR_MS, "certificate")];
        for (stem, issued, words) in times {
            let node = name(stem);
            let issue = Issue::Node { name: &node, names: &[] };
            cluster.certificates.issue(issue, WallMillis(issued)).unwrap();
            assert!(cluster.certificates.load_node(&node, now()).is_err());
            let reason = end(connect(cluster.dir.path(), Some(stem), PEER, &a).await).await;
            assert!(reason.contains(words), "{reason}");
            assert!(a.nothing_happened());
        }
        serves(&a, &cluster.host("b")).await;
    });
}

#[test]
fn a_node_under_another_name_than_dialled_is_refused() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let dial = a.endpoint.dial(&PeerAddress { name: Some(name("c")), ..b.peer() });
        let reason = a.dial_failed(dial).await;
        assert!(reason.contains("not valid for name \"c\""), "{reason}");
        assert!(b.nothing_happened());
    });
}

#[test]
fn a_namesake_is_refused() {
    run(async {
        let cluster = Cluster::new("stones");
        let (one, two) = (cluster.host("a"), cluster.host("a"));
        let dial = one.endpoint.dial(&two.peer());
        assert_eq!(one.dial_failed(dial).await, "both sides are named a");
        assert!(two.nothing_happened());
    });
}

#[test]
fn a_client_certificate_is_no_peer() {
    run(async {
        let cluster = Cluster::new("stones");
        cluster.certificates.issue(Issue::Client { name: &name("me") }, now()).unwrap();
        let a = cluster.host("a");
        let reason = end(connect(cluster.dir.path(), Some("client"), PEER, &a).await).await;
        let expected = "only nodes are peers; the certificate proves henge://stones/client/me";
        assert!(reason.contains(expected), "{reason}");
        serves(&a, &cluster.host("b")).await;
    });
}

#[test]
fn a_certificate_of_another_cluster_under_our_ca_is_refused() {
    run(async {
        let cluster = Cluster::new("stones");
        let a = cluster.host("a");
        // The same CA key certifies for a cluster of another name.
        let mut params = rcgen::CertificateParams::new(vec!["b".to_owned()]).unwrap();
        let uri = rcgen::string::Ia5String::try_from("henge://menhirs/node/b").unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
        let read = |file| fs::read_to_string(cluster.dir.path().join(file)).unwrap();
        let key = rcgen::KeyPair::from_pem(&read("ca.key")).unwrap();
        let issuer = rcgen::Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        fs::write(cluster.dir.path().join("b.pem"), pem).unwrap();
        fs::write(cluster.dir.path().join("b.key"), key.serialize_pem()).unwrap();
        let reason = end(connect(cluster.dir.path(), Some("b"), PEER, &a).await).await;
        assert!(reason.contains("stones") && reason.contains("menhirs"), "{reason}");
        assert!(a.nothing_happened());
    });
}

#[test]
fn nobody_comes_in_without_certificate_or_by_an_unknown_protocol() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let dir = cluster.dir.path();
        let reason = end(connect(dir, None, PEER, &a).await).await;
        assert!(reason.to_lowercase().contains("certificate"), "{reason}");
        for protocol in [&b"henge-peer/2"[..], b"henge-client/2", b"h3"] {
            let reason = end(connect(dir, Some("b"), protocol, &a).await).await;
            assert!(reason.contains("120") || reason.contains("application protocol"), "{reason}");
        }
        serves(&a, &b).await;
    });
}

#[test]
fn a_broken_beginning_closes_the_connection_with_a_named_error() {
    let cases: [(&[u8], &str); 4] = [
        (b"GET / HTTP/1.1\r\n", "does not begin with the magic"),
        (b"HNGE\x02\x00", "lane format 2 is not known; this node knows 1"),
        (b"HNGE\x01\x01", "expected the control lane, found lane tag 1"),
        (b"HNGE\x01\x00\xff\xff\xff\xff", "a frame of 4294967295 bytes on the control lane"),
    ];
    run(async move {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        for (bytes, expected) in cases {
            let connection = connect(cluster.dir.path(), Some("b"), PEER, &a).await.unwrap();
            let (mut control, _in) = connection.open_bi().await.unwrap();
            control.write_all(bytes).await.unwrap();
            let (mut request, _in) = connection.open_bi().await.unwrap();
            request.write_all(b"HNGE\x01\x01").await.unwrap();
            let reason = connection.closed().await.to_string();
            assert!(reason.contains(expected), "{reason}");
        }
        serves(&a, &b).await;
    });
}

#[test]
fn a_connection_without_lanes_does_not_stay() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.quick_host("a"), cluster.host("b"));
        let connection = connect(cluster.dir.path(), Some("b"), PEER, &a).await.unwrap();
        connection.closed().await;
        serves(&a, &b).await;
    });
}

pub type Stream = (quinn::SendStream, quinn::RecvStream);

/// A link made by hand: control lane with its hello, request lane.
pub async fn by_hand(connection: &Connection) -> (Stream, Stream) {
    let mut control = connection.open_bi().await.unwrap();
    control.0.write_all(b"HNGE\x01\x00\x02\0\0\0hi").await.unwrap();
    let mut request = connection.open_bi().await.unwrap();
    request.0.write_all(b"HNGE\x01\x01").await.unwrap();
    (control, request)
}

#[test]
fn a_peer_that_breaks_the_protocol_loses_its_link_and_no_more() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        for (case, expected) in [
            ("length", "a frame of 33554433 bytes on the request lane, at most 33554432 are legal"),
            ("end", "the peer ended its request lane"),
            ("stream", "the peer opened a stream that is no lane"),
        ] {
            let connection = connect(cluster.dir.path(), Some("b"), PEER, &a).await.unwrap();
            let (_control, (mut request, _answers)) = by_hand(&connection).await;
            let (near, hello, _) = a.connected().await;
            assert_eq!(hello, "hi");
            match case {
                "length" => request.write_all(&33_554_433_u32.to_le_bytes()).await.unwrap(),
                "end" => request.finish().unwrap(),
                _ => {
                    let (mut third, _in) = connection.open_bi().await.unwrap();
                    third.write_all(b"x").await.unwrap();
                }
            }
            assert_eq!(a.closed(near.id()).await, expected);
            assert!(connection.closed().await.to_string().contains(expected));
        }
        serves(&a, &b).await;
    });
}

#[test]
fn noise_on_the_socket_is_ignored() {
    run(async {
        let cluster = Cluster::new("stones");
        let (a, b) = (cluster.host("a"), cluster.host("b"));
        let (near, _far) = link(&b, &a).await;
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for size in 0..1500 {
            let noise: Vec<u8> = (0..size).map(|_| fastrand::u8(..)).collect();
            socket.send_to(&noise, a.address()).unwrap();
        }
        near.close("done");
        let closed = a.event().await;
        assert!(matches!(closed, TransportEvent::Closed { .. }), "{closed:?}");
        b.closed(near.id()).await;
        serves(&a, &b).await;
    });
}

#[test]
fn an_endpoint_must_carry_its_own_name_and_a_short_hello() {
    run(async {
        let cluster = Cluster::new("stones");
        let listen: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let refused = Host::bind(&cluster.quic("a"), "b", listen).err().unwrap().to_string();
        assert!(refused.contains("henge://stones/node/a"), "{refused}");
        let taken = cluster.host("a");
        let refused = Host::bind(&cluster.quic("a"), "a", taken.address()).err().unwrap();
        assert!(matches!(refused, TransportError::Listen { .. }), "{refused}");
        let binding = henge_actors::transport::Binding {
            name: name("a"),
            listen,
            shard: 0,
            hello: vec![0; 65_537].into(),
        };
        let refused = cluster.quic("a").bind(binding, std::rc::Rc::new(|_| ())).err().unwrap();
        assert!(matches!(refused, TransportError::HelloTooLarge { size: 65_537, max: 65_536 }));
    });
}

#[test]
fn the_endpoint_of_a_client_takes_nobody_in() {
    run(async {
        let cluster = Cluster::new("stones");
        cluster.certificates.issue(Issue::Client { name: &name("a") }, now()).unwrap();
        let directory: &Directory = &cluster.certificates;
        let quic = Quic::new(directory.load_client(now()).unwrap(), patient());
        let client = Host::bind(&quic, "a", (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let node = cluster.quick_host("b");
        node.dial_failed(node.endpoint.dial(&client.peer())).await;
        assert!(client.nothing_happened());
        let other = Host::bind(&quic, "b", (Ipv4Addr::LOCALHOST, 0).into()).err().unwrap();
        assert!(other.to_string().contains("not a node or client b"), "{other}");
    });
}
