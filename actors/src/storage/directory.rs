//! An ordered map from (token, bucket, key) to something small: one structure for get, listing,
//! partition scan and cursor.
//!
//! The tree is keyed by the token alone, so that a lookup compares integers; two keys of one token
//! are as good as never seen, but kept apart when they are. Bucket names are kept once. With the
//! log's 12-byte values an entry takes 40 bytes in the tree, whose nodes are about two thirds full
//! under random tokens, and one allocation for the key: about 90 bytes and the key in all.

use std::{collections::BTreeMap, ops::ControlFlow};

use bytes::Bytes;
use henge_kernel::key::{Key, Token};

use super::{KeyRange, Listed, Start, Visited};

/// The map.
pub(super) struct Directory<V> {
    slots: BTreeMap<Token, Slot<V>>,
    buckets: Buckets,
    keys: u64,
}

/// What lies at one token.
enum Slot<V> {
    One(Entry<V>),
    /// In the order of (bucket, key); never empty.
    Many(Vec<Entry<V>>),
}

struct Entry<V> {
    key: Box<[u8]>,
    bucket: u32,
    value: V,
}

impl<V> Directory<V> {
    pub fn new() -> Self {
        Self { slots: BTreeMap::new(), buckets: Buckets::default(), keys: 0 }
    }

    /// How many keys there are.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// How many keys of `bucket` there are.
    pub fn bucket_keys(&self, bucket: &[u8]) -> u64 {
        self.buckets.keys(bucket)
    }

    /// The buckets that have keys, in byte order, with how many.
    pub fn buckets(&self) -> Vec<(Bytes, u64)> {
        self.buckets.all()
    }

    pub fn get(&self, token: Token, key: &Key) -> Option<&V> {
        let entries = self.slots.get(&token)?.entries();
        entries.iter().find(|entry| self.is(entry, key)).map(|entry| &entry.value)
    }

    /// Sets the value of `key` and returns the one that it had.
    pub fn insert(&mut self, token: Token, key: &Key, value: V) -> Option<V> {
        let Some(slot) = self.slots.get_mut(&token) else {
            let entry = self.buckets.entry(key, value);
            self.keys += 1;
            self.slots.insert(token, Slot::One(entry));
            return None;
        };
        let buckets = &mut self.buckets;
        let place = slot.entries().binary_search_by(|entry| buckets.order(entry, key));
        match place {
            Ok(place) => slot
                .entries_mut()
                .get_mut(place)
                .map(|had| std::mem::replace(&mut had.value, value)),
            Err(place) => {
                let entry = buckets.entry(key, value);
                self.keys += 1;
                slot.insert(place, entry);
                None
            }
        }
    }

    /// Forgets `key` and returns the value that it had.
    pub fn remove(&mut self, token: Token, key: &Key) -> Option<V> {
        let slot = self.slots.get_mut(&token)?;
        let buckets = &self.buckets;
        let place = slot.entries().binary_search_by(|entry| buckets.order(entry, key)).ok()?;
        let removed = match slot {
            Slot::Many(entries) if entries.len() > 1 => entries.remove(place),
            _ => self.slots.remove(&token)?.into_only()?,
        };
        self.keys -= 1;
        self.buckets.forget(removed.bucket);
        Some(removed.value)
    }

    /// Visits the keys of `range` in order until it ends, the visitor breaks, or `limit` keys were
    /// visited.
    pub fn visit(
        &self,
        range: KeyRange<'_>,
        limit: usize,
        visit: &mut dyn FnMut(Listed<'_>, &V) -> ControlFlow<()>,
    ) -> Visited {
        let first = range.start.token();
        if first > range.through {
            return Visited::All;
        }
        let mut left = limit;
        for (token, slot) in self.slots.range(first..=range.through) {
            for entry in slot.entries() {
                let listed = self.listed(*token, entry);
                if !admits(range.start, listed) {
                    continue;
                }
                if left == 0 || visit(listed, &entry.value).is_break() {
                    return Visited::Stopped;
                }
                left -= 1;
            }
        }
        Visited::All
    }

    fn is(&self, entry: &Entry<V>, key: &Key) -> bool {
        self.buckets.order(entry, key).is_eq()
    }

    fn listed<'a>(&'a self, token: Token, entry: &'a Entry<V>) -> Listed<'a> {
        Listed { token, bucket: self.buckets.name(entry.bucket), key: &entry.key }
    }
}

fn admits(start: Start<'_>, listed: Listed<'_>) -> bool {
    match start {
        Start::At(_) => true,
        Start::After(token, key) => {
            (listed.token, listed.bucket, listed.key) > (token, key.bucket(), key.key())
        }
    }
}

impl<V> Slot<V> {
    fn entries(&self) -> &[Entry<V>] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }

