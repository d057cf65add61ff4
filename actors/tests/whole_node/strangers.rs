//! Peers that say of themselves what is not so, and peers that say nonsense: the node that lies is
//! played by the test, at the address of a node of the layout that does not run.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

use bytes::Bytes;
use henge_actors::{
    NodeHandle,
    client_protocol::Hello,
    transport::{Binding, Endpoint, Frame, Lane, Link, PeerAddress, TransportEvent},
};
use henge_kernel::{
    coordination::{PutOptions, ReadOptions},
    id::ClusterId,
};

use crate::world::{Plan, World, get, name, pass, put, simulate, texts};

/// An endpoint of a liar, and what it heard.
struct Liar {
    endpoint: Rc<dyn Endpoint>,
    heard: Rc<RefCell<Heard>>,
}

#[derive(Default)]
struct Heard {
    /// The newest link that is up, and the hello of who is at its other end.
    link: Option<Rc<dyn Link>>,
    hello: Option<Bytes>,
    frames: Vec<(Lane, Bytes)>,
    /// Why links ended or did not come to be.
    ends: Vec<String>,
}

impl Liar {
    /// Who is called `title` and listens at `address` with this hello.
    fn bind(world: &World, title: &str, address: &str, hello: Bytes) -> Self {
        let heard = Rc::<RefCell<Heard>>::default();
        let listen: SocketAddr = address.parse().unwrap();
        let binding = Binding { name: name(title), listen, shard: 0, hello };
        let events = Rc::clone(&heard);
        let on_event = move |event| {
            let mut heard = events.borrow_mut();
            match event {
                TransportEvent::Connected { link, hello, .. } => {
                    (heard.link, heard.hello) = (Some(link), Some(hello));
                }
                TransportEvent::Frames { lane, frames, .. } => {
                    heard.frames.extend(frames.into_iter().map(|frame| (lane, frame)));
                }
                TransportEvent::Closed { reason, link } => {
                    heard.ends.push(reason);
                    heard.link.take_if(|current| current.id() == link);
                }
                TransportEvent::DialFailed { reason, .. } => heard.ends.push(reason),
            }
        };
        let endpoint = world.network.transport().bind(binding, Rc::new(on_event)).unwrap();
        Self { endpoint, heard }
    }

    /// Anywhere: from an address of its own.
    fn somewhere(world: &World, title: &str, hello: Bytes) -> Self {
        static PORT: AtomicU16 = AtomicU16::new(1);
        let port = PORT.fetch_add(1, Relaxed);
        Self::bind(world, title, &format!("10.0.9.9:{port}"), hello)
    }

    /// Dials node a.
    fn dial(&self) {
        let (name, host) = (Some(name("a")), "10.0.0.1".to_owned());
        self.endpoint.dial(&PeerAddress { name, host, port: 7400 });
    }

    fn link(&self) -> Option<Rc<dyn Link>> {
        self.heard.borrow().link.clone()
    }
}

/// Three nodes of which c does not run, and what c would say.
async fn world_without_c(seed: u64) -> (World, Hello) {
    let mut world = World::start(Plan::three(seed)).await;
    world.kill("c").await;
    let spy = Liar::somewhere(&world, "c", Bytes::from_static(b"who are you?"));
    linked(&spy).await;
    let hello = spy.heard.borrow().hello.clone().unwrap();
    let a = Hello::decode(&hello).unwrap();
    (world, Hello { name: name("c"), run: 7, ..a })
}

fn restarts(node: &NodeHandle) -> u64 {
    node.actors().iter().map(|actor| actor.failed + actor.restarts).sum()
}

/// The other two are unharmed: none of their actors fell, and they serve together.
async fn assert_unharmed(world: &World, tag: &str) {
    for node in ["a", "b"] {
        assert_eq!(restarts(world.node(node)), 0, "{:?}", world.node(node).actors());
    }
    let mut tries = 0;
    while put(world.node("a"), tag, "x", PutOptions::default().w(2).sloppy(false)).await.is_err() {
        tries += 1;
        assert!(tries < 50, "a and b do not serve");
        pass(100).await;
    }
    let got = get(world.node("b"), tag, ReadOptions::default().r(2)).await;
    assert!(texts(&got).contains(&"x".to_owned()), "{got:?}");
}

