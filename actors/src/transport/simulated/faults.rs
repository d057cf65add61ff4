//! What goes wrong: cuts, stopped and killed processes; and what that means for links.

use std::collections::BTreeSet;

use henge_kernel::id::NodeName;

use super::{
    link::{End, LinkState},
    network::{Due, EndpointKey, EndpointStatus, IDLE_TIMEOUT, State},
};
use crate::transport::Lane;

impl State {
    /// Lets nothing pass from one node to another.
    pub fn cut(&mut self, from: &NodeName, to: &NodeName) {
        self.cuts.entry(from.clone()).or_default().insert(to.clone());
        self.settle_all();
    }

    /// Makes everything from one node to another take so many µs longer.
    pub fn slow_down(&mut self, from: &NodeName, to: &NodeName, by: u64) {
        self.slow.insert((from.clone(), to.clone()), by);
    }

    /// Cuts a node off from all others that were ever bound, both ways.
    pub fn isolate(&mut self, name: &NodeName) {
        let others: BTreeSet<NodeName> =
            self.keys().map(|key| self.name(key).clone()).filter(|other| other != name).collect();
        for other in others {
            self.cuts.entry(name.clone()).or_default().insert(other.clone());
            self.cuts.entry(other).or_default().insert(name.clone());
        }
        self.settle_all();
    }

    /// Ends the cuts for which `is_healed(from, to)` holds.
    pub fn heal(&mut self, is_healed: impl Fn(&NodeName, &NodeName) -> bool) {
        for (from, targets) in &mut self.cuts {
            targets.retain(|to| !is_healed(from, to));
        }
        self.settle_all();
    }

    /// Stops a node, as SIGSTOP does.
    pub fn pause(&mut self, name: &NodeName) {
        self.paused.insert(name.clone());
        self.settle_all();
    }

    /// Lets a stopped node go on.
    pub fn resume(&mut self, name: &NodeName) {
        self.paused.remove(name);
        self.settle_all();
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.binding.name == *name) {
            endpoint.wake.notify_one();
        }
    }

    /// Takes all endpoints of a node away. The next that binds under its name is a new process.
    pub fn kill(&mut self, name: &NodeName) {
        for key in self.keys() {
            if self.name(key) == name && self.is_open(key) {
                self.vanish(key);
            }
        }
        self.resume(name);
    }

    fn is_blocked(&self, from: EndpointKey, to: EndpointKey) -> bool {
        let is_gone = |key: EndpointKey| self.endpoints[key.0].status == EndpointStatus::Gone;
        let (source, target) = (self.name(from), self.name(to));
        is_gone(from)
            || is_gone(to)
            || self.paused.contains(source)
            || self.paused.contains(target)
            || self.cuts.get(source).is_some_and(|targets| targets.contains(target))
    }

    pub fn is_two_way(&self, a: EndpointKey, b: EndpointKey) -> bool {
        !self.is_blocked(a, b) && !self.is_blocked(b, a)
    }

    pub fn is_blocked_to(&self, end: End) -> bool {
        self.links.get(&end.link).is_some_and(|link| {
            self.is_blocked(link.end(end.other()).endpoint, link.end(end).endpoint)
        })
    }

    fn settle_all(&mut self) {
        let links: Vec<u64> = self.links.keys().copied().collect();
        for link in links {
            self.settle(link);
        }
    }

    /// Draws the consequences for a link after something around it or on it has changed.
    pub fn settle(&mut self, link: u64) {
        let ends = End::both(link);
        if self.links.get(&link).is_some_and(LinkState::all_closed) {
            self.links.remove(&link);
            return;
        }
        let blocked = ends.map(|end| self.is_blocked_to(end));
        for (end, is_blocked) in ends.into_iter().zip(blocked) {
            self.settle_flow(end, is_blocked);
        }
        let now = self.now;
        let Some(state) = self.links.get_mut(&link) else { return };
        let is_silent = blocked.contains(&true) || state.any_closed();
        let was_silent = state.silent_since.is_some();
        if is_silent && !was_silent {
            state.silent_since = Some(now);
            for end in ends {
                let at = now + IDLE_TIMEOUT + self.one_way();
                self.schedule(at, Due::Idle { end, since: now });
            }
        } else if !is_silent {
            state.silent_since = None;
        }
    }

    /// Notes that the way to `end` closed or opened. QUIC's probes grow apart while nothing gets
    /// through, so what waited comes after up to as long again as the way was closed.
    fn settle_flow(&mut self, end: End, is_blocked: bool) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&end.link) else { return };
        let since = &mut link.end_mut(end).inbound.blocked_since;
        if is_blocked {
            since.get_or_insert(now);
        } else if let Some(since) = since.take() {
            let at = now + self.rng.u64(0..=now - since) + self.one_way();
            if let Some(link) = self.links.get_mut(&end.link) {
                link.end_mut(end).inbound.hold_until(at);
            }
            self.schedule(at, Due::Arrival { end, lane: Lane::Request });
            self.schedule(at, Due::Arrival { end, lane: Lane::Control });
        }
    }
}
