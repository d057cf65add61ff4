//! The one shape of every protocol in Henge: event in, effects out.

use crate::time::Instant;

/// A protocol without input or output of its own.
///
/// A shell feeds it events and the time, and performs the effects in their order. A machine never
/// fails: an event that comes late, twice or for nothing is ignored.
pub trait Machine {
    /// What happened, in the past tense.
    type Event;
    /// What is wanted, in the imperative: plain comparable data, no channels, no addresses.
    type Effect;

    /// Takes in one event.
    fn handle(&mut self, now: Instant, event: Self::Event, effects: &mut Vec<Self::Effect>);

    /// Called when [`Machine::deadline`] has come (or earlier, which changes nothing).
    fn expire(&mut self, now: Instant, effects: &mut Vec<Self::Effect>);

    /// When the machine next wants [`Machine::expire`]; `None` when it waits for events alone.
    fn deadline(&self) -> Option<Instant>;
}
