//! Who is who: clusters, nodes, lives of nodes, lives of shards, writes.

use core::{fmt, str::FromStr};

/// The longest node name, in bytes.
pub const NODE_NAME_MAX: usize = 32;

/// 64-bit hash of the cluster's name; part of every identity below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

impl ClusterId {
    /// The identity of the cluster called `name`.
    pub fn of(name: &str) -> Self {
        Self(first_eight(blake3::hash(name.as_bytes())))
    }
}

/// A node's name: `[a-z0-9-]{1,32}`, unique in the cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Box<str>);

impl NodeName {
    /// Checks `name` and takes it.
    pub fn new(name: &str) -> Result<Self, InvalidNodeName> {
        if is_label(name, NODE_NAME_MAX) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidNodeName { name: name.to_owned() })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A node name that breaks the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node name {name:?} is not 1 to {NODE_NAME_MAX} characters of a-z, 0-9 and '-'")]
pub struct InvalidNodeName {
    /// The refused name.
    pub name: String,
}

/// Whether `text` is a label: 1 to `bytes_max` lower case letters, digits and dashes, which fit into
/// certificates, paths and names of metrics.
pub fn is_label(text: &str, bytes_max: usize) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(legal)
}

/// First 64 bits of blake3 over (cluster id, name): everyone can compute it from the name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The identity of the node called `name` in `cluster`.
    pub fn of(cluster: ClusterId, name: &NodeName) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&cluster.0.to_be_bytes());
        hasher.update(name.as_str().as_bytes());
        Self(first_eight(hasher.finalize()))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({:016x})", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Random, born with the data directory: tells a returned node from one whose disk was replaced.
/// It never places data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// Random, drawn anew at every start of a shard: whoever holds it may mint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardUid(pub u64);

impl fmt::Debug for ShardUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardUid({:016x})", self.0)
    }
}

/// Names one put or delete across forwards, hedges and retries. A UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u128);

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
        f.write_str(&groups.join("-"))
    }
}

impl FromStr for WriteId {
    type Err = InvalidWriteId;

    fn from_str(text: &str) -> Result<Self, InvalidWriteId> {
        let mut bits = 0u128;
        for (place, letter) in text.chars().enumerate() {
            match place {
                8 | 13 | 18 | 23 if letter == '-' => {}
                8 | 13 | 18 | 23 => return Err(InvalidWriteId),
                _ => bits = bits << 4 | u128::from(letter.to_digit(16).ok_or(InvalidWriteId)?),
            }
        }
        if text.len() == 36 { Ok(Self(bits)) } else { Err(InvalidWriteId) }
    }
}

/// A name of a write that is no UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID such as 123e4567-e89b-12d3-a456-426614174000")]
pub struct InvalidWriteId;

fn first_eight(hash: blake3::Hash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_id_is_a_uuid() {
        let id = "123e4567-E89b-12d3-a456-426614174000".parse();
        assert_eq!(id, Ok(WriteId(0x123e_4567_e89b_12d3_a456_4266_1417_4000)));
        assert_eq!(id.map(|id| id.to_string()).unwrap(), "123e4567-e89b-12d3-a456-426614174000");
        for bad in [
            "",
            "123e4567e89b12d3a456426614174000",
            "123e4567-e89b-12d3-a456-42661417400",
            "123e4567-e89b-12d3-a456-4266141740000",
            "123e4567-e89b-12d3-a456-42661417400g",
            "123e4567+e89b-12d3-a456-426614174000",
            "123e456é-e89b-12d3-a456-42661417400",
        ] {
            assert_eq!(bad.parse::<WriteId>(), Err(InvalidWriteId), "{bad}");
        }
    }
}
