//! Clients that read their answers slowly, or not at all, over QUIC by hand.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use henge::{Got, ReadOptions, RequestError, Store as _, Value};
use henge_actors::client_protocol::{ClientAnswer, ClientHello, ClientReply, ClientRequest};
use henge_kernel::id::ClusterId;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig,
    VarInt, crypto::rustls::QuicClientConfig,
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::time::timeout;

use crate::{
    blind, connect,
    frames::joined,
    key,
    support::node::{PATIENCE, Single, TestNode},
    text,
};

/// A client that reads when it is told to. QUIC goes on beneath it.
struct Reader {
    connection: Connection,
    requests: SendStream,
    answers: RecvStream,
    _lanes: (SendStream, RecvStream, Endpoint),
}

fn config(node: &TestNode) -> ClientConfig {
    let dir = &node.handle.settings().tls.dir;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(dir.join("client.pem")).unwrap()];
    let secret = PrivateKeyDer::from_pem_file(dir.join("client.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut crypto = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, secret)
        .unwrap();
    crypto.alpn_protocols = vec![b"henge-client/1".to_vec()];
    // So little is on its way at a time that none of it is lost, and the node keeps the rest.
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(64 << 10));
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto).unwrap()));
    config.transport_config(Arc::new(transport));
    config
}

impl Reader {
    async fn connect(node: &TestNode) -> Self {
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let settings = node.handle.settings();
        let (listen, name) = (settings.node.listen, settings.node.name.as_str());
        let connection = endpoint.connect_with(config(node), listen, name).unwrap().await.unwrap();
        let (mut control, heard) = connection.open_bi().await.unwrap();
        let hello = ClientHello::of(ClusterId::of(settings.cluster.name.as_str()));
        control.write_all(b"HNGE\x01\x00").await.unwrap();
        write_frame(&mut control, &hello.encode().unwrap()).await;
        let (mut requests, mut answers) = connection.open_bi().await.unwrap();
        requests.write_all(b"HNGE\x01\x01").await.unwrap();
        answers.read_exact(&mut [0; 6]).await.unwrap();
        Self { connection, requests, answers, _lanes: (control, heard, endpoint) }
    }

    async fn ask(&mut self, correlation: u64, request: &ClientRequest) {
        let frame = joined(request.encode(correlation).unwrap());
        write_frame(&mut self.requests, &frame).await;
    }

    /// Waits until the node has let it go.
    async fn is_let_go(&self) {
        match timeout(PATIENCE, self.connection.closed()).await.expect("let go") {
            ConnectionError::ApplicationClosed(close) => {
                assert_eq!(&close.reason[..], b"the client does not read its answers");
            }
            // QUIC's window for packets can be so full that the last words do not fit.
            ConnectionError::Reset | ConnectionError::TimedOut => {}
            other => panic!("{other}"),
        }
    }

    /// The next answer.
    async fn read(&mut self) -> ClientAnswer {
        let mut length = [0; 4];
        self.answers.read_exact(&mut length).await.unwrap();
        let mut frame = vec![0; u32::from_le_bytes(length).try_into().unwrap()];
        self.answers.read_exact(&mut frame).await.unwrap();
        ClientAnswer::decode(&Bytes::from(frame)).unwrap()
    }
}

async fn write_frame(stream: &mut SendStream, frame: &[u8]) {
    stream.write_all(&u32::try_from(frame.len()).unwrap().to_le_bytes()).await.unwrap();
    stream.write_all(frame).await.unwrap();
}

fn get(name: &str) -> ClientRequest {
    let options = ReadOptions::default().timeout(Duration::from_mins(1));
    ClientRequest::Get { key: key(name), options }
}

fn put(name: &str) -> ClientRequest {
    ClientRequest::Put { key: key(name), value: text("x"), options: blind() }
}

/// How many requests the node has refused to clients.
fn rejected(node: &TestNode) -> u64 {
    let actors = node.handle.actors();
    actors.iter().filter(|one| one.actor == "ClientLink").map(|one| one.rejected).sum()
}

