//! What happens on links: frames, closing, giving up.

use bytes::Bytes;

use super::{
    link::{End, EndState, EndStatus, LinkState},
    network::{Delivered, Due, EndpointKey, QUEUED_BYTES_MAX, State},
};
use crate::transport::{Frame, Lane, SendError};

impl State {
    /// Takes a frame from `end` to the other, or refuses it.
    pub fn send(&mut self, end: End, lane: Lane, frame: Frame) -> Result<(), SendError> {
        let (size, max) = (frame.len(), lane.frame_bytes_max());
        if size > max {
            return Err(SendError::TooLarge { size, max });
        }
        let link = self.links.get(&end.link).filter(|link| link.end(end).status == EndStatus::Up);
        let link = link.ok_or(SendError::Closed)?;
        let EndState { endpoint: receiver, inbound, .. } = link.end(end.other());
        let (sender, receiver, queued) = (link.end(end).endpoint, *receiver, inbound.queued);
        if queued + size > QUEUED_BYTES_MAX {
            return Err(SendError::Busy { queued, max: QUEUED_BYTES_MAX });
        }
        let name = &self.endpoints[sender.0].binding.name;
        let frame = match self.twists.get_mut(name) {
            Some(twist) => twist(lane, joined(frame)),
            None => joined(frame),
        };
        let way = (sender, receiver);
        let twice = self.chance(self.profile.duplicate_percent);
        if twice && self.repeats.as_ref().is_none_or(|may| may(lane, &frame)) {
            self.mishaps.duplicated += 1;
            self.put_on_the_way(way, end.other(), lane, frame.clone());
        }
        self.put_on_the_way(way, end.other(), lane, frame);
        Ok(())
    }

    fn put_on_the_way(
        &mut self,
        (from, to): (EndpointKey, EndpointKey),
        end: End,
        lane: Lane,
        frame: Bytes,
    ) {
        let mut arrival = self.now + self.way(from, to);
        let overtaken = self.chance(self.profile.reorder_percent);
        if overtaken {
            self.mishaps.reordered += 1;
            arrival += self.one_way() + self.one_way();
        }
        if let Some(link) = self.links.get_mut(&end.link) {
            let inbound = &mut link.end_mut(end).inbound;
            let arrival = if overtaken {
                inbound.push_overtaken(lane, arrival, frame)
            } else {
                inbound.push(lane, arrival, frame)
            };
            self.schedule(arrival, Due::Arrival { end, lane });
        }
    }

    /// Bytes of `lane` on their way from `end`.
    pub fn unsent(&self, end: End, lane: Lane) -> usize {
        let link = self.links.get(&end.link);
        link.map_or(0, |link| link.end(end.other()).inbound.bytes(lane))
    }

    /// Closes a link from `end`, and sends word of it.
    pub fn close_link(&mut self, end: End, reason: &str) {
        let Some(link) = self.links.get(&end.link) else { return };
        if link.end(end).status == EndStatus::Closed {
            return;
        }
        let (from, to) = (link.end(end).endpoint, link.end(end.other()).endpoint);
        let at = self.now + self.way(from, to);
        self.schedule(at, Due::Close { end: end.other(), reason: reason.to_owned() });
        self.end_link(end, end, reason);
    }

    /// What of `lane` has arrived at `end` by the time `at` goes to its endpoint, unless it must
    /// wait for a cut to heal.
    pub fn arrive(&mut self, end: End, lane: Lane, at: u64) {
        if self.is_blocked_to(end) {
            return;
        }
        let Some(link) = self.links.get_mut(&end.link) else { return };
        let from = link.end(end.other()).endpoint;
        let state = link.end_mut(end);
        if state.status != EndStatus::Up {
            return;
        }
        let (to, frames) = (state.endpoint, state.inbound.arrived(lane, at));
        if !frames.is_empty() {
            self.deliver(to, from, Delivered::Frames { end, lane, frames });
        }
    }

    /// The end learns that the link is over, `by` which end.
    pub fn end_link(&mut self, end: End, by: End, reason: &str) {
        let Some(link) = self.links.get_mut(&end.link) else { return };
        let from = link.end(by).endpoint;
        let state = link.end_mut(end);
        let to = state.endpoint;
        let before = std::mem::replace(&mut state.status, EndStatus::Closed);
        match before {
            EndStatus::Closed => return,
            EndStatus::Opening(dial) => self.fail_dial(to, dial, reason),
            EndStatus::Up => {
                self.deliver(to, from, Delivered::Closed { end, reason: reason.to_owned() });
            }
        }
        self.settle(end.link);
    }

    /// The end has heard nothing of the other since `since` µs: it gives up if that is still so.
    pub fn give_up(&mut self, end: End, since: u64) {
        if self.links.get(&end.link).is_some_and(|link| link.silent_since == Some(since)) {
            self.end_link(end, end, "timed out");
        }
    }

    /// All ends of an endpoint, in the order in which their links came about.
    pub fn ends_of(&self, key: EndpointKey) -> Vec<End> {
        let of_link = |(id, link): (&u64, &LinkState)| {
            End::both(*id).into_iter().filter(|end| link.end(*end).endpoint == key).collect()
        };
        self.links.iter().flat_map(|entry| -> Vec<End> { of_link(entry) }).collect()
    }
}

fn joined(frame: Frame) -> Bytes {
    let Frame { mut header, tail } = frame;
    header.extend_from_slice(&tail);
    header.into()
}
