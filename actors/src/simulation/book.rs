//! What the run is told while it happens: the history, and a hash over it.

use std::{cell::RefCell, io, mem, rc::Rc};

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::history::{Event, Mark, MarkName, Moment, Recorder};

/// Shared by all who write into it, on one thread.
#[derive(Clone)]
pub struct Book {
    inside: Rc<RefCell<Inside>>,
    began: Instant,
}

struct Inside {
    recorder: Recorder,
    /// The first that went wrong while recording.
    recorded: io::Result<()>,
    hash: u64,
    tally: Tally,
}

/// What clients did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests.
    pub operations: u64,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Requests that were not served, and surely not applied.
    pub refused: u64,
    /// Requests whose fate the client does not know.
    pub unknown: u64,
}

impl Book {
    /// An empty book that keeps what is written; its time begins now.
    pub fn open() -> Self {
        Self::open_with(Recorder::keeping())
    }

    /// An empty book; its time begins now. Whether all that was recorded could be is told at its
    /// [end](Self::close).
    pub fn open_with(recorder: Recorder) -> Self {
        let inside = Inside { recorder, recorded: Ok(()), hash: 0, tally: Tally::default() };
        Self { inside: Rc::new(RefCell::new(inside)), began: Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Moment {
        Moment::after(self.began.elapsed())
    }

    /// Writes an event down.
    pub fn write(&self, event: Event) {
        let mut inside = self.inside.borrow_mut();
        let (kind, t, id) = match &event {
            Event::Invoke(invoke) => {
                inside.tally.operations += 1;
                (1, invoke.t, invoke.id.as_str())
            }
            Event::Ok(answered) => (2, answered.t, answered.id.as_str()),
            Event::Info(unanswered) => {
                inside.tally.unknown += 1;
                (3, unanswered.t, unanswered.id.as_str())
            }
            Event::Fail(unanswered) => {
                inside.tally.refused += 1;
                (4, unanswered.t, unanswered.id.as_str())
            }
            Event::Replica(dump) => (5, dump.t, dump.digest.as_deref().unwrap_or_default()),
            Event::Mark(mark) => (6, mark.t, mark.kind.as_deref().unwrap_or_default()),
            Event::Node(node) => (7, node.t, node.node.as_str()),
            Event::Meta(_) => (8, Moment::default(), ""),
        };
        let hash = xxh3_64_with_seed(id.as_bytes(), inside.hash);
        inside.hash = xxh3_64_with_seed(&(t.0 << 4 | kind).to_le_bytes(), hash);
        let recorded = inside.recorder.record(event);
        inside.recorded = mem::replace(&mut inside.recorded, Ok(())).and(recorded);
    }

    /// Counts a write that was acknowledged.
    pub fn count_acknowledged(&self) {
        self.inside.borrow_mut().tally.acknowledged += 1;
    }

    /// Writes a fault down, which made those in `down` unreachable.
    pub fn mark_fault(&self, fault: &str, down: &[&str], note: String) {
        self.write(Event::Mark(Mark {
            kind: Some(fault.to_owned()),
            down: down.iter().map(|&node| node.to_owned()).collect(),
            note: Some(note).filter(|note| !note.is_empty()),
            ..Mark::new(self.now(), MarkName::Fault)
        }));
    }

    /// Writes something down for people.
    pub fn note(&self, note: String) {
        let note = Some(note);
        self.write(Event::Mark(Mark { note, ..Mark::new(self.now(), MarkName::Note) }));
    }

    /// What clients did so far.
    pub fn tally(&self) -> Tally {
        self.inside.borrow().tally
    }

    /// A hash over all events so far.
    pub fn hash(&self) -> u64 {
        self.inside.borrow().hash
    }

    /// All events that were kept so far, taken out; from now on they are kept only.
    ///
    /// # Errors
    ///
    /// If some could not be written.
    pub fn close(&self) -> io::Result<Vec<Event>> {
        let mut inside = self.inside.borrow_mut();
        let events = mem::replace(&mut inside.recorder, Recorder::keeping()).finish();
        mem::replace(&mut inside.recorded, Ok(())).and(events)
    }
}
