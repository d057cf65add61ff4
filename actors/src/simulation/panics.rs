//! Panics that nobody planted: supervision hides them from clients, not from a simulation.

use std::{
    cell::{Cell, RefCell},
    panic::{PanicHookInfo, set_hook, take_hook},
    sync::Once,
};

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What a shard says whose disk still fails: the fault's doing, and supervised.
const EXPECTED: &str = "the log does not open again";

/// Watches the panics of this thread, and calls `act`; what panicked meanwhile. Planted panics and
/// deaths do not go through the hook, so whatever does is a bug.
pub(super) fn watch<T>(act: impl FnOnce() -> T) -> (T, Vec<String>) {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if WATCHED.get() {
                note(info);
            } else {
                before(info);
            }
        }));
    });
    WATCHED.set(true);
    SEEN.take();
    let done = act();
    WATCHED.set(false);
    (done, SEEN.take())
}

fn note(info: &PanicHookInfo<'_>) {
    let words = info.payload_as_str().unwrap_or("without words");
    if !words.starts_with(EXPECTED) {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        SEEN.with_borrow_mut(|seen| seen.push(format!("panicked at {place}: {words}")));
    }
}