#[test]
fn a_peer_that_is_not_what_it_says_is_refused_in_words() {
    simulate(async {
        let (world, c) = world_without_c(1).await;
        let mut facts = c.facts.clone();
        facts[0].1 = "other".to_owned();
        let field = facts[0].0.clone();
        let lies = [
            (
                "c",
                Hello { name: name("b"), ..c.clone() },
                "it calls itself b but its certificate says c".to_owned(),
            ),
            (
                "z",
                Hello { name: name("z"), ..c.clone() },
                "z is no other node of the layout".to_owned(),
            ),
            ("c", Hello { cluster: ClusterId(1), ..c.clone() }, "cluster is ".to_owned()),
            ("c", Hello { facts, ..c.clone() }, format!("{field} is ")),
            ("c", Hello { facts: Vec::new(), ..c.clone() }, "cluster is ".to_owned()),
            (
                "c",
                Hello { protocol_min: 8, protocol_max: 9, ..c.clone() },
                "the peer (8, 9)".to_owned(),
            ),
            (
                "c",
                Hello { shard: 6, shards: 7, ..c.clone() },
                "nobody here talks to its shard 6".to_owned(),
            ),
        ];
        for (title, hello, words) in lies {
            let liar = Liar::somewhere(&world, title, hello.encode().unwrap());
            liar.dial();
            pass(50).await;
            let ends = liar.heard.borrow().ends.clone();
            assert!(ends.len() == 1 && ends[0].contains(&words), "{words}: {ends:?}");
        }
        assert_unharmed(&world, "after").await;
    });
}

#[test]
fn ten_thousand_random_and_mutated_hellos_do_no_harm() {
    simulate(async {
        let (world, c) = world_without_c(2).await;
        let good = c.encode().unwrap();
        let mut rng = fastrand::Rng::with_seed(2);
        let mut refused = 0;
        for _ in 0..100 {
            let liars: Vec<_> = (0..100)
                .map(|_| {
                    let hello =
                        if rng.bool() { mutated(&mut rng, &good) } else { random(&mut rng) };
                    let liar = Liar::somewhere(&world, "c", hello);
                    liar.dial();
                    liar
                })
                .collect();
            pass(50).await;
            refused += liars.iter().filter(|liar| !liar.heard.borrow().ends.is_empty()).count();
        }
        assert!(refused > 9_000, "{refused}");
        assert_unharmed(&world, "after").await;
    });
}

#[test]
fn ten_thousand_random_and_mutated_frames_of_a_peer_do_no_harm() {
    simulate(async {
        let (world, c) = world_without_c(3).await;
        let liar = Liar::bind(&world, "c", "10.0.0.3:7400", c.encode().unwrap());
        linked(&liar).await;
        // What real peers say, to be mutated; c is not known as down yet.
        for number in 0..20 {
            let _ = put(world.node("a"), &format!("k{number}"), "x", PutOptions::default()).await;
        }
        pass(3000).await;
        let real = std::mem::take(&mut liar.heard.borrow_mut().frames);
        assert!(real.iter().any(|(lane, _)| *lane == Lane::Request), "requests are among them");
        assert!(real.iter().any(|(lane, _)| *lane == Lane::Control), "and gossip");
        let mut rng = fastrand::Rng::with_seed(3);
        for round in 0..10_000 {
            let (lane, frame) = &real[rng.usize(..real.len())];
            let frame = if round % 3 == 0 { random(&mut rng) } else { mutated(&mut rng, frame) };
            let link = linked(&liar).await;
            let _ = link.send(*lane, Frame::new(frame.to_vec()));
            pass(4).await;
        }
        assert!(liar.heard.borrow().ends.len() > 1_000, "links of nonsense end");
        drop(liar);
        assert_unharmed(&world, "after").await;
    });
}

/// A link between the liar and node a, whoever dialled.
async fn linked(liar: &Liar) -> Rc<dyn Link> {
    for round in 0..500 {
        if let Some(link) = liar.link() {
            return link;
        }
        if round % 10 == 0 {
            liar.dial();
        }
        pass(2).await;
    }
    panic!("no link: {:?}", liar.heard.borrow().ends.last());
}

fn random(rng: &mut fastrand::Rng) -> Bytes {
    (0..rng.usize(..96)).map(|_| rng.u8(..)).collect::<Vec<_>>().into()
}

fn mutated(rng: &mut fastrand::Rng, frame: &Bytes) -> Bytes {
    let mut bytes = frame.to_vec();
    for _ in 0..rng.usize(1..4) {
        if !bytes.is_empty() {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
    }
    if rng.bool() {
        bytes.truncate(rng.usize(..=bytes.len()));
    }
    bytes.into()
}
