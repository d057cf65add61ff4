//! How a shard meets peers and clients, which are played by the test.

use std::{cell::RefCell, net::SocketAddr, time::Duration};

use henge_kernel::{
    causality::Value,
    coordination::{PutOptions, ReadOptions},
    id::{NodeId, NodeName, WriteId},
    key::Key,
};
use tokio::{runtime::Builder, task::LocalSet};

use super::*;
use crate::{
    environment::{SeededEntropy, SimulatedClock},
    messages::client_link::RequestsArrived,
    settings::{Address, ClusterName, LayoutEntry, ShardCount},
    storage::disk_simulated::SimulatedDisk,
    transport::{
        Endpoint, Frame, Lane, Link, LinkId, Protocol, SendError, TransportEvent,
        simulated::{NetworkProfile, SimulatedNetwork},
    },
    wire::{ClientAnswer, ClientReply, ClientRequest, Hello},
};

fn simulate(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn entry(node: &str, address: &str) -> LayoutEntry {
    LayoutEntry::new(name(node), address.parse::<Address>().unwrap())
}

/// Shard 1 of 2 of node a, whose endpoint is not open yet.
fn shard_without_endpoint(network: &SimulatedNetwork) -> Rc<Shard> {
    let layout = vec![entry("a", "10.0.0.1:7400"), entry("b", "10.0.0.2:7400")];
    let cluster = ClusterName::new("simulated").unwrap();
    let mut settings = Settings::member(cluster, layout, name("a"), "/data".into());
    settings.node.shards = Some(ShardCount::new(2).unwrap());
    shard_of(commons(settings, network), 1).0
}

fn commons(settings: Settings, network: &SimulatedNetwork) -> Arc<Commons> {
    let environment = Environment {
        clock: Arc::new(SimulatedClock::start()),
        entropy: Arc::new(SeededEntropy::new(1)),
        transport: network.transport(),
        disk: Arc::new(SimulatedDisk::new(1)),
        faults: None,
    };
    let identity = open_directory(&settings, &environment).unwrap();
    Commons::new(Birth {
        view: first_view(&settings, &environment).unwrap(),
        settings,
        environment,
        incarnation: identity.incarnation,
        shards: identity.shards,
        facts: identity.facts,
    })
}

fn shard_of(commons: Arc<Commons>, index: u16) -> (Rc<Shard>, Doors) {
    start_supervisor(&commons);
    let shard = Shard::new(commons, index);
    let doors = open_shard(&shard).unwrap();
    (shard, doors)
}

/// Shard `shard` of node b.
fn b(shard: &Shard, index: u16) -> Peer {
    let node = NodeId::of(shard.commons.cluster_id, &name("b"));
    let site = shard.commons.cluster.load().nodes[&node].clone();
    Peer { node, shard: index, site }
}

/// Who listens where shard 1 of node b should, and says that it is shard `index`.
struct Impostor {
    _endpoint: Rc<dyn Endpoint>,
    links: Rc<RefCell<Vec<Rc<dyn Link>>>>,
    ends: Rc<RefCell<Vec<String>>>,
}

impl Impostor {
    fn listen(network: &SimulatedNetwork, shard: &Shard, index: u16) -> Self {
        let hello = Hello { name: name("b"), shard: index, shards: 8, ..shard.commons.hello(1) };
        let listen: SocketAddr = "10.0.0.2:7401".parse().unwrap();
        let hello = hello.encode().unwrap();
        let binding = Binding { name: name("b"), listen, shard: 1, hello };
        let (links, ends) = (Rc::<RefCell<Vec<_>>>::default(), Rc::<RefCell<Vec<_>>>::default());
        let (up, down) = (Rc::clone(&links), Rc::clone(&ends));
        let events = move |event| match event {
            TransportEvent::Connected { link, .. } => up.borrow_mut().push(link),
            TransportEvent::Closed { reason, .. } => down.borrow_mut().push(reason),
            _ => {}
        };
        let endpoint = network.transport().bind(binding, Rc::new(events)).unwrap();
        Self { _endpoint: endpoint, links, ends }
    }
}

#[test]
fn a_peer_that_is_to_be_met_before_the_endpoint_is_open_is_dialled_when_it_is() {
    simulate(async {
        let network = SimulatedNetwork::new(1, NetworkProfile::default());
        let shard = shard_without_endpoint(&network);
        let peer = Impostor::listen(&network, &shard, 1);
        shard.converse(b(&shard, 1));
        sleep(Duration::from_secs(2)).await;
        assert!(peer.links.borrow().is_empty(), "there is nothing to dial with");
        open_endpoint(&shard).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(peer.links.borrow().len(), 1);
        assert!(peer.ends.borrow().is_empty());
    });
}

#[test]
fn a_shard_that_calls_itself_another_than_was_dialled_is_refused_each_time() {
    for index in [0, 5] {
        simulate(async {
            let network = SimulatedNetwork::new(1, NetworkProfile::default());
            let shard = shard_without_endpoint(&network);
            let peer = Impostor::listen(&network, &shard, index);
            open_endpoint(&shard).unwrap();
            shard.converse(b(&shard, 0));
            shard.converse(b(&shard, 1));
            sleep(Duration::from_secs(3)).await;
            let ends = peer.ends.borrow();
            assert!(ends.len() > 1, "it is dialled again: {ends:?}");
            let expected = format!("dialled its shard 1, reached shard {index}");
            assert!(ends.iter().all(|reason| reason.contains(&expected)), "{ends:?}");
            assert_eq!(peer.links.borrow().len(), ends.len(), "no link stays");
        });
    }
}

/// The link of a client that reads everything.
struct ClientSide {
    name: NodeName,
    answers: RefCell<Vec<ClientAnswer>>,
}

impl Link for ClientSide {
    fn id(&self) -> LinkId {
        LinkId(1)
    }

    fn protocol(&self) -> Protocol {
        Protocol::Client
    }

    fn peer(&self) -> &NodeName {
        &self.name
    }

    fn send(&self, _: Lane, frame: Frame) -> Result<(), SendError> {
        let answer = ClientAnswer::decode(&[&frame.header[..], &frame.tail].concat().into());
        self.answers.borrow_mut().push(answer.unwrap());
        Ok(())
    }

    fn unsent(&self, _: Lane) -> usize {
        0
    }

    fn close(&self, reason: &str) {
        panic!("{reason}");
    }
}

/// A get and a put, in turn, that may take a minute each.
fn request(number: u64) -> Bytes {
    let key = Key::new("bucket", format!("key-{}", number / 2)).unwrap();
    let timeout = Duration::from_mins(1);
    let request = if number.is_multiple_of(2) {
        ClientRequest::Get { key, options: ReadOptions::default().timeout(timeout) }
    } else {
        let options = PutOptions::default().timeout(timeout).write_id(WriteId(number.into()));
        ClientRequest::Put { key, value: Value::default(), options }
    };
    let Frame { header, tail } = request.encode(number).unwrap();
    [&header[..], &tail].concat().into()
}

#[test]
fn a_client_that_asks_once_a_minute_for_a_day_leaves_nothing_behind() {
    simulate(async {
        let network = SimulatedNetwork::new(1, NetworkProfile::default());
        let listen = "10.0.0.1:7400".parse().unwrap();
        let settings = Settings::single(name("a"), listen, "/data".into());
        let (shard, Doors { front, storage, worker, .. }) =
            shard_of(commons(settings, &network), 0);
        let commons = &shard.commons;
        assert!(commons.fronts.set(vec![front]).is_ok());
        assert!(commons.storages.set(vec![storage]).is_ok());
        assert!(commons.workers.set(vec![worker]).is_ok());
        commons.enter(Phase::Serving);
        let link = Rc::new(ClientSide { name: name("ada"), answers: RefCell::default() });
        let client = shard.meet_client(link.clone());
        for minute in 0..24 * 60 {
            let frames = vec![request(minute)];
            client.tell(RequestsArrived { lane: Lane::Request, frames });
            sleep(Duration::from_mins(1)).await;
            assert!(shard.wheel.alarms() <= 4, "{} at {minute}", shard.wheel.alarms());
        }
        let answers = link.answers.take();
        let answered = |one: &ClientAnswer| !matches!(one.reply, ClientReply::Refused(_));
        assert!(answers.len() == 24 * 60 && answers.iter().all(answered));
        sleep(Duration::from_mins(2)).await;
        assert_eq!(shard.wheel.alarms(), 0);
        let inside = [&commons.doors[0], &shard.tails, &shard.unread].map(|door| door.requests());
        assert_eq!((inside, shard.idle()), ([0; 3], 1), "one coordinator has served them all");
    });
}