    fn entries_mut(&mut self) -> &mut [Entry<V>] {
        match self {
            Self::One(entry) => std::slice::from_mut(entry),
            Self::Many(entries) => entries,
        }
    }

    fn insert(&mut self, place: usize, entry: Entry<V>) {
        let mut entries = match std::mem::replace(self, Self::Many(Vec::new())) {
            Self::One(only) => vec![only],
            Self::Many(entries) => entries,
        };
        entries.insert(place, entry);
        *self = Self::Many(entries);
    }

    fn into_only(self) -> Option<Entry<V>> {
        match self {
            Self::One(entry) => Some(entry),
            Self::Many(mut entries) => entries.pop(),
        }
    }
}

/// The names of the buckets that have keys, each kept once under a small number.
#[derive(Default)]
struct Buckets {
    numbers: BTreeMap<Bytes, u32>,
    slots: Vec<Bucket>,
    free: Vec<u32>,
}

struct Bucket {
    name: Bytes,
    keys: u64,
}

impl Buckets {
    fn keys(&self, name: &[u8]) -> u64 {
        self.numbers.get(name).map_or(0, |number| self.bucket(*number).keys)
    }

    fn all(&self) -> Vec<(Bytes, u64)> {
        let each = self.numbers.iter();
        each.map(|(name, number)| (name.clone(), self.bucket(*number).keys)).collect()
    }

    fn name(&self, number: u32) -> &Bytes {
        &self.bucket(number).name
    }

    fn bucket(&self, number: u32) -> &Bucket {
        &self.slots[number as usize]
    }

    /// How an entry lies to a key of the same token.
    fn order<V>(&self, entry: &Entry<V>, key: &Key) -> std::cmp::Ordering {
        (self.name(entry.bucket), &*entry.key).cmp(&(key.bucket(), key.key()))
    }

    /// A new entry, which its bucket counts from now on.
    fn entry<V>(&mut self, key: &Key, value: V) -> Entry<V> {
        let bucket = match self.numbers.get(key.bucket()) {
            Some(number) => *number,
            None => self.add(key.bucket()),
        };
        self.slots[bucket as usize].keys += 1;
        Entry { key: key.key().as_ref().into(), bucket, value }
    }

    fn add(&mut self, name: &[u8]) -> u32 {
        // A copy: the caller's bytes may be a slice of a whole network frame.
        let bucket = Bucket { name: Bytes::copy_from_slice(name), keys: 0 };
        let name = bucket.name.clone();
        let number = if let Some(number) = self.free.pop() {
            self.slots[number as usize] = bucket;
            number
        } else {
            let Ok(number) = u32::try_from(self.slots.len()) else {
                unreachable!("four thousand million buckets with keys do not fit in memory")
            };
            self.slots.push(bucket);
            number
        };
        self.numbers.insert(name, number);
        number
    }

    /// One key of this bucket is gone; with the last one the bucket goes.
    fn forget(&mut self, number: u32) {
        let bucket = &mut self.slots[number as usize];
        bucket.keys -= 1;
        if bucket.keys == 0 {
            let name = std::mem::take(&mut bucket.name);
            self.numbers.remove(&name);
            self.free.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_log_takes_forty_bytes_in_the_tree() {
        type Location = (std::num::NonZeroU32, u32, u32);
        assert_eq!(size_of::<(Token, Slot<Option<Location>>)>(), 40);
    }

    #[test]
    fn a_bucket_goes_with_its_last_key_and_its_number_is_used_again() {
        let mut directory = Directory::new();
        for round in 0..3u64 {
            let key = Key::new(format!("bucket-{round}"), "key").unwrap();
            assert_eq!(directory.insert(Token(round), &key, ()), None);
            assert_eq!(directory.buckets(), [(key.bucket().clone(), 1)]);
            assert_eq!(directory.remove(Token(round), &key), Some(()));
            assert_eq!((directory.keys(), directory.buckets().len()), (0, 0));
        }
        assert_eq!(directory.buckets.slots.len(), 1);
    }
}
