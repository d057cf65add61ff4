//! What members of the layout say to each other about reaping: the tails of their frames, like those
//! of `trees`.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use henge_kernel::{
    causality::{Digest, Stamp},
    coordination::Generation,
    key::PartitionId,
    reaping::{
        Ask, Fence, KEYS_MAX, Purpose,
        fence::{LeftBehind, Refusal},
    },
};

use super::{
    MalformedFrame,
    trees::{cut_off, ended, list, put_key, rule, take_key, take_list, take_u8, take_u128},
};

/// The most partitions that a ring has.
const PARTITIONS_MAX: usize = 1 << 15;

/// What a member is asked or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceQuestion {
    /// How far it is in all partitions of the shard. What it has promised before counts no more.
    Fences,
    /// How far it is in one partition. What it has promised there before counts no more.
    Hear {
        /// Which.
        partition: PartitionId,
    },
    /// To promise.
    Promise(Ask),
    /// That all have promised.
    Drop(Ask),
    /// How far another member is.
    Meet {
        /// In which partition.
        partition: PartitionId,
        /// How far.
        fence: Fence,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceAnswer {
    /// The partitions of the shard that are not as at birth.
    Fences(Vec<(PartitionId, Fence)>),
    /// How far it is.
    Heard(Fence),
    /// It has promised, durably.
    Promised,
    /// It does not.
    Refused(Refusal),
    /// It has dropped what was still the same.
    Dropped,
}

impl FenceQuestion {
    /// The partition that it concerns; `None` for all of the shard.
    pub fn partition(&self) -> Option<PartitionId> {
        match self {
            Self::Fences => None,
            Self::Hear { partition } | Self::Meet { partition, .. } => Some(*partition),
            Self::Promise(ask) | Self::Drop(ask) => Some(ask.partition),
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut to = BytesMut::new();
        match self {
            Self::Fences => to.put_u8(0),
            Self::Hear { partition } => {
                to.put_u8(1);
                to.put_u16_le(partition.0);
            }
            Self::Promise(ask) => put_ask(&mut to, 2, ask),
            Self::Drop(ask) => put_ask(&mut to, 3, ask),
            Self::Meet { partition, fence } => {
                to.put_u8(4);
                put_place(&mut to, &(*partition, *fence));
            }
        }
        to.freeze()
    }

    pub(super) fn decode(mut from: Bytes) -> Result<Self, MalformedFrame> {
        let from = &mut from;
        let question = match take_u8(from)? {
            0 => Self::Fences,
            1 => Self::Hear { partition: take_partition(from)? },
            2 => Self::Promise(take_ask(from)?),
            3 => Self::Drop(take_ask(from)?),
            4 => {
                let (partition, fence) = take_place(from)?;
                Self::Meet { partition, fence }
            }
            kind => return Err(rule(format!("unknown question {kind} about reaping"))),
        };
        ended(from, question)
    }
}

impl FenceAnswer {
    pub(super) fn encode(&self) -> Bytes {
        let mut to = BytesMut::new();
        match self {
            Self::Fences(fences) => list(&mut to, 0, fences, put_place),
            Self::Heard(fence) => {
                to.put_u8(1);
                put_fence(&mut to, *fence);
            }
            Self::Promised => to.put_u8(2),
            Self::Refused(refusal) => {
                to.put_u8(3);
                put_refusal(&mut to, refusal);
            }
            Self::Dropped => to.put_u8(4),
        }
        to.freeze()
    }

    pub(super) fn decode(mut from: Bytes) -> Result<Self, MalformedFrame> {
        let from = &mut from;
        let answer = match take_u8(from)? {
            0 => Self::Fences(take_list(from, PARTITIONS_MAX, take_place)?),
            1 => Self::Heard(take_fence(from)?),
            2 => Self::Promised,
            3 => Self::Refused(take_refusal(from)?),
            4 => Self::Dropped,
            kind => return Err(rule(format!("unknown answer {kind} about reaping"))),
        };
        ended(from, answer)
    }
}

/// Everything of an ask but its keys is fixed in length.
fn put_ask(to: &mut BytesMut, kind: u8, ask: &Ask) {
    list(to, kind, &ask.keys, |to, (key, digest)| {
        put_key(to, key);
        to.put_u128_le(digest.0);
    });
    to.put_u64_le(ask.round);
    to.put_u16_le(ask.partition.0);
    to.put_u8(u8::from(ask.purpose == Purpose::Prune));
    for number in [ask.generation.0, ask.finished.0, ask.epoch, ask.stamp.0] {
        to.put_u64_le(number);
    }
}

fn take_ask(from: &mut Bytes) -> Result<Ask, MalformedFrame> {
    let keys = take_list(from, KEYS_MAX, |from| Ok((take_key(from)?, Digest(take_u128(from)?))))?;
    Ok(Ask {
        keys,
        round: take_u64(from)?,
        partition: take_partition(from)?,
        purpose: match take_u8(from)? {
            0 => Purpose::Reap,
            1 => Purpose::Prune,
            other => return Err(rule(format!("unknown purpose {other}"))),
        },
        generation: Generation(take_u64(from)?),
        finished: Generation(take_u64(from)?),
        epoch: take_u64(from)?,
        stamp: Stamp(take_u64(from)?),
    })
}

fn put_fence(to: &mut BytesMut, fence: Fence) {
    for number in [fence.generation.0, fence.finished.0, fence.reaped.0] {
        to.put_u64_le(number);
    }
}

fn take_fence(from: &mut Bytes) -> Result<Fence, MalformedFrame> {
    let (generation, finished) = (Generation(take_u64(from)?), Generation(take_u64(from)?));
    Ok(Fence { generation, finished, reaped: Stamp(take_u64(from)?) })
}

fn put_place(to: &mut BytesMut, (partition, fence): &(PartitionId, Fence)) {
    to.put_u16_le(partition.0);
    put_fence(to, *fence);
}

fn take_place(from: &mut Bytes) -> Result<(PartitionId, Fence), MalformedFrame> {
    Ok((take_partition(from)?, take_fence(from)?))
}

fn put_refusal(to: &mut BytesMut, refusal: &Refusal) {
    match refusal {
        Refusal::Passed(generation) => {
            to.put_u8(0);
            to.put_u64_le(generation.0);
        }
        Refusal::Epoch(epoch) => {
            to.put_u8(1);
            to.put_u64_le(*epoch);
        }
        Refusal::BeingFilled => to.put_u8(2),
        Refusal::Suspect => to.put_u8(3),
        Refusal::LeftBehind(left) => {
            to.put_u8(4);
            to.put_u64_le(left.finished.0);
            to.put_u64_le(left.generation.0);
        }
        Refusal::Differs(key) => {
            to.put_u8(5);
            put_key(to, key);
        }
        Refusal::Quarantined(key) => {
            to.put_u8(6);
            put_key(to, key);
        }
        Refusal::Alive(key) => {
            to.put_u8(7);
            put_key(to, key);
        }
        Refusal::TooMany(count) => {
            to.put_u8(8);
            to.put_u64_le(*count as u64);
        }
    }
}

fn take_refusal(from: &mut Bytes) -> Result<Refusal, MalformedFrame> {
    Ok(match take_u8(from)? {
        0 => Refusal::Passed(Generation(take_u64(from)?)),
        1 => Refusal::Epoch(take_u64(from)?),
        2 => Refusal::BeingFilled,
        3 => Refusal::Suspect,
        4 => {
            let (finished, generation) = (Generation(take_u64(from)?), Generation(take_u64(from)?));
            Refusal::LeftBehind(LeftBehind { finished, generation })
        }
        5 => Refusal::Differs(take_key(from)?),
        6 => Refusal::Quarantined(take_key(from)?),
        7 => Refusal::Alive(take_key(from)?),
        8 => Refusal::TooMany(usize::try_from(take_u64(from)?).unwrap_or(usize::MAX)),
        kind => return Err(rule(format!("unknown refusal {kind}"))),
    })
}

fn take_partition(from: &mut Bytes) -> Result<PartitionId, MalformedFrame> {
    from.try_get_u16_le().map(PartitionId).map_err(|_| cut_off())
}

fn take_u64(from: &mut Bytes) -> Result<u64, MalformedFrame> {
    from.try_get_u64_le().map_err(|_| cut_off())
}
