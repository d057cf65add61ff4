//! What two shards ask each other about their trees of digests: the tails of their frames.
//!
//! A list may be longer than a header can be, so all of it travels in the tail, little endian: a
//! byte for the kind, counts of 32 bits, keys as `u16 length | bucket | u16 length | key`.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use henge_kernel::{
    anti_entropy::{
        Brief, Place, Summary, TreeId,
        exchange::{BRANCHES_MAX, KEYS_MAX, LEAVES_MAX, Listing, ROOTS_MAX},
        tree::FANOUT,
    },
    causality::Digest,
    key::{Key, PartitionId},
};

use super::MalformedFrame;

/// What a shard is asked about its trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeQuestion {
    /// The roots of some trees.
    Roots(Vec<TreeId>),
    /// Which of these roots are not its own.
    Compare(Vec<(TreeId, Summary)>),
    /// The branches of a tree.
    Branches {
        /// The tree.
        tree: TreeId,
        /// Of the briefs.
        salt: u64,
    },
    /// The leaves of some branches of a tree.
    Leaves {
        /// The tree.
        tree: TreeId,
        /// The branches.
        branches: Vec<u8>,
        /// Of the briefs.
        salt: u64,
    },
    /// The keys in some leaves of a tree.
    Keys {
        /// The tree.
        tree: TreeId,
        /// The leaves, in token order.
        leaves: Vec<Place>,
        /// Only keys behind this one.
        after: Option<Key>,
    },
    /// The digests of some keys' records.
    Digests(Vec<Key>),
}

/// What it answers; each to the question of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeAnswer {
    /// In the order of the question.
    Roots(Vec<Summary>),
    /// The trees whose roots are not the same.
    Differing(Vec<TreeId>),
    /// Those that hold something.
    Branches(Vec<(u8, Brief)>),
    /// Those that hold something.
    Leaves(Vec<(Place, Brief)>),
    /// In the order of (token, key).
    Keys(Listing),
    /// In the order of the question; `None` for no record.
    Digests(Vec<Option<Digest>>),
}

impl TreeQuestion {
    /// The partitions that it names by tree.
    pub fn partitions(&self) -> Vec<PartitionId> {
        match self {
            Self::Roots(trees) => trees.iter().map(|tree| tree.partition).collect(),
            Self::Compare(roots) => roots.iter().map(|(tree, _)| tree.partition).collect(),
            Self::Branches { tree, .. } | Self::Leaves { tree, .. } | Self::Keys { tree, .. } => {
                vec![tree.partition]
            }
            Self::Digests(_) => Vec::new(),
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut to = BytesMut::new();
        match self {
            Self::Roots(trees) => list(&mut to, 0, trees, |to, tree| put_tree(to, *tree)),
            Self::Compare(roots) => list(&mut to, 1, roots, |to, (tree, root)| {
                put_tree(to, *tree);
                to.put_u128_le(root.0);
            }),
            Self::Branches { tree, salt } => {
                to.put_u8(2);
                put_tree(&mut to, *tree);
                to.put_u64_le(*salt);
            }
            Self::Leaves { tree, branches, salt } => {
                list(&mut to, 3, branches, |to, branch| to.put_u8(*branch));
                put_tree(&mut to, *tree);
                to.put_u64_le(*salt);
            }
            Self::Keys { tree, leaves, after } => {
                list(&mut to, 4, leaves, |to, place| put_place(to, *place));
                put_tree(&mut to, *tree);
                to.put_u8(u8::from(after.is_some()));
                if let Some(key) = after {
                    put_key(&mut to, key);
                }
            }
            Self::Digests(keys) => list(&mut to, 5, keys, put_key),
        }
        to.freeze()
    }

    pub(super) fn decode(mut from: Bytes) -> Result<Self, MalformedFrame> {
        let from = &mut from;
        let question = match take_u8(from)? {
            0 => Self::Roots(take_list(from, ROOTS_MAX, take_tree)?),
            1 => Self::Compare(take_list(from, ROOTS_MAX, |from| {
                Ok((take_tree(from)?, take_summary(from)?))
            })?),
            2 => Self::Branches { tree: take_tree(from)?, salt: take_salt(from)? },
            3 => {
                let branches = take_list(from, BRANCHES_MAX, take_u8)?;
                Self::Leaves { tree: take_tree(from)?, branches, salt: take_salt(from)? }
            }
            4 => {
                let leaves = take_list(from, LEAVES_MAX, take_place)?;
                let tree = take_tree(from)?;
                let after = take_flag(from)?.then(|| take_key(from)).transpose()?;
                Self::Keys { tree, leaves, after }
            }
            5 => Self::Digests(take_list(from, KEYS_MAX, take_key)?),
            kind => return Err(rule(format!("unknown question {kind} about trees"))),
        };
        ended(from, question)
    }
}

impl TreeAnswer {
    pub(super) fn encode(&self) -> Bytes {
        let mut to = BytesMut::new();
        match self {
            Self::Roots(roots) => list(&mut to, 0, roots, |to, root| to.put_u128_le(root.0)),
            Self::Differing(trees) => list(&mut to, 1, trees, |to, tree| put_tree(to, *tree)),
            Self::Branches(branches) => list(&mut to, 2, branches, |to, (branch, brief)| {
                to.put_u8(*branch);
                to.put_u32_le(brief.0);
            }),
            Self::Leaves(leaves) => list(&mut to, 3, leaves, |to, (place, brief)| {
                put_place(to, *place);
                to.put_u32_le(brief.0);
            }),
            Self::Keys(listing) => {
                list(&mut to, 4, &listing.keys, |to, (key, digest)| {
                    put_key(to, key);
                    to.put_u128_le(digest.0);
                });
                to.put_u8(u8::from(listing.more));
            }
            Self::Digests(digests) => list(&mut to, 5, digests, |to, digest| {
                to.put_u8(u8::from(digest.is_some()));
                if let Some(digest) = digest {
                    to.put_u128_le(digest.0);
                }
            }),
        }
        to.freeze()
    }

