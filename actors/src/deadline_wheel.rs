//! Deadlines of machines: one wheel a shard, instead of a timer a request.
//!
//! A machine says when it next wants to be called ([`Machine::deadline`]); its actor arms the
//! wheel for that moment, and is told [`DeadlinePassed`] with the lease under which it armed. A
//! stale alarm is recognised by its lease and ignored, never chased.
//!
//! [`Machine::deadline`]: henge_kernel::machine::Machine::deadline

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use henge_kernel::time::Instant;
use tokio::{sync::Notify, time::sleep};

use crate::{
    actor_ref::ActorRef, coordinator::Coordinator, environment::Clock,
    messages::coordinator::DeadlinePassed,
};

/// Width of a slot: the granularity of tokio's timers.
const SLOT: u64 = 1000;

/// The alarms of one shard, in slots of a millisecond.
pub struct DeadlineWheel {
    clock: Arc<dyn Clock>,
    slots: RefCell<BTreeMap<u64, Vec<Alarm>>>,
    earlier: Notify,
}

struct Alarm {
    whom: ActorRef<Coordinator>,
    lease: u64,
}

impl DeadlineWheel {
    /// Starts the wheel's one task on the current `LocalSet`.
    pub fn start(clock: Arc<dyn Clock>) -> Rc<Self> {
        let wheel =
            Rc::new(Self { clock, slots: RefCell::new(BTreeMap::new()), earlier: Notify::new() });
        let turning = Rc::downgrade(&wheel);
        actix_rt::spawn(async move {
            while let Some(wheel) = turning.upgrade() {
                wheel.turn().await;
            }
        });
        wheel
    }

    /// Tells `whom` when `deadline` has passed.
    pub fn arm(&self, deadline: Instant, whom: &ActorRef<Coordinator>, lease: u64) {
        let slot = deadline.as_micros() / SLOT + 1;
        let mut slots = self.slots.borrow_mut();
        let is_first = slots.first_key_value().is_none_or(|(first, _)| slot < *first);
        slots.entry(slot).or_default().push(Alarm { whom: whom.clone(), lease });
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Alarms that wait.
    #[cfg(test)]
    pub fn alarms(&self) -> usize {
        self.slots.borrow().values().map(Vec::len).sum()
    }

    /// Rings what is due, then sleeps until the next slot or until something earlier comes.
    async fn turn(&self) {
        let now = self.clock.now().as_micros();
        let due = {
            let mut slots = self.slots.borrow_mut();
            let later = slots.split_off(&(now / SLOT + 1));
            std::mem::replace(&mut *slots, later)
        };
        for alarm in due.into_values().flatten() {
            alarm.whom.tell(DeadlinePassed { lease: alarm.lease });
        }
        let next = self.slots.borrow().first_key_value().map(|(slot, _)| slot * SLOT);
        // An empty wheel looks up now and then only to notice that its shard is gone.
        let pause = next
            .map_or(Duration::from_secs(1), |next| Duration::from_micros(next.saturating_sub(now)));
        let earlier = self.earlier.notified();
        futures_util::future::select(std::pin::pin!(sleep(pause)), std::pin::pin!(earlier)).await;
    }
}
