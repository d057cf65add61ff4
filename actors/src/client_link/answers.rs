//! Answers on their way to one client, and what becomes of a client that does not read them.
//!
//! The link's outbox takes what is ready; what it does not take waits here, in order, as long as the
//! client goes on reading. Meanwhile its new requests are refused as `overloaded`: short words, of
//! which a few more fit. Only a client that does not read even those, or nothing at all for a
//! while, is let go.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    admission::{Admission, Permit},
    meter::Meter,
    transport::{Frame, Lane, Link, SendError},
};

/// Above so many unread bytes a client's new requests are refused.
const UNREAD_BYTES_MAX: usize = 4 << 20;
/// Refusals of one client that may wait; one more and it is let go.
const REFUSALS_MAX: usize = 256;
/// How often the link is offered what waits.
const LOOK: Duration = Duration::from_millis(5);
/// After so many looks (five seconds) at which the link took nothing the client is let go.
const FRUITLESS_MAX: u32 = 1000;

/// The answers to one client.
pub(super) struct Answers {
    link: Rc<dyn Link>,
    /// The door to this place, which the shard's clients share. Refusals pass by it.
    door: Arc<Admission>,
    meter: Arc<Meter>,
    waiting: RefCell<VecDeque<(Frame, Option<Permit>)>>,
    bytes: Cell<usize>,
    refusals: Cell<usize>,
}

impl Answers {
    pub(super) fn new(link: Rc<dyn Link>, door: Arc<Admission>, meter: Arc<Meter>) -> Rc<Self> {
        let (bytes, refusals) = (Cell::new(0), Cell::new(0));
        Rc::new(Self { link, door, meter, waiting: RefCell::default(), bytes, refusals })
    }

    /// Whether the client has so much to read that it should ask nothing more.
    pub(super) fn are_behind(&self) -> bool {
        self.link.unsent(Lane::Request) + self.bytes.get() > UNREAD_BYTES_MAX
    }

    /// Sends an answer when the client has read what was sent before; `instead` of it a refusal if
    /// there is no room to keep it until then.
    pub(super) fn send(self: &Rc<Self>, answer: Frame, instead: impl FnOnce() -> Frame) {
        let Err(answer) = self.send_now(answer) else { return };
        match self.door.enter(answer.len()) {
            Ok(place) => self.keep(answer, Some(place)),
            Err(_) => self.refuse(instead()),
        }
    }

    /// Sends a refusal, behind the answers that wait.
    pub(super) fn refuse(self: &Rc<Self>, refusal: Frame) {
        self.meter.rejected();
        let Err(refusal) = self.send_now(refusal) else { return };
        if self.refusals.get() < REFUSALS_MAX {
            self.keep(refusal, None);
        } else {
            self.part();
        }
    }

    /// Gives the frame to the link, or back if it is not its turn or there is no room.
    fn send_now(&self, frame: Frame) -> Result<(), Frame> {
        let is_first = self.waiting.borrow().is_empty();
        if is_first && self.takes(&frame) { Ok(()) } else { Err(frame) }
    }

    /// Whether the link has taken `frame`, or is closed and takes nothing any more.
    fn takes(&self, frame: &Frame) -> bool {
        !matches!(self.link.send(Lane::Request, frame.clone()), Err(SendError::Busy { .. }))
    }

    fn keep(self: &Rc<Self>, frame: Frame, place: Option<Permit>) {
        self.bytes.set(self.bytes.get() + frame.len());
        self.refusals.set(self.refusals.get() + usize::from(place.is_none()));
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back((frame, place));
        if waiting.len() == 1 {
            actix_rt::spawn(Rc::clone(self).carry_on());
        }
    }

    /// Offers the link what waits until nothing does.
    async fn carry_on(self: Rc<Self>) {
        let (mut fruitless, mut unsent) = (0, self.link.unsent(Lane::Request));
        while !self.waiting.borrow().is_empty() {
            sleep(LOOK).await;
            let left = self.link.unsent(Lane::Request);
            fruitless = if left < unsent { 0 } else { fruitless + 1 };
            if fruitless > FRUITLESS_MAX {
                return self.part();
            }
            self.offer();
            unsent = self.link.unsent(Lane::Request);
        }
    }

    /// Gives the link as much of what waits as it takes.
    fn offer(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(|(frame, _)| self.takes(frame)) {
            if let Some((frame, place)) = waiting.pop_front() {
                self.bytes.set(self.bytes.get() - frame.len());
                self.refusals.set(self.refusals.get() - usize::from(place.is_none()));
            }
        }
    }

    /// Lets the client go, with all that it did not read.
    fn part(&self) {
        self.meter.rejected();
        self.link.close("the client does not read its answers");
    }
}
