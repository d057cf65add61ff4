//! What an outcome shows: its words, two by two.

use std::{
    collections::BTreeSet,
    fmt::{self, Debug, Display, Write},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What is looked at of one outcome, in bytes: the rest of a long list shows nothing new.
const SHOWN_MAX: usize = 2048;

/// What the outcomes of a target have shown so far.
///
/// A feature is a pair of neighbouring words: names of types, variants and fields, and the words of
/// errors. Numbers and what stands in quotes, which inputs choose freely, are none.
#[derive(Debug, Default)]
pub struct Features {
    seen: BTreeSet<u64>,
    fresh: bool,
}

impl Features {
    /// Notes what was read, or why it was refused.
    pub fn outcome<T: Debug, E: Display>(&mut self, outcome: &Result<T, E>) {
        match outcome {
            Ok(read) => self.note(read),
            Err(refused) => self.tell(refused),
        }
    }

    /// Notes the form that `Debug` gives.
    pub fn note(&mut self, outcome: &impl Debug) {
        self.take_words(|words| write!(words, "{outcome:?}"));
    }

    /// Notes a text for people.
    pub fn tell(&mut self, text: &impl Display) {
        self.take_words(|words| write!(words, "{text}"));
    }

    fn take_words(&mut self, write: impl FnOnce(&mut Words<'_>) -> fmt::Result) {
        let mut words = Words {
            features: self,
            previous: 0,
            word: Vec::new(),
            has_digits: false,
            quoted: false,
            escaped: false,
            left: SHOWN_MAX,
        };
        // It fails when enough was seen.
        let _ = write(&mut words);
        words.end_word();
    }

    /// Whether something was noted since the last call that had never been.
    pub(super) fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    fn insert(&mut self, feature: u64) {
        self.fresh |= self.seen.insert(feature);
    }
}

/// Cuts a `Debug` form into words.
struct Words<'a> {
    features: &'a mut Features,
    previous: u64,
    word: Vec<u8>,
    /// Then it is a number, or part of a name that is one.
    has_digits: bool,
    quoted: bool,
    escaped: bool,
    left: usize,
}

impl Words<'_> {
    fn end_word(&mut self) {
        let is_hexadecimal = self.word.iter().all(|letter| (b'a'..=b'f').contains(letter));
        if !is_hexadecimal && !self.has_digits {
            let hash = xxh3_64_with_seed(&self.word, self.previous);
            self.features.insert(hash);
            self.previous = xxh3_64_with_seed(&self.word, 0);
        }
        self.word.clear();
        self.has_digits = false;
    }
}

impl Write for Words<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = !self.quoted,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' if !self.quoted => self.word.push(byte),
                b'0'..=b'9' if !self.quoted => self.has_digits = true,
                _ => self.end_word(),
            }
        }
        self.left = self.left.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(features: &mut Features, outcome: &impl Debug) -> bool {
        features.note(outcome);
        features.take_fresh()
    }

    #[test]
    fn another_variant_is_new_and_another_number_or_text_is_not() {
        let mut features = Features::default();
        assert!(fresh(&mut features, &Some(1)));
        assert!(!fresh(&mut features, &Some(2)));
        assert!(fresh(&mut features, &None::<u8>));
        assert!(fresh(&mut features, &Some(Some("a text"))));
        assert!(!fresh(&mut features, &Some(Some("an\"other"))));
    }

    #[test]
    fn a_long_outcome_is_looked_at_in_part() {
        let mut features = Features::default();
        features.note(&vec![Some(1); 100_000]);
        assert!(features.count() < 10);
    }
}
