//! The ways in which an input is changed.

/// Bytes and integers at which readers break.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 62,
    u64::MAX - 1,
    u64::MAX,
];
/// What says in the codec's integers how long the integer behind it is.
const INTEGER_MARKERS: [u8; 4] = [251, 252, 253, 254];
/// How often a piece is repeated at most.
const REPEATS_MAX: usize = 200;

/// Changes inputs by a seed.
pub struct Mutator {
    pub random: fastrand::Rng,
    words: &'static [&'static [u8]],
    length_max: usize,
}

impl Mutator {
    pub fn new(seed: u64, words: &'static [&'static [u8]], length_max: usize) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), words, length_max }
    }

    /// Changes `bytes` a few times; `other` is an input to take pieces from.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.random.usize(0..4) {
            self.change(bytes, other);
        }
        bytes.truncate(self.length_max);
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let piece = self.piece(bytes);
        match self.random.u8(0..12) {
            0 => {
                let bit = [1 << self.random.u8(0..8)];
                self.overwrite(bytes, &bit, |old, new| old ^ new);
            }
            1 => {
                let byte = [self.random.u8(..)];
                self.overwrite(bytes, &byte, |_, new| new);
            }
            2 => {
                let step = [self.random.u8(1..5)];
                let down = self.random.bool();
                self.overwrite(bytes, &step, |old, new| {
                    if down { old.wrapping_sub(new) } else { old.wrapping_add(new) }
                });
            }
            3 | 4 => {
                let edge = self.edge();
                self.overwrite(bytes, &edge, |_, new| new);
            }
            5 => drop(bytes.drain(piece)),
            6 => {
                let copy = bytes[piece].to_vec();
                self.insert(bytes, &copy);
            }
            7 => {
                let copy = bytes[piece].to_vec();
                let times = self.random.usize(1..REPEATS_MAX);
                let times = times.min(self.length_max / copy.len().max(1));
                self.insert(bytes, &copy.repeat(times));
            }
            8 => {
                let from = self.piece(other);
                self.insert(bytes, &other[from]);
            }
            9 => {
                let from = self.piece(other);
                self.overwrite(bytes, &other[from], |_, new| new);
            }
            10 if !self.words.is_empty() => {
                let word = self.words[self.random.usize(0..self.words.len())];
                if self.random.bool() {
                    self.insert(bytes, word);
                } else {
                    self.overwrite(bytes, word, |_, new| new);
                }
            }
            10 => {
                let edge = self.edge();
                self.insert(bytes, &edge);
            }
            _ => bytes.truncate(self.random.usize(0..=bytes.len())),
        }
    }

    /// A stretch of `bytes`, mostly a short one.
    fn piece(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.random.usize(0..=bytes.len());
        let rest = bytes.len() - start;
        let most = if self.random.u8(0..4) == 0 { rest } else { rest.min(16) };
        start..start + self.random.usize(0..=most)
    }

    /// An integer at an edge, of any width and order, or as the codecs write one.
    fn edge(&mut self) -> Vec<u8> {
        let number = EDGES[self.random.usize(0..EDGES.len())];
        let width = 1 << self.random.u32(0..4);
        let mut bytes = number.to_le_bytes()[..width].to_vec();
        match self.random.u8(0..4) {
            0 => bytes.reverse(),
            1 => bytes.insert(0, INTEGER_MARKERS[self.random.usize(0..INTEGER_MARKERS.len())]),
            2 => bytes = varint(number),
            _ => {}
        }
        bytes
    }

    fn insert(&mut self, bytes: &mut Vec<u8>, new: &[u8]) {
        let at = self.random.usize(0..=bytes.len());
        bytes.splice(at..at, new.iter().copied());
    }

    fn overwrite(&mut self, bytes: &mut [u8], new: &[u8], with: impl Fn(u8, u8) -> u8) {
        let at = self.random.usize(0..=bytes.len());
        for (old, new) in bytes[at..].iter_mut().zip(new) {
            *old = with(*old, *new);
        }
    }
}

/// Seven bits a byte, the lowest first.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}
