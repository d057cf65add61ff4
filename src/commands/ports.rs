//! Where the nodes that a command starts listen: at the addresses of the samples, or wherever there is room.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
};

/// The samples in `config/cluster` use these for their first node, and 100 more for each next one.
const QUIC_FIRST: u16 = 7400;
const HTTP_FIRST: u16 = 7480;
const APART: u16 = 100;
/// How often a run of free ports is looked for.
const ATTEMPTS: usize = 100;

/// The addresses of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// UDP address of its shard 0; the others are on the ports after it.
    pub quic: SocketAddr,
    /// TCP address of its HTTP.
    pub http: SocketAddr,
}

/// Sockets that hold the ports of a site until its node takes them.
struct Held {
    quic: Vec<UdpSocket>,
    http: TcpListener,
}

/// Sites for `nodes` nodes of `shards` shards each: those of the samples if all are free.
pub fn choose(nodes: u8, shards: u16) -> io::Result<Vec<Site>> {
    let sampled = (0..u16::from(nodes)).map(|index| {
        let http = TcpListener::bind(at(HTTP_FIRST + APART * index))?;
        Ok(Held { quic: run_at(QUIC_FIRST + APART * index, shards)?, http })
    });
    let held: io::Result<Vec<Held>> = sampled.collect();
    held.map_or_else(|_| elsewhere(nodes, shards), |held| held.iter().map(Held::site).collect())
}

/// Sites wherever there is room.
pub fn elsewhere(nodes: u8, shards: u16) -> io::Result<Vec<Site>> {
    let held: io::Result<Vec<Held>> = (0..nodes).map(|_| anywhere(shards)).collect();
    held?.iter().map(Held::site).collect()
}

impl Held {
    fn site(&self) -> io::Result<Site> {
        let first = self.quic.first().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Site { quic: first.local_addr()?, http: self.http.local_addr()? })
    }
}

fn anywhere(shards: u16) -> io::Result<Held> {
    let attempt = || {
        let first = UdpSocket::bind(at(0))?;
        let next = first.local_addr()?.port().checked_add(1).ok_or(io::ErrorKind::AddrInUse)?;
        let mut quic = vec![first];
        quic.extend(run_at(next, shards - 1)?);
        Ok(Held { quic, http: TcpListener::bind(at(0))? })
    };
    let mut last = attempt();
    for _ in 1..ATTEMPTS {
        if last.is_ok() {
            break;
        }
        last = attempt();
    }
    last
}

fn run_at(first: u16, length: u16) -> io::Result<Vec<UdpSocket>> {
    let ports = (0..length).map(|offset| first.checked_add(offset).ok_or(io::ErrorKind::AddrInUse));
    ports.map(|port| UdpSocket::bind(at(port?))).collect()
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let sites = choose(5, 3).unwrap();
        let ports = sites.iter().flat_map(|site| (0..3).map(|shard| site.quic.port() + shard));
        assert_eq!(ports.collect::<BTreeSet<_>>().len(), 15);
        assert_eq!(sites.iter().map(|site| site.http).collect::<BTreeSet<_>>().len(), 5);
    }

    #[test]
    fn what_the_samples_use_is_left_to_whoever_has_it() {
        let mine = choose(1, 1).unwrap();
        let _taken = TcpListener::bind(mine[0].http).unwrap();
        assert_ne!(choose(1, 1).unwrap()[0].http, mine[0].http);
    }
}
