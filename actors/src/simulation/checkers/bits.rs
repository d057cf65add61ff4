//! Sets of small numbers.

/// A set of numbers from 0; it takes as much room as its greatest member asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn insert(&mut self, bit: usize) {
        let word = bit / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (bit % 64);
    }

    pub(super) fn contains(&self, bit: usize) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    pub(super) fn unite(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    /// Those that are in none of `others`, ascending.
    pub(super) fn without(&self, others: &[&Self]) -> Vec<usize> {
        let mut left = Vec::new();
        for (place, word) in self.0.iter().enumerate() {
            let taken = others.iter().filter_map(|other| other.0.get(place));
            let mut word = word & !taken.fold(0, |all, other| all | other);
            while word != 0 {
                left.push(place * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Bits;

    fn bits(of: &BTreeSet<usize>) -> Bits {
        let mut bits = Bits::default();
        for bit in of {
            bits.insert(*bit);
        }
        bits
    }

    proptest! {
        #[test]
        fn bits_are_a_set(
            one in proptest::collection::btree_set(0_usize..300, 0..40),
            other in proptest::collection::btree_set(0_usize..300, 0..40),
        ) {
            let (mine, theirs) = (bits(&one), bits(&other));
            let left: Vec<usize> = one.difference(&other).copied().collect();
            prop_assert_eq!(mine.without(&[&theirs]), left);
            let mut both = mine.clone();
            both.unite(&theirs);
            let all: Vec<usize> = one.union(&other).copied().collect();
            prop_assert_eq!(both.without(&[]), all);
            prop_assert!((0..300).all(|bit| mine.contains(bit) == one.contains(&bit)));
        }
    }
}
