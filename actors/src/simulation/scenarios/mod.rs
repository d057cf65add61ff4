//! Stories that chance does not tell: scripted, on the same cluster, and judged by the same checkers.
//!
//! Each is about one rule, and shows what happens without it: the defect that breaks the rule makes
//! its scenario red.

mod handoff;
mod quorums;
mod reaping;
mod scene;
mod storage;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
};

use henge_kernel::planted::Defect;
use tokio::{runtime::Builder, task::LocalSet};

use self::scene::Scene;
pub use self::scene::{Stage, Stuck};
use super::{
    book::Book,
    checkers::{self, Verdict},
    history::{Event, History},
};

/// A story under way.
type Story<'a> = Pin<Box<dyn Future<Output = Result<(), Stuck>> + 'a>>;

/// A story.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// The defects that break it.
    pub finds: &'static [Defect],
    stage: Stage,
    play: for<'a> fn(&'a mut Scene) -> Story<'a>,
}

/// What a scenario came to.
#[derive(Clone, Debug)]
pub struct Told {
    /// What the client did and was told.
    pub events: Vec<Event>,
    /// What the checkers say to that.
    pub verdict: Verdict,
    /// Why it was not told to its end, if so.
    pub stuck: Option<Stuck>,
}

impl Scenario {
    /// All of them.
    pub fn all() -> Vec<Self> {
        [handoff::ALL, quorums::ALL, reaping::ALL, storage::ALL].concat()
    }

    /// Plays it; `seed` decides what it leaves to chance.
    pub fn play(&self, seed: u64) -> Told {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.unwrap_or_else(|error| unreachable!("a runtime of timers: {error}"));
        let played = catch_unwind(AssertUnwindSafe(|| {
            LocalSet::new().block_on(&runtime, async {
                let book = Book::open();
                let told = async {
                    let mut scene = Scene::rise(self.stage, seed, book.clone()).await?;
                    (self.play)(&mut scene).await
                };
                let stuck = told.await.err();
                (book.close().unwrap_or_default(), stuck)
            })
        }));
        let (events, stuck) = played.unwrap_or_default();
        let verdict = History::of(events.iter().cloned()).map(|history| checkers::judge(&history));
        Told { events, verdict: verdict.unwrap_or_default(), stuck }
    }
}

/// The one that finds a planted defect.
pub fn of(defect: Defect) -> Option<Scenario> {
    Scenario::all().into_iter().find(|scenario| scenario.finds.contains(&defect))
}
