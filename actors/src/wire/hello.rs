//! The first frame each way: who speaks, in which versions, born of which facts.

use bytes::Bytes;
use henge_kernel::id::{ClusterId, Incarnation, NodeName};

use super::codec::{self, BorrowDecode, Encode, HeaderTooLong, MalformedFrame};

/// The oldest protocol version that this build speaks.
pub const PROTOCOL_MIN: u16 = 1;
/// The newest protocol version that this build speaks.
pub const PROTOCOL_MAX: u16 = 1;

const KIND: u8 = 0;

/// What a shard says of itself and of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest protocol version it speaks.
    pub protocol_min: u16,
    /// The newest protocol version it speaks.
    pub protocol_max: u16,
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's name, which its certificate proves as well.
    pub name: NodeName,
    /// The life of its data directory.
    pub incarnation: Incarnation,
    /// The run of its process, drawn at its start: what was said to an earlier one is forgotten.
    pub run: u64,
    /// Which shard speaks.
    pub shard: u16,
    /// How many shards the node has.
    pub shards: u16,
    /// What the cluster was born with: name of the setting and its value as text, in a fixed
    /// order.
    pub facts: Vec<(String, String)>,
}

#[derive(Encode, BorrowDecode)]
struct Header<'a> {
    protocol_min: u16,
    protocol_max: u16,
    cluster: u64,
    name: &'a str,
    incarnation: u64,
    run: u64,
    shard: u16,
    shards: u16,
    facts: Vec<(&'a str, &'a str)>,
}

impl Hello {
    /// The frame.
    pub fn encode(&self) -> Result<Bytes, HeaderTooLong> {
        let header = Header {
            protocol_min: self.protocol_min,
            protocol_max: self.protocol_max,
            cluster: self.cluster.0,
            name: self.name.as_str(),
            incarnation: self.incarnation.0,
            run: self.run,
            shard: self.shard,
            shards: self.shards,
            facts: self.facts.iter().map(|(name, value)| (&**name, &**value)).collect(),
        };
        codec::encode(KIND, &header).map(Bytes::from)
    }

    /// Reads a frame from outside.
    pub fn decode(frame: &Bytes) -> Result<Self, MalformedFrame> {
        let (kind, bytes, _) = codec::split(frame)?;
        if kind != KIND {
            return Err(MalformedFrame::UnknownKind { kind });
        }
        let header: Header<'_> = codec::decode(kind, &bytes)?;
        let name = NodeName::new(header.name)
            .map_err(|error| MalformedFrame::Rule { reason: error.to_string() })?;
        if header.shard >= header.shards {
            let reason = format!("shard {} of {}", header.shard, header.shards);
            return Err(MalformedFrame::Rule { reason });
        }
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Self {
            protocol_min: header.protocol_min,
            protocol_max: header.protocol_max,
            cluster: ClusterId(header.cluster),
            name,
            incarnation: Incarnation(header.incarnation),
            run: header.run,
            shard: header.shard,
            shards: header.shards,
            facts: header.facts.into_iter().map(owned).collect(),
        })
    }

    /// Whether the two may talk; both sides come to the same verdict.
    pub fn check(&self, theirs: &Self) -> Result<(), HelloRefused> {
        if self.protocol_max < theirs.protocol_min || theirs.protocol_max < self.protocol_min {
            return Err(HelloRefused::Protocol {
                ours: (self.protocol_min, self.protocol_max),
                theirs: (theirs.protocol_min, theirs.protocol_max),
            });
        }
        let difference = |field: &str, ours: String, their: String| {
            let (us, them) = (self.name.clone(), theirs.name.clone());
            Err(HelloRefused::Fact { field: field.to_owned(), us, ours, them, theirs: their })
        };
        for ((field, ours), (_, their)) in self.facts.iter().zip(&theirs.facts) {
            if ours != their {
                return difference(field, ours.clone(), their.clone());
            }
        }
        if self.cluster != theirs.cluster || self.facts.len() != theirs.facts.len() {
            let shown = |hello: &Self| format!("{:016x}", hello.cluster.0);
            return difference("cluster", shown(self), shown(theirs));
        }
        Ok(())
    }
}

/// Why two nodes do not talk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloRefused {
    /// No version of the protocol is spoken by both.
    #[error("we speak protocol versions {ours:?}, the peer {theirs:?}")]
    Protocol {
        /// Oldest and newest here.
        ours: (u16, u16),
        /// Oldest and newest there.
        theirs: (u16, u16),
    },
    /// The clusters were born differently. The peer is told in the same words.
    #[error("{field} is {ours:?} on {us} and {theirs:?} on {them}")]
    Fact {
        /// Name of the setting.
        field: String,
        /// The node that refuses.
        us: NodeName,
        /// Its value.
        ours: String,
        /// The peer.
        them: NodeName,
        /// The peer's value.
        theirs: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            protocol_min: 1,
            protocol_max: 2,
            cluster: ClusterId::of("stones"),
            name: NodeName::new("a").unwrap(),
            incarnation: Incarnation(5),
            run: 6,
            shard: 1,
            shards: 2,
            facts: vec![("ring.partitions".into(), "256".into())],
        }
    }

    #[test]
    fn a_hello_comes_back() {
        assert_eq!(Hello::decode(&hello().encode().unwrap()).unwrap(), hello());
    }

    #[test]
    fn a_difference_is_refused_with_field_and_both_values() {
        let mut other = hello();
        other.facts[0].1 = "512".into();
        other.name = NodeName::new("b").unwrap();
        let refused = hello().check(&other).unwrap_err();
        assert_eq!(refused.to_string(), r#"ring.partitions is "256" on a and "512" on b"#);
        assert!(other.check(&hello()).is_err(), "both sides refuse");
    }

    #[test]
    fn versions_must_overlap() {
        let newer = Hello { protocol_min: 2, protocol_max: 3, ..hello() };
        assert_eq!(hello().check(&newer), Ok(()));
        let too_new = Hello { protocol_min: 3, protocol_max: 3, ..hello() };
        assert!(matches!(hello().check(&too_new), Err(HelloRefused::Protocol { .. })));
    }
}