/// How many messages about requests the node has handled: one a get where n is 1, and it is made.
fn gets(node: &TestNode) -> u64 {
    let actors = node.handle.actors();
    actors.iter().filter(|one| one.actor == "Coordinator").map(|one| one.handled).sum()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let looking = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_client_that_is_behind_is_told_overloaded_and_serves_itself_out() {
    let single = Single::start();
    let client = connect(&single.node).await;
    let large = Value::plain(vec![1; 1 << 20]);
    client.put(&key("big"), large.clone(), blind()).await.unwrap();
    let mut reader = Reader::connect(&single.node).await;
    // Sixteen mebibytes that fit nowhere but in the node, as far as they are not QUIC's.
    let before = gets(&single.node);
    for correlation in 0..16 {
        reader.ask(correlation, &get("big")).await;
    }
    until("all answers are made", || gets(&single.node) >= before + 16).await;
    reader.ask(100, &put("late")).await;
    until("the node refuses the put", || rejected(&single.node) > 0).await;
    let others = client.get(&key("big"), ReadOptions::default()).await.unwrap();
    assert_eq!(others.body.into_values(), [large], "nobody else is kept waiting");
    let late = client.get(&key("late"), ReadOptions::default()).await.unwrap();
    assert_eq!(late.body, Got::NotFound, "the refused put was not applied");
    // It reads at last, in order: every answer, then the refusal; and is served again.
    for correlation in 0..16 {
        let answer = reader.read().await;
        assert_eq!(answer.correlation, correlation);
        assert!(matches!(answer.reply, ClientReply::Got(_)), "{:?}", answer.reply);
    }
    let refused = reader.read().await;
    assert_eq!(refused.correlation, 100);
    let overloaded =
        ClientReply::Refused(RequestError::Overloaded { retry_after: Duration::from_millis(100) });
    assert_eq!(refused.reply, overloaded);
    reader.ask(101, &put("late")).await;
    assert!(matches!(reader.read().await.reply, ClientReply::Written(_)));
}

#[tokio::test]
async fn answers_that_the_node_cannot_keep_become_refusals() {
    let single = Single::start();
    let client = connect(&single.node).await;
    client.put(&key("big"), Value::plain(vec![1; 1 << 20]), blind()).await.unwrap();
    let mut reader = Reader::connect(&single.node).await;
    // Twice what the node keeps for all clients together.
    for correlation in 0..128 {
        reader.ask(correlation, &get("big")).await;
    }
    until("the node refuses", || rejected(&single.node) > 0).await;
    let (mut got, mut refused) = (0, 0);
    for _ in 0..128 {
        match reader.read().await.reply {
            ClientReply::Got(_) => got += 1,
            ClientReply::Refused(RequestError::Overloaded { .. }) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(got > 0 && refused > 0, "{got} {refused}");
}

#[tokio::test]
async fn a_client_that_does_not_even_read_refusals_is_let_go() {
    let single = Single::start();
    let client = connect(&single.node).await;
    client.put(&key("big"), Value::plain(vec![1; 1 << 20]), blind()).await.unwrap();
    let mut reader = Reader::connect(&single.node).await;
    let before = gets(&single.node);
    for correlation in 0..16 {
        reader.ask(correlation, &get("big")).await;
    }
    until("all answers are made", || gets(&single.node) >= before + 16).await;
    // 256 refusals may wait.
    for correlation in 16..273 {
        reader.ask(correlation, &put("late")).await;
    }
    until("the node lets it go", || rejected(&single.node) >= 258).await;
    reader.is_let_go().await;
    client.get(&key("big"), ReadOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_stops_reading_for_seconds_is_let_go() {
    let single = Single::start();
    let client = connect(&single.node).await;
    client.put(&key("big"), Value::plain(vec![1; 1 << 20]), blind()).await.unwrap();
    let mut reader = Reader::connect(&single.node).await;
    for correlation in 0..16 {
        reader.ask(correlation, &get("big")).await;
    }
    reader.is_let_go().await;
    client.get(&key("big"), ReadOptions::default()).await.unwrap();
}
