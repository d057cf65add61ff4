//! Bytes from outside.

use bytes::Bytes;
use foca::{Header, Member, Message, State};
use proptest::prelude::*;

use super::world::{World, millis};
use crate::{
    id::{Incarnation, NodeId},
    machine::Machine,
    membership::{
        HINTED_HOMES_MAX, HintsKept, Life, PACKET_BYTES_MAX, SelfHealth, StorageState, Swim,
        SwimEvent, packet::Packet,
    },
    time::WallMillis,
};

fn life() -> impl Strategy<Value = Life> {
    (1u64..6, any::<u64>(), any::<u64>()).prop_map(|(node, incarnation, number)| Life {
        node: NodeId(node),
        incarnation: Incarnation(incarnation),
        number,
    })
}

fn message() -> impl Strategy<Value = Message<Life>> {
    (1u8..8, any::<u8>(), life()).prop_map(|(kind, probe_number, life)| match kind {
        1 => Message::Ping(probe_number),
        2 => Message::Ack(probe_number),
        3 => Message::PingReq { target: life, probe_number },
        4 => Message::IndirectPing { origin: life, probe_number },
        5 => Message::IndirectAck { target: life, probe_number },
        6 => Message::ForwardedAck { origin: life, probe_number },
        _ => Message::Gossip,
    })
}

fn member() -> impl Strategy<Value = Member<Life>> {
    let state = prop_oneof![Just(State::Alive), Just(State::Suspect), Just(State::Down)];
    (life(), any::<u16>(), state).prop_map(|(life, number, state)| Member::new(life, number, state))
}

fn health() -> impl Strategy<Value = SelfHealth> {
    let kept = (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(home, count, oldest)| {
        HintsKept { home: NodeId(home), count, oldest: WallMillis(oldest) }
    });
    let hints = prop::collection::vec(kept, 0..=HINTED_HOMES_MAX);
    (any::<u32>(), any::<[u64; 3]>(), hints).prop_map(|(loop_lag_ms, figures, hints)| {
        let [wall, keys, disk_bytes] = figures;
        let (storage, wall) = (StorageState::Poisoned, WallMillis(wall));
        SelfHealth { loop_lag_ms, storage, wall, keys, disk_bytes, hints }
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let protocol =
        (life(), any::<u16>(), life(), message(), prop::collection::vec(member(), 0..20));
    prop_oneof![
        life().prop_map(Packet::Hello),
        life().prop_map(Packet::Heard),
        life().prop_map(Packet::Outlived),
        health().prop_map(Packet::Health),
        protocol.prop_map(|(src, src_incarnation, dst, message, members)| {
            Packet::Protocol(Header { src, src_incarnation, dst, message }, members)
        }),
    ]
}

/// Node 1 of a settled world of three.
fn member_one() -> (World, NodeId) {
    (World::settled(3, 5), NodeId(1))
}

fn receive(world: &mut World, from: u64, bytes: Bytes) -> Vec<crate::membership::SwimEffect> {
    let mut effects = Vec::new();
    let event = SwimEvent::PacketReceived { from: NodeId(from), bytes };
    world.nodes.get_mut(&NodeId(1)).unwrap().handle(world.now, event, &mut effects);
    effects
}

fn refused(member: &Swim) -> u64 {
    member.counters().packets_refused
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn packets_survive_the_wire(packet in packet()) {
        let bytes = packet.encode();
        prop_assert!(bytes.len() <= PACKET_BYTES_MAX);
        prop_assert_eq!(Packet::decode(&bytes), Some(packet));
    }

    #[test]
    fn a_packet_is_refused_when_cut_short_or_followed_by_anything(packet in packet(), cut: usize) {
        let mut bytes = packet.encode().to_vec();
        prop_assert_eq!(Packet::decode(&bytes[..cut % bytes.len()]), None);
        bytes.push(0);
        prop_assert_eq!(Packet::decode(&bytes), None);
    }

    #[test]
    fn random_bytes_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let (mut world, own) = member_one();
        let view = world.nodes[&own].view().clone();
        prop_assert_eq!(receive(&mut world, 2, bytes.into()), []);
        prop_assert_eq!(world.nodes[&own].view(), &view);
        prop_assert_eq!(refused(&world.nodes[&own]), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What cannot be told from a true packet is believed (links are authenticated), but the
    /// member neither panics nor takes in a node of another layout, and the cluster comes to rest.
    #[test]
    fn forged_and_mutated_packets_never_panic(
        packets in prop::collection::vec((2u64..4, packet(), any::<usize>(), any::<u8>()), 1..20),
    ) {
        let (mut world, own) = member_one();
        for (from, packet, place, flip) in packets {
            let mut bytes = packet.encode().to_vec();
            let place = place % bytes.len();
            bytes[place] ^= flip;
            let _ = receive(&mut world, from, bytes.into());
            world.run(millis(50));
        }
        prop_assert_eq!(world.nodes[&own].view().iter().len(), 3);
        prop_assert!(world.nodes[&own].timers() <= 16);
        world.run(millis(1_000));
    }
}

#[test]
fn strangers_are_ignored_and_counted() {
    let (mut world, own) = member_one();
    let view = world.nodes[&own].view().clone();
    let life = |node| Life { node: NodeId(node), incarnation: Incarnation(node), number: 0 };
    let hello = Packet::Hello(life(9)).encode();
    assert_eq!(receive(&mut world, 9, hello.clone()), [], "not in the layout");
    assert_eq!(receive(&mut world, 1, hello.clone()), [], "nobody is his own peer");
    assert_eq!(receive(&mut world, 2, hello), [], "not who it says it is");
    let counters = world.nodes[&own].counters();
    assert_eq!((counters.strangers, counters.packets_refused), (2, 1));

    let message = Message::Gossip;
    let header = Header { src: life(2), src_incarnation: 0, dst: life(1), message };
    let news = vec![Member::alive(life(9)), Member::alive(life(3))];
    receive(&mut world, 2, Packet::Protocol(header, news).encode());
    assert_eq!(world.nodes[&own].counters().strangers, 3);
    assert_eq!(world.nodes[&own].view(), &view);
}
