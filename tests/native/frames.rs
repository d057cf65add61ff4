//! What breaks the protocol ends its link and nothing else; clients are bounded.

use bytes::Bytes;
use henge::{Client, Key, PutOptions, ReadOptions, Store as _};
use henge_actors::{
    client_protocol::{ClientAnswer, ClientHello, ClientReply, ClientRequest, ReportOf},
    environment::{Clock as _, SystemClock},
    transport::{
        Frame, Lane, TransportEvent,
        tls::{Directory, Identity},
    },
};
use henge_kernel::id::ClusterId;

use crate::{
    address, blind, connect,
    dial::{Dialler, local},
    key,
    support::node::{Single, TestNode},
    text, tls,
};

fn identity(node: &TestNode) -> Identity {
    let directory = Directory::open(&node.handle.settings().tls.dir).unwrap();
    directory.load_client(SystemClock::start().wall()).unwrap()
}

pub fn joined(frame: Frame) -> Vec<u8> {
    let mut bytes = frame.header;
    bytes.extend_from_slice(&frame.tail);
    bytes
}

#[test]
fn garbage_ends_its_link_with_a_reason_and_nothing_else() {
    local(async {
        let single = Single::start();
        let client = connect(&single.node).await;
        let dialler = Dialler::new(identity(&single.node), &single.node);
        for garbage in [&b""[..], b"\x01", b"\xff\x00\x00", b"\x20\x02\x00\x00\x00", &[0x20; 100]] {
            let link = dialler.dial().await.unwrap();
            link.send(Lane::Request, Frame::new(garbage.to_vec())).unwrap();
            let reason = dialler.closed().await;
            assert!(reason.starts_with("the peer closed it: "), "{reason}");
        }
        let link = dialler.dial().await.unwrap();
        link.send(Lane::Control, Frame::new(b"gossip".to_vec())).unwrap();
        assert!(dialler.closed().await.contains("control lane"));
        // Another client's link to the same node is left alone.
        client.put(&key("a"), text("x"), blind()).await.unwrap();
    });
}

#[test]
fn ten_thousand_mutated_frames_do_no_harm() {
    local(async {
        let single = Single::start();
        let dialler = Dialler::new(identity(&single.node), &single.node);
        let get = ClientRequest::Get { key: key("a"), options: ReadOptions::default() };
        let put = ClientRequest::Put { key: key("m"), value: text("x"), options: blind() };
        let seeds = [get, put, ClientRequest::Buckets, ClientRequest::Report(ReportOf::Routing)];
        let seeds = seeds.map(|request| joined(request.encode(1).unwrap()));
        // xorshift: chance that repeats, without another dependency.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
        };
        let (mut link, mut closed) = (dialler.dial().await.unwrap(), 0);
        for _ in 0..10_000 {
            let mut bytes = seeds[draw(seeds.len())].clone();
            for _ in 0..=draw(3) {
                let at = draw(bytes.len());
                bytes[at] = draw(256).to_le_bytes()[0];
            }
            bytes.truncate(draw(bytes.len() + 1));
            if link.send(Lane::Request, Frame::new(bytes)).is_err() {
                dialler.closed().await;
                closed += 1;
                link = dialler.dial().await.unwrap();
            }
            tokio::task::yield_now().await;
        }
        assert!(closed > 0, "some were noticed");
        let client = connect(&single.node).await;
        client.put(&key("a"), text("x"), blind()).await.unwrap();
        let actors = client.actors().await.unwrap();
        assert!(actors.iter().all(|actor| actor.failed == 0), "{actors:?}");
    });
}

#[test]
fn a_client_of_another_cluster_or_version_is_told_both() {
    local(async {
        let single = Single::start();
        let cluster = ClusterId::of(single.node.handle.settings().cluster.name.as_str());
        let hellos = [
            (ClientHello::of(ClusterId(1)), "looks for cluster 0000000000000001"),
            (
                ClientHello { protocol_min: 7, protocol_max: 9, cluster },
                "the client speaks protocol versions 7 to 9, node solo 1 to 1",
            ),
        ];
        for (hello, words) in hellos {
            let hello = hello.encode().unwrap();
            let dialler = Dialler::with_hello(identity(&single.node), &single.node, hello);
            let reason = dialler.refusal().await;
            assert!(reason.contains(words), "{reason}");
        }
        let nonsense = Bytes::from_static(b"nonsense");
        Dialler::with_hello(identity(&single.node), &single.node, nonsense).refusal().await;
        connect(&single.node).await;
    });
}

#[test]
fn answers_come_as_they_are_ready_each_under_its_number() {
    local(async {
        let single = Single::start();
        let dialler = Dialler::new(identity(&single.node), &single.node);
        let link = dialler.dial().await.unwrap();
        for correlation in 0..50 {
            let key = Key::new("b", format!("k{correlation}")).unwrap();
            let put = ClientRequest::Put { key, value: text("x"), options: PutOptions::default() };
            link.send(Lane::Request, put.encode(correlation).unwrap()).unwrap();
        }
        let mut seen = Vec::new();
        while seen.len() < 50 {
            let TransportEvent::Frames { frames, .. } = dialler.next().await else { continue };
            for frame in frames {
                let answer = ClientAnswer::decode(&frame).unwrap();
                assert!(matches!(answer.reply, ClientReply::Written(_)), "{answer:?}");
                seen.push(answer.correlation);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    });
}

#[tokio::test]
async fn clients_are_bounded_and_the_last_is_told() {
    let single = Single::start_with(|settings| settings.limits.connections_max = 16);
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(connect(&single.node).await);
    }
    let refused = Client::connect([address(&single.node)], tls(&single.node)).await.unwrap_err();
    assert!(refused.to_string().contains("serves 16 clients already"), "{refused}");
    clients.pop().unwrap().close().await;
    for client in &clients {
        client.put(&key("a"), text("x"), blind()).await.unwrap();
    }
    while Client::connect([address(&single.node)], tls(&single.node)).await.is_err() {}
}
