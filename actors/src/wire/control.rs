//! The control lane: membership and bucket properties. Nothing here waits behind a value.

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketProperties, BucketRegister, Durability, RegisterVersion},
    causality::Conflict,
    id::NodeId,
    key::check_bucket,
    time::whole_millis,
};

use super::codec::{self, BorrowDecode, Encode, HeaderTooLong, MalformedFrame};
use crate::{messages::ring_manager::RegisterRefused, transport::Frame};

const GOSSIP: u8 = 16;
const REGISTERS: u8 = 17;
const REGISTER_ANSWERED: u8 = 18;

/// The most registers in one message: with the longest names they fit the lane's frames.
pub const REGISTERS_PER_MESSAGE_MAX: usize = 100;

/// A message of the control lane.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlMessage {
    /// A packet of the membership protocol.
    Gossip(Bytes),
    /// Bucket properties: take them in, and answer if there is a ticket (not 0).
    Registers {
        /// Under which the sender waits.
        ticket: u64,
        /// The registers, at most [`REGISTERS_PER_MESSAGE_MAX`].
        registers: Vec<BucketRegister>,
    },
    /// The answer to [`ControlMessage::Registers`] with a ticket: all are stored, or why not.
    RegisterAnswered {
        /// Of which question.
        ticket: u64,
        /// Why nothing was stored.
        refused: Option<RegisterRefused>,
    },
}

#[derive(Encode, BorrowDecode)]
struct Empty {}

#[derive(Encode, BorrowDecode)]
struct RegistersHeader<'a> {
    ticket: u64,
    registers: Vec<RegisterBody<'a>>,
}

#[derive(Encode, BorrowDecode)]
#[expect(clippy::struct_excessive_bools, reason = "a flat form of what travels")]
pub(super) struct RegisterBody<'a> {
    name: &'a [u8],
    counter: u64,
    setter: u64,
    established: bool,
    quorums: [u8; 5],
    sloppy: bool,
    lww: bool,
    periodic: bool,
    ttl_ms: Option<u64>,
    value_bytes_max: u32,
}

#[derive(Encode, BorrowDecode)]
struct AnsweredHeader<'a> {
    ticket: u64,
    refused: Option<(&'a str, &'a str, &'a str)>,
}

impl ControlMessage {
    /// The frame of this message.
    pub fn encode(&self) -> Result<Frame, HeaderTooLong> {
        match self {
            Self::Gossip(packet) => {
                Ok(Frame::with_tail(codec::encode(GOSSIP, &Empty {})?, packet.clone()))
            }
            Self::Registers { ticket, registers } => {
                let registers = registers.iter().map(RegisterBody::of).collect();
                codec::encode(REGISTERS, &RegistersHeader { ticket: *ticket, registers })
                    .map(Frame::new)
            }
            Self::RegisterAnswered { ticket, refused } => {
                let refused = refused.as_ref();
                let refused = refused.map(|why| (&*why.field, &*why.fixed, &*why.value));
                codec::encode(REGISTER_ANSWERED, &AnsweredHeader { ticket: *ticket, refused })
                    .map(Frame::new)
            }
        }
    }

    /// Reads a frame from outside.
    pub fn decode(frame: &Bytes) -> Result<Self, MalformedFrame> {
        let (kind, header, tail) = codec::split(frame)?;
        match kind {
            GOSSIP => codec::decode::<Empty>(kind, &header).map(|_| Self::Gossip(tail)),
            REGISTERS => {
                let RegistersHeader { ticket, registers } = codec::decode(kind, &header)?;
                let registers =
                    registers.into_iter().map(RegisterBody::own).collect::<Result<_, _>>()?;
                Ok(Self::Registers { ticket, registers })
            }
            REGISTER_ANSWERED => {
                let AnsweredHeader { ticket, refused } = codec::decode(kind, &header)?;
                let refused = refused.map(|(field, fixed, value)| RegisterRefused {
                    field: field.to_owned(),
                    fixed: fixed.to_owned(),
                    value: value.to_owned(),
                });
                Ok(Self::RegisterAnswered { ticket, refused })
            }
            kind => Err(MalformedFrame::UnknownKind { kind }),
        }
    }
}

impl<'a> RegisterBody<'a> {
    pub(super) fn of(register: &'a BucketRegister) -> Self {
        let properties = &register.properties;
        let BucketProperties { n, r, w, pr, pw, .. } = *properties;
        Self {
            name: &register.name,
            counter: register.version.counter,
            setter: register.version.setter.0,
            established: register.established,
            quorums: [n, r, w, pr, pw],
            sloppy: properties.sloppy,
            lww: properties.conflict == Conflict::Lww,
            periodic: properties.durability == Durability::Periodic,
            ttl_ms: properties.ttl.map(whole_millis),
            value_bytes_max: properties.value_bytes_max,
        }
    }

    pub(super) fn own(self) -> Result<BucketRegister, MalformedFrame> {
        let rule = |reason: String| MalformedFrame::Rule { reason };
        check_bucket(self.name).map_err(|error| rule(error.to_string()))?;
        let [n, r, w, pr, pw] = self.quorums;
        let properties = BucketProperties {
            n,
            r,
            w,
            pr,
            pw,
            sloppy: self.sloppy,
            conflict: if self.lww { Conflict::Lww } else { Conflict::Siblings },
            ttl: self.ttl_ms.map(Duration::from_millis),
            durability: if self.periodic { Durability::Periodic } else { Durability::Os },
            value_bytes_max: self.value_bytes_max,
        };
        properties.validate().map_err(|violations| rule(violations.to_string()))?;
        Ok(BucketRegister {
            name: Bytes::copy_from_slice(self.name),
            version: RegisterVersion { counter: self.counter, setter: NodeId(self.setter) },
            properties,
            established: self.established,
        })
    }
}
