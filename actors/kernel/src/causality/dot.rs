//! Dots: the names of writes.

use core::{fmt, str::FromStr};

use crate::id::ShardUid;

/// Who mints: one life of a shard, and the epoch in which it took up the key.
///
/// Never a node, a client or an address: whatever is lost, rolled back or restored comes back as
/// another actor, so that no dot is ever minted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor {
    /// The life of the shard.
    pub uid: ShardUid,
    /// Which of the records that this life began to mint for; from 1.
    pub epoch: u64,
}

/// One write: the `counter`-th that `actor` minted for the key.
///
/// "Dotted Version Vectors: Logical Clocks for Optimistic Replication", Preguiça et al., §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who minted it.
    pub actor: Actor,
    /// From 1.
    pub counter: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}.{}", self.actor.uid.0, self.actor.epoch, self.counter)
    }
}

impl FromStr for Dot {
    type Err = InvalidDot;

    fn from_str(text: &str) -> Result<Self, InvalidDot> {
        let mut parts = text.splitn(3, '.');
        let (Some(uid), Some(epoch), Some(counter)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidDot);
        };
        let uid = ShardUid(u64::from_str_radix(uid, 16).map_err(|_| InvalidDot)?);
        let epoch = epoch.parse().map_err(|_| InvalidDot)?;
        let counter = counter.parse().map_err(|_| InvalidDot)?;
        let dot = Self { actor: Actor { uid, epoch }, counter };
        // Each dot is written in one way only, so that texts can be compared.
        if dot.to_string() == text { Ok(dot) } else { Err(InvalidDot) }
    }
}

/// A text that names no write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 16 hex digits and two numbers, as 00000000000000a1.1.2")]
pub struct InvalidDot;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_is_read_as_it_is_written_and_in_no_other_way() {
        let dot = Dot { actor: Actor { uid: ShardUid(0xa1), epoch: 1 }, counter: u64::MAX };
        assert_eq!(dot.to_string().parse(), Ok(dot));
        for bad in [
            "",
            "zz",
            "a1.1.2",
            "00000000000000A1.1.2",
            "00000000000000a1.1",
            "00000000000000a1.1.2.3",
            "00000000000000a1.01.2",
            "00000000000000a1.+1.2",
            "00000000000000a1.1.18446744073709551616",
            "0000000000000a1é.1.2",
        ] {
            assert_eq!(bad.parse::<Dot>(), Err(InvalidDot), "{bad}");
        }
    }
}
