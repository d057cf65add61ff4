//! The packets between members: small, fixed in form, decoded whole before anything is believed.
//!
//! `u8 format version | u8 kind | body`, integers big-endian. A packet that is too long, too short,
//! of another version, or has a byte too many is refused as a whole.

use bytes::{Buf, BufMut, Bytes};
use foca::{Codec, Header, Member, Message, State};

use super::{health::SelfHealth, life::Life};
use crate::id::{Incarnation, NodeId};

/// The longest packet, in bytes: it fits a QUIC datagram's worth of any network.
pub const PACKET_BYTES_MAX: usize = 1300;

/// What of that is left to the protocol below the envelope.
pub(super) const BODY_BYTES_MAX: usize = PACKET_BYTES_MAX - ENVELOPE_BYTES;

const ENVELOPE_BYTES: usize = 2;
const FORMAT: u8 = 1;
const LIFE_BYTES: usize = 24;
const MEMBER_BYTES: usize = LIFE_BYTES + 3;

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// "This is me; do you hear me?"
    Hello(Life),
    /// The answer: "I hear you; this is me."
    Heard(Life),
    /// "You call yourself by a life that is over; exceed this one."
    Outlived(Life),
    /// The sender's report about itself.
    Health(SelfHealth),
    /// A message of SWIM, with the news about members that it carries.
    Protocol(Header<Life>, Vec<Member<Life>>),
}

impl Packet {
    /// The packet as bytes.
    pub(super) fn encode(&self) -> Bytes {
        let mut to = Vec::with_capacity(ENVELOPE_BYTES + LIFE_BYTES);
        match self {
            Self::Hello(life) => put_enveloped_life(&mut to, 1, life),
            Self::Heard(life) => put_enveloped_life(&mut to, 2, life),
            Self::Outlived(life) => put_enveloped_life(&mut to, 3, life),
            Self::Health(health) => {
                to.put_slice(&[FORMAT, 4]);
                health.encode(&mut to);
            }
            Self::Protocol(header, members) => return envelope(&protocol_body(header, members)),
        }
        Bytes::from(to)
    }

    /// The packet in `bytes`, or `None` if they are not exactly one.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() > PACKET_BYTES_MAX {
            return None;
        }
        let from = &mut bytes;
        let [FORMAT, kind] = *from.split_off(..ENVELOPE_BYTES)? else {
            return None;
        };
        let packet = match kind {
            1 => Self::Hello(get_life(from)?),
            2 => Self::Heard(get_life(from)?),
            3 => Self::Outlived(get_life(from)?),
            4 => Self::Health(SelfHealth::decode(from)?),
            5 => Self::Protocol(get_header(from)?, get_members(from)?),
            _ => return None,
        };
        from.is_empty().then_some(packet)
    }
}

/// Puts a message that `foca` has encoded into its envelope.
pub(super) fn envelope(body: &[u8]) -> Bytes {
    let mut to = Vec::with_capacity(ENVELOPE_BYTES + body.len());
    to.put_slice(&[FORMAT, 5]);
    to.put_slice(body);
    Bytes::from(to)
}

/// A message in the form that `foca` takes.
pub(super) fn protocol_body(header: &Header<Life>, members: &[Member<Life>]) -> Vec<u8> {
    let mut to = Vec::new();
    // Only messages of the kinds that were decoded come here; these have an encoding.
    if put_header(&mut to, header).is_some() {
        to.put_u16(u16::try_from(members.len()).unwrap_or(u16::MAX));
        for member in members {
            put_member(&mut to, member);
        }
    }
    to
}

fn put_enveloped_life(to: &mut Vec<u8>, kind: u8, life: &Life) {
    to.put_slice(&[FORMAT, kind]);
    put_life(to, life);
}

fn put_life(to: &mut impl BufMut, life: &Life) {
    to.put_u64(life.node.0);
    to.put_u64(life.incarnation.0);
    to.put_u64(life.number);
}

fn get_life(from: &mut impl Buf) -> Option<Life> {
    if from.remaining() < LIFE_BYTES {
        return None;
    }
    let (node, incarnation) = (NodeId(from.get_u64()), Incarnation(from.get_u64()));
    Some(Life { node, incarnation, number: from.get_u64() })
}

