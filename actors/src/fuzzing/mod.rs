//! Fuzzing: bytes that nobody would send, for everything that reads bytes from outside.
//!
//! A [`Target`] is one reader with a few inputs that it takes. [`fuzz`] changes them in ways that
//! break things, for a number of runs or a time, and keeps each input whose outcome has a feature
//! that none had before ([`Features`]): so it finds its way into a format without instrumentation,
//! on stable Rust and without other tools. A seed decides everything.
//!
//! Beside "no panic" each target checks laws by assertions of its own: what was decoded, encoded
//! again, is the same; and, where the caller can count memory, that an input makes its reader
//! allocate no more than in proportion to its length.
//!
//! | file | what |
//! | --- | --- |
//! | `runner` | runs a target, shrinks what breaks it |
//! | `mutation` | the ways in which an input is changed |
//! | `features` | what an outcome shows |
//! | `corpus` | inputs as lines of text, as they lie in the repository |
//! | `frames`, `clients` | what peers and clients send |
//! | `files` | what lies in the data directory |
//! | `records` | what the kernel decodes: records, contexts, packets, properties |
//! | `histories` | what is to be judged |
//!
//! The package `henge` has more targets, and the command that runs all of them.

mod clients;
mod corpus;
mod features;
mod files;
mod frames;
mod histories;
mod mutation;
mod records;
mod runner;

pub use corpus::{read_corpus, write_input};
pub use features::Features;
pub use runner::{Bounds, Crash, Memory, Report, distil, fuzz, replay};

/// One reader of bytes from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line, and that of its corpus.
    pub name: &'static str,
    /// Inputs to begin with; most should be taken by the reader.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format, which chance would hardly spell.
    pub words: &'static [&'static [u8]],
    /// Makes an input whole again that was changed: lengths and checksums. Used on most inputs. Where
    /// it asks the reader itself, it leaves in the input what it asks for, in case that is a bug.
    pub mend: Option<fn(&mut [u8])>,
    /// Reads an input, and notes what came of it. Panics if that is a bug.
    pub run: fn(&[u8], &mut Features),
    /// How much it may allocate.
    pub allocates: Allocates,
}

/// A bound on what one run allocates at a time.
#[derive(Clone, Copy, Debug)]
pub struct Allocates {
    /// Bytes for any input.
    pub floor: usize,
    /// Bytes for each byte of the input.
    pub each: usize,
}

impl Allocates {
    /// In proportion to the input, and not much.
    pub const LITTLE: Self = Self { floor: 16 << 10, each: 64 };

    /// The bound for an input of `length` bytes.
    pub const fn bound(self, length: usize) -> usize {
        self.floor.saturating_add(self.each.saturating_mul(length))
    }
}

/// The targets of this crate and of the kernel.
pub fn targets() -> Vec<Target> {
    let all = [
        frames::targets(),
        clients::targets(),
        files::targets(),
        records::targets(),
        histories::targets(),
    ];
    all.into_iter().flatten().collect()
}
