//! Dials: a QUIC handshake with certificates on both sides, then hellos. The acceptor knows all
//! after three packets, the dialler after the fourth.

use std::net::SocketAddr;

use super::{
    link::{End, EndStatus, LinkState},
    network::{DIAL_TIMEOUT, Delivered, Dial, Due, EndpointKey, EndpointStatus, State},
};
use crate::transport::{Binding, DialId, PeerAddress};

impl State {
    /// Begins a dial.
    pub fn dial(&mut self, dialler: EndpointKey, peer: PeerAddress) -> DialId {
        let endpoint = &mut self.endpoints[dialler.0];
        let dial = DialId(endpoint.dialled);
        endpoint.dialled += 1;
        match endpoint.status {
            EndpointStatus::Gone => {}
            EndpointStatus::Closed => {
                endpoint.dials.insert(dial, Dial { peer, link: None });
                self.fail_dial(dialler, dial, "the endpoint is closed");
            }
            EndpointStatus::Open => {
                endpoint.dials.insert(dial, Dial { peer, link: None });
                let arrival = self.now + self.one_way();
                self.schedule(self.now + DIAL_TIMEOUT, Due::Deadline { dialler, dial });
                self.schedule(arrival, Due::Knock { dialler, dial });
            }
        }
        dial
    }

    pub fn knock(&mut self, dialler: EndpointKey, dial: DialId) {
        let Some(under_way) = self.endpoints[dialler.0].dials.get(&dial) else { return };
        let wanted = &under_way.peer;
        let Some(acceptor) = address_of(wanted).and_then(|address| self.listener(address)) else {
            return;
        };
        if !self.is_two_way(dialler, acceptor) {
            return;
        }
        let found = self.name(acceptor);
        if wanted.name.as_ref().is_none_or(|name| found == name) {
            let at = self.now + self.way(acceptor, dialler) + self.way(dialler, acceptor);
            self.schedule(at, Due::Accept { dialler, dial, acceptor });
        } else {
            let reason = format!("{found} listens there");
            let at = self.now + self.way(acceptor, dialler);
            self.schedule(at, Due::Stranger { dialler, dial, reason });
        }
    }

    pub fn accept(&mut self, dialler: EndpointKey, dial: DialId, acceptor: EndpointKey) {
        if !self.is_open(acceptor) || !self.is_two_way(dialler, acceptor) {
            return;
        }
        let link = self.links_opened;
        let Some(under_way) = self.endpoints[dialler.0].dials.get_mut(&dial) else { return };
        under_way.link = Some(link);
        self.links_opened += 1;
        let hello_at = self.now + self.way(acceptor, dialler);
        self.links.insert(link, LinkState::opening(dialler, dial, acceptor, hello_at));
        let [_, accepted] = End::both(link);
        self.report_connected(accepted, acceptor, dialler, None);
        self.schedule(hello_at, Due::Open { link });
    }

    pub fn open(&mut self, link: u64) {
        let [dialling, accepted] = End::both(link);
        if self.is_blocked_to(dialling) {
            return;
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        let acceptor = state.end(accepted).endpoint;
        let end = state.end_mut(dialling);
        let EndStatus::Opening(dial) = end.status else { return };
        end.status = EndStatus::Up;
        let dialler = end.endpoint;
        self.endpoints[dialler.0].dials.remove(&dial);
        self.report_connected(dialling, dialler, acceptor, Some(dial));
    }

    fn report_connected(
        &mut self,
        end: End,
        to: EndpointKey,
        from: EndpointKey,
        dial: Option<DialId>,
    ) {
        let Binding { name, hello, .. } = &self.endpoints[from.0].binding;
        let (peer, hello) = (name.clone(), hello.clone());
        self.deliver(to, from, Delivered::Connected { end, peer, hello, dial });
    }

    /// Gives a dial up, and tells the peer if there is a link already.
    pub fn abandon_dial(&mut self, dialler: EndpointKey, dial: DialId, why: &str) {
        let Some(under_way) = self.endpoints[dialler.0].dials.get(&dial) else { return };
        if let Some(link) = under_way.link {
            let [dialling, _] = End::both(link);
            self.close_link(dialling, why);
        } else {
            self.fail_dial(dialler, dial, why);
        }
    }

    pub fn fail_dial(&mut self, dialler: EndpointKey, dial: DialId, why: &str) {
        let Some(under_way) = self.endpoints[dialler.0].dials.remove(&dial) else { return };
        let PeerAddress { name, host, port } = under_way.peer;
        let name = name.as_ref().map_or("a node", |name| name.as_str());
        let reason = format!("cannot reach {name} at {host}:{port}: {why}");
        self.deliver(dialler, dialler, Delivered::DialFailed { dial, reason });
    }
}

/// The simulated world has addresses and one DNS name, `localhost`.
fn address_of(peer: &PeerAddress) -> Option<SocketAddr> {
    let host = if peer.host == "localhost" { "127.0.0.1" } else { &peer.host };
    Some(SocketAddr::new(host.parse().ok()?, peer.port))
}
