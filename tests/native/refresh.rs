//! A client learns a newer ring from the answers that it gets, here of nodes that the test plays.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
};

use henge::{Client, ClientTls, ReadOptions, Store as _};
use henge_actors::{
    Answer, Got,
    client_protocol::{ClientHello, ClientQuestion, ClientReply, ClientRequest, Hello, ReportOf},
    environment::{Clock as _, SystemClock},
    reports::{RoutingNode, RoutingReport},
    transport::{
        Binding, Endpoint, Lane, Link, LinkId, Transport as _, TransportEvent,
        quic::{Quic, QuicSettings},
        tls::Directory,
    },
};
use henge_kernel::{
    coordination::Replicas,
    id::{ClusterId, Incarnation, NodeName},
};

use crate::{dial::local, key};

const CLUSTER: &str = "played";

/// A node that answers every get with nothing, and every question about the ring with what it is
/// told to say.
struct Played {
    endpoint: Rc<dyn Endpoint>,
    role: Rc<Role>,
}

#[derive(Default)]
struct Role {
    links: RefCell<BTreeMap<LinkId, Rc<dyn Link>>>,
    epoch: Cell<u64>,
    ring: RefCell<Option<RoutingReport>>,
    gets: Cell<usize>,
    rings: Cell<usize>,
}

impl Played {
    fn start(certificates: &Directory, node: &str) -> Self {
        let name = NodeName::new(node).unwrap();
        let now = SystemClock::start().wall();
        certificates.generate_missing(&name, now).unwrap();
        let ClientHello { protocol_min, protocol_max, cluster } =
            ClientHello::of(ClusterId::of(CLUSTER));
        let hello = Hello {
            protocol_min,
            protocol_max,
            cluster,
            name: name.clone(),
            incarnation: Incarnation(1),
            run: 1,
            shard: 0,
            shards: 1,
            facts: Vec::new(),
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let identity = certificates.load_node(&name, now).unwrap();
        let binding = Binding { name, listen, shard: 0, hello: hello.encode().unwrap() };
        let role = Rc::<Role>::default();
        let player = Rc::clone(&role);
        let endpoint = Quic::new(identity, QuicSettings::default())
            .bind(binding, Rc::new(move |event| player.on_event(event)))
            .unwrap();
        Self { endpoint, role }
    }

    fn address(&self) -> SocketAddr {
        self.endpoint.local_address()
    }
}

impl Role {
    fn on_event(&self, event: TransportEvent) {
        match event {
            TransportEvent::Connected { link, .. } => {
                self.links.borrow_mut().insert(link.id(), link);
            }
            TransportEvent::Frames { link, frames, .. } => {
                let link = Rc::clone(&self.links.borrow()[&link]);
                for frame in frames {
                    let ClientQuestion { correlation, request } =
                        ClientQuestion::decode(&frame).unwrap();
                    let reply = self.reply(&request).encode(correlation, self.epoch.get());
                    link.send(Lane::Request, reply.unwrap()).unwrap();
                }
            }
            _ => {}
        }
    }

    fn reply(&self, request: &ClientRequest) -> ClientReply {
        match request {
            ClientRequest::Get { .. } => {
                self.gets.set(self.gets.get() + 1);
                let replicas = Replicas { acks: 1, fallbacks: 0, homes: 1 };
                ClientReply::Got(Answer { body: Got::NotFound, replicas })
            }
            ClientRequest::Report(ReportOf::Routing) => {
                self.rings.set(self.rings.get() + 1);
                ClientReply::Report(serde_json::to_vec(&*self.ring.borrow()).unwrap().into())
            }
            other => panic!("{other:?}"),
        }
    }

    fn knows(&self, ring: &RoutingReport) {
        self.epoch.set(ring.epoch);
        *self.ring.borrow_mut() = Some(ring.clone());
    }
}

/// The ring of `epoch`, in which the node at place `home` has every key.
fn ring(epoch: u64, home: u16, nodes: &[(&str, SocketAddr)]) -> RoutingReport {
    let node = |(name, address): &(&str, SocketAddr)| RoutingNode {
        name: (*name).to_owned(),
        host: address.ip().to_string(),
        port: address.port(),
        shards: Some(1),
    };
    let nodes = nodes.iter().map(node).collect();
    RoutingReport { epoch, partitions: 1, nodes, homes: vec![vec![home]] }
}

#[test]
fn a_newer_ring_is_learned_from_an_answer_and_an_older_one_is_not() {
    local(async {
        let dir = tempfile::tempdir().unwrap();
        let certificates = Directory::new(dir.path(), CLUSTER).unwrap();
        let (a, b) = (Played::start(&certificates, "a"), Played::start(&certificates, "b"));
        let nodes = [("a", a.address()), ("b", b.address())];
        let (first, second) = (ring(1, 0, &nodes), ring(2, 1, &nodes));
        a.role.knows(&first);
        b.role.knows(&first);
        let tls = ClientTls::from_dir(dir.path()).unwrap();
        let client = Client::connect([a.address().to_string()], tls).await.unwrap();
        let x = key("x");
        let get = || client.get(&x, ReadOptions::default());
        for _ in 0..3 {
            get().await.unwrap();
        }
        let counts =
            || [a.role.gets.get(), b.role.gets.get(), a.role.rings.get(), b.role.rings.get()];
        assert_eq!(counts(), [3, 0, 1, 0], "a is the home, and its ring is known");
        a.role.knows(&second);
        get().await.unwrap();
        // What the answer tells is asked for behind it.
        while b.role.gets.get() == 0 {
            get().await.unwrap();
            assert!(a.role.gets.get() < 1000, "the client goes on asking a");
        }
        assert_eq!((a.role.rings.get(), b.role.rings.get()), (2, 0), "once, of the one who knew");
        // b still answers under the older epoch: that is no news.
        let before = counts();
        for _ in 0..3 {
            get().await.unwrap();
        }
        assert_eq!(counts(), [before[0], before[1] + 3, 2, 0]);
        client.close().await;
    });
}