/// `None` for the messages that are not in use: contact is ours.
fn put_header(to: &mut impl BufMut, header: &Header<Life>) -> Option<()> {
    let (kind, probe, third) = match &header.message {
        Message::Ping(probe) => (1, *probe, None),
        Message::Ack(probe) => (2, *probe, None),
        Message::PingReq { target, probe_number } => (3, *probe_number, Some(target)),
        Message::IndirectPing { origin, probe_number } => (4, *probe_number, Some(origin)),
        Message::IndirectAck { target, probe_number } => (5, *probe_number, Some(target)),
        Message::ForwardedAck { origin, probe_number } => (6, *probe_number, Some(origin)),
        Message::Gossip => (7, 0, None),
        Message::Announce | Message::Feed | Message::Broadcast | Message::TurnUndead => {
            return None;
        }
    };
    put_life(to, &header.src);
    to.put_u16(header.src_incarnation);
    put_life(to, &header.dst);
    to.put_slice(&[kind, probe]);
    if let Some(life) = third {
        put_life(to, life);
    }
    Some(())
}

fn get_header(from: &mut impl Buf) -> Option<Header<Life>> {
    let src = get_life(from)?;
    let src_incarnation = from.try_get_u16().ok()?;
    let dst = get_life(from)?;
    let (kind, probe_number) = (from.try_get_u8().ok()?, from.try_get_u8().ok()?);
    let message = match kind {
        1 => Message::Ping(probe_number),
        2 => Message::Ack(probe_number),
        3 => Message::PingReq { target: get_life(from)?, probe_number },
        4 => Message::IndirectPing { origin: get_life(from)?, probe_number },
        5 => Message::IndirectAck { target: get_life(from)?, probe_number },
        6 => Message::ForwardedAck { origin: get_life(from)?, probe_number },
        7 if probe_number == 0 => Message::Gossip,
        _ => return None,
    };
    Some(Header { src, src_incarnation, dst, message })
}

fn put_member(to: &mut impl BufMut, member: &Member<Life>) {
    put_life(to, member.id());
    to.put_u16(member.incarnation());
    to.put_u8(match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    });
}

fn get_member(from: &mut impl Buf) -> Option<Member<Life>> {
    let life = get_life(from)?;
    let incarnation = from.try_get_u16().ok()?;
    let state = match from.try_get_u8().ok()? {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Down,
        _ => return None,
    };
    Some(Member::new(life, incarnation, state))
}

fn get_members(from: &mut impl Buf) -> Option<Vec<Member<Life>>> {
    let count = usize::from(from.try_get_u16().ok()?);
    // Before anything is allocated for them.
    if from.remaining() != count * MEMBER_BYTES {
        return None;
    }
    (0..count).map(|_| get_member(from)).collect()
}

/// The longest header: that of a message which names a third member.
const HEADER_BYTES_MAX: usize = 3 * LIFE_BYTES + 4;

/// Our encoding, as `foca` wants it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketCodec;

/// A message that has no place or no form in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a membership message, or no room for it")]
pub(super) struct Unencodable;

impl Codec<Life> for PacketCodec {
    type Error = Unencodable;

    fn encode_header(
        &mut self,
        header: &Header<Life>,
        mut buf: impl BufMut,
    ) -> Result<(), Unencodable> {
        if buf.remaining_mut() < HEADER_BYTES_MAX {
            return Err(Unencodable);
        }
        put_header(&mut buf, header).ok_or(Unencodable)
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Life>, Unencodable> {
        get_header(&mut buf).ok_or(Unencodable)
    }

    fn encode_member(
        &mut self,
        member: &Member<Life>,
        mut buf: impl BufMut,
    ) -> Result<(), Unencodable> {
        if buf.remaining_mut() < MEMBER_BYTES {
            return Err(Unencodable);
        }
        put_member(&mut buf, member);
        Ok(())
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Life>, Unencodable> {
        get_member(&mut buf).ok_or(Unencodable)
    }
}