    pub(super) fn decode(mut from: Bytes) -> Result<Self, MalformedFrame> {
        const LEAVES_ANSWERED_MAX: usize = BRANCHES_MAX * FANOUT as usize;
        let from = &mut from;
        let answer = match take_u8(from)? {
            0 => Self::Roots(take_list(from, ROOTS_MAX, take_summary)?),
            1 => Self::Differing(take_list(from, ROOTS_MAX, take_tree)?),
            2 => Self::Branches(take_list(from, FANOUT.into(), |from| {
                Ok((take_u8(from)?, take_brief(from)?))
            })?),
            3 => Self::Leaves(take_list(from, LEAVES_ANSWERED_MAX, |from| {
                Ok((take_place(from)?, take_brief(from)?))
            })?),
            4 => {
                let keys = take_list(from, KEYS_MAX, |from| {
                    Ok((take_key(from)?, Digest(take_u128(from)?)))
                })?;
                Self::Keys(Listing { keys, more: take_flag(from)? })
            }
            5 => Self::Digests(take_list(from, KEYS_MAX, |from| {
                take_flag(from)?.then(|| take_u128(from).map(Digest)).transpose()
            })?),
            kind => return Err(rule(format!("unknown answer {kind} about trees"))),
        };
        ended(from, answer)
    }
}

pub(super) fn list<T>(to: &mut BytesMut, kind: u8, items: &[T], put: impl Fn(&mut BytesMut, &T)) {
    to.put_u8(kind);
    to.put_u32_le(u32::try_from(items.len()).unwrap_or(u32::MAX));
    for item in items {
        put(to, item);
    }
}

fn put_tree(to: &mut BytesMut, tree: TreeId) {
    to.put_u16_le(tree.partition.0);
    to.put_u8(tree.n);
}

fn put_place(to: &mut BytesMut, place: Place) {
    to.put_slice(&[place.branch(), place.leaf()]);
}

/// A bucket and a key are shorter than 64 KiB, each.
pub(super) fn put_key(to: &mut BytesMut, key: &Key) {
    for part in [key.bucket(), key.key()] {
        to.put_u16_le(u16::try_from(part.len()).unwrap_or(u16::MAX));
        to.put_slice(part);
    }
}

pub(super) fn rule(reason: String) -> MalformedFrame {
    MalformedFrame::Rule { reason }
}

pub(super) fn cut_off() -> MalformedFrame {
    rule("the tail of a frame is cut off".to_owned())
}

pub(super) fn ended<T>(rest: &Bytes, item: T) -> Result<T, MalformedFrame> {
    if rest.is_empty() { Ok(item) } else { Err(rule("bytes are left over".to_owned())) }
}

pub(super) fn take_list<T>(
    from: &mut Bytes,
    max: usize,
    take: impl Fn(&mut Bytes) -> Result<T, MalformedFrame>,
) -> Result<Vec<T>, MalformedFrame> {
    let count = from.try_get_u32_le().map_err(|_| cut_off())?;
    let count = usize::try_from(count).ok().filter(|count| *count <= max);
    let count = count.ok_or_else(|| rule(format!("a list has more than {max} items")))?;
    // No item is shorter than a byte: a claim of many allocates nothing.
    let mut items = Vec::with_capacity(count.min(from.len()));
    for _ in 0..count {
        items.push(take(from)?);
    }
    Ok(items)
}

pub(super) fn take_u8(from: &mut Bytes) -> Result<u8, MalformedFrame> {
    from.try_get_u8().map_err(|_| cut_off())
}

pub(super) fn take_u128(from: &mut Bytes) -> Result<u128, MalformedFrame> {
    from.try_get_u128_le().map_err(|_| cut_off())
}

fn take_flag(from: &mut Bytes) -> Result<bool, MalformedFrame> {
    match take_u8(from)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(rule(format!("{other} is neither yes nor no"))),
    }
}

fn take_summary(from: &mut Bytes) -> Result<Summary, MalformedFrame> {
    take_u128(from).map(Summary)
}

fn take_brief(from: &mut Bytes) -> Result<Brief, MalformedFrame> {
    from.try_get_u32_le().map(Brief).map_err(|_| cut_off())
}

fn take_salt(from: &mut Bytes) -> Result<u64, MalformedFrame> {
    from.try_get_u64_le().map_err(|_| cut_off())
}

fn take_tree(from: &mut Bytes) -> Result<TreeId, MalformedFrame> {
    let partition = PartitionId(from.try_get_u16_le().map_err(|_| cut_off())?);
    Ok(TreeId { partition, n: take_u8(from)? })
}

fn take_place(from: &mut Bytes) -> Result<Place, MalformedFrame> {
    let (branch, leaf) = (take_u8(from)?, take_u8(from)?);
    Place::new(branch, leaf).ok_or_else(|| rule(format!("there is no leaf {branch}/{leaf}")))
}

pub(super) fn take_key(from: &mut Bytes) -> Result<Key, MalformedFrame> {
    let bucket = take_part(from)?;
    let key = take_part(from)?;
    Key::new(bucket, key).map_err(|error| rule(error.to_string()))
}

/// Copied out of the receive buffer: a key may be kept for long.
fn take_part(from: &mut Bytes) -> Result<Bytes, MalformedFrame> {
    let length = usize::from(from.try_get_u16_le().map_err(|_| cut_off())?);
    if from.len() < length {
        return Err(cut_off());
    }
    Ok(Bytes::copy_from_slice(&from.split_to(length)))
}
