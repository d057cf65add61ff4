//! Names, addresses and counts of the settings: each is checked once, where it is made.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU16,
    str::FromStr,
};

use henge_kernel::id::is_label;

/// A word that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not {rule}")]
pub struct InvalidWord {
    /// The refused text.
    pub word: String,
    /// What it should have been.
    pub rule: &'static str,
}

fn invalid(word: impl Into<String>, rule: &'static str) -> InvalidWord {
    InvalidWord { word: word.into(), rule }
}

/// A cluster's name: `[a-z0-9-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(Box<str>);

impl ClusterName {
    /// The rule in words.
    pub const RULE: &str = "1 to 64 characters of a-z, 0-9 and '-'";

    /// Checks `name` and takes it.
    pub fn new(name: &str) -> Result<Self, InvalidWord> {
        if is_label(name, 64) { Ok(Self(name.into())) } else { Err(invalid(name, Self::RULE)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self("henge".into())
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a node is reached: a DNS name or an IP address, and a port that is not 0.
///
/// As text `host:port`; an IPv6 address stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: Box<str>,
    port: NonZeroU16,
}

impl Address {
    /// The rule in words.
    pub const RULE: &str = "HOST:PORT with a DNS name, an IPv4 or a bracketed IPv6 address, and a \
                            port from 1 to 65535";

    /// The DNS name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// Where to listen to be reached at this address: an IP address is taken as it is, for a DNS
    /// name it is every interface.
    pub fn listen(&self) -> SocketAddr {
        let ip = self.host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        SocketAddr::new(ip, self.port())
    }
}

impl FromStr for Address {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        split_address(text).ok_or_else(|| invalid(text, Self::RULE))
    }
}

impl From<SocketAddr> for Address {
    /// Port 0, which only a listener understands, becomes port 1, where nobody answers.
    fn from(address: SocketAddr) -> Self {
        let port = NonZeroU16::new(address.port()).unwrap_or(NonZeroU16::MIN);
        Self { host: address.ip().to_string().into(), port }
    }
}

fn split_address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.to_string(),
        None => is_host(host).then(|| host.to_ascii_lowercase())?,
    };
    Some(Address { host: host.into(), port })
}

/// An IPv4 address or a DNS name (RFC 1123: labels of letters, digits and inner dashes).
fn is_host(host: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(legal)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A name of digits and dots only is an IPv4 address or a mistake.
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    host.len() <= 253
        && host.split('.').all(is_label)
        && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Shards of one node (K): 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardCount(u16);

impl ShardCount {
    /// One shard.
    pub const ONE: Self = Self(1);
    /// The most that a node can have.
    pub const MAX: Self = Self(64);
    /// The rule in words.
    pub const RULE: &str = "a number from 1 to 64";

    /// Takes a count within the limits.
    pub fn new(count: u64) -> Result<Self, InvalidWord> {
        let fits = u16::try_from(count).ok().filter(|count| (1..=Self::MAX.0).contains(count));
        fits.map(Self).ok_or_else(|| invalid(count.to_string(), Self::RULE))
    }

    /// What a node born on a machine of `cores` cores gets: one up to two cores, else all but one,
    /// which is left to surfaces and sync threads.
    pub fn for_cores(cores: usize) -> Self {
        let shards = u16::try_from(cores.saturating_sub(1)).unwrap_or(u16::MAX);
        Self(shards.clamp(1, Self::MAX.0))
    }

    /// The number of shards.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ShardCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["a.example:7400", "127.0.0.1:1", "[::1]:65535", "node-1:7400"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "a",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "::1:7400",
            "[::1:7400",
            "1.2.3:7400",
            "256.0.0.1:1",
            "-a:1",
            "a..b:1",
            "a b:1",
            "[a]:1",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shards_leave_one_core_to_the_rest() {
        let counts = [0, 1, 2, 3, 4, 65, 1000].map(|cores| ShardCount::for_cores(cores).get());
        assert_eq!(counts, [1, 1, 1, 2, 3, 64, 64]);
        assert!(ShardCount::new(0).is_err() && ShardCount::new(65).is_err());
    }

    #[test]
    fn names_are_labels() {
        assert!(ClusterName::new("henge-1").is_ok());
        for bad in ["", "A", "a_b", "a b", "ä", &"a".repeat(65)] {
            assert!(ClusterName::new(bad).is_err(), "{bad}");
        }
    }
}
