//! Opening a log: its segments are read in order, and the directory is built from them.
//!
//! What does not hold is one of three things.
//!
//! - **A torn tail**: the last segment ends in bytes that are no whole batch, and none follows. That
//!   is what a crash leaves; it is cut off and reported. (Rot in the very last batch looks the same.
//!   Only a durable watermark tells them apart.)
//! - **A damaged record**: the head holds, the payload does not. Its key is quarantined: a get
//!   answers that it is corrupt, and no older entry takes its place. A newer one does.
//! - **A loss**: the head does not hold, or a sealed segment, which was synced, ends early. Nobody
//!   knows whose records those were, so the whole log is suspect, at this opening and all later
//!   ones. Reading goes on at the next place where an entry holds.

use std::path::PathBuf;

use henge_kernel::key::{Key, Token};

use super::{
    index::{Index, Location},
    reader::Reader,
    record::Head,
    segment::{HEADER_BYTES, Header, Segment},
};
use crate::storage::StorageError;

/// Losses that are listed one by one; the rest is counted.
const LOSSES_LISTED_MAX: usize = 32;

/// What was found at the opening of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Segments that were read.
    pub segments: u64,
    /// Keys whose newest record is damaged.
    pub quarantined: u64,
    /// The torn tail that was cut off, if there was one.
    pub cut: Option<Cut>,
    /// How many stretches were lost.
    pub losses: u64,
    /// The first 32 of them.
    pub listed: Vec<Loss>,
}

impl OpenReport {
    /// Whether changes may be missing that were once durable: then no answer of this shard can
    /// stand alone until the other replicas have been asked.
    pub fn is_suspect(&self) -> bool {
        self.losses > 0
    }

    fn lose(&mut self, loss: Loss) {
        tracing::error!(
            target: "henge::storage",
            path = %loss.path.display(), offset = loss.offset, "changes are lost: {}", loss.what
        );
        self.losses += 1;
        if self.listed.len() < LOSSES_LISTED_MAX {
            self.listed.push(loss);
        }
    }
}

/// A torn tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub path: PathBuf,
    /// Where the last whole batch ends.
    pub offset: u32,
    /// How many bytes were cut off.
    pub bytes: u32,
}

/// A stretch of the log that nobody can read, or that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The segment.
    pub path: PathBuf,
    /// Where it begins.
    pub offset: u32,
    /// What does not fit.
    pub what: &'static str,
}

/// Reads the segments of a log one after the other.
pub struct Recovery {
    pub index: Index,
    /// The sequence of the next change.
    pub next: u64,
    pub report: OpenReport,
    /// Found in the segment that is being read, and not yet followed by a whole batch.
    unproven: Vec<Found>,
    /// What `next` will be when those are accepted.
    expected: u64,
}

enum Found {
    Entry { token: Token, key: Key, content: Content },
    Loss(Loss),
}

enum Content {
    Record(Location),
    Removal,
    Damaged,
}

/// How a segment can go on.
pub enum Tail {
    /// It can grow behind this offset; what lies there is a torn tail.
    Open(u32),
    /// It is read only.
    Sealed,
    /// Its creation was never finished; it holds nothing.
    Unborn,
}

impl Recovery {
    pub fn new() -> Self {
        Self {
            index: Index::new(),
            next: 1,
            report: OpenReport::default(),
            unproven: Vec::new(),
            expected: 1,
        }
    }

    /// Reads one segment; `last` says that it is the one with the greatest number.
    pub fn read(
        &mut self,
        segment: &mut Segment,
        header: Option<Header>,
        last: bool,
    ) -> Result<Tail, StorageError> {
        let mut reader = Reader::new(segment);
        if header.is_none() {
            // Entries are written only behind a header that is all there.
            if last && segment.length <= HEADER_BYTES {
                return Ok(Tail::Unborn);
            }
            self.find_loss(segment, 0, "the header is damaged");
            segment.marker = reader.first_word(HEADER_BYTES)?;
        }
        self.report.segments += 1;
        self.expect(segment, HEADER_BYTES, header.map_or(0, |header| header.base));
        // Proven by the header, or by the lack of one: not part of a torn tail.
        self.accept();
        let proven = self.read_entries(segment, &mut reader)?;
        if last && header.is_some() {
            self.unproven.clear();
            self.expected = self.next;
            return Ok(Tail::Open(proven));
        }
        self.accept();
        Ok(Tail::Sealed)
    }

    /// Reads entries to the end of the segment. Returns where its last whole batch ends.
    fn read_entries(
        &mut self,
        segment: &Segment,
        reader: &mut Reader,
    ) -> Result<u32, StorageError> {
        let mut proven = HEADER_BYTES;
        let mut offset = HEADER_BYTES;
        let mut batch_holds = false;
        while offset < segment.length {
            let Some(head) = reader.head_at(offset, segment.marker)? else {
                batch_holds = false;
                self.find_loss(segment, offset, "no entry can be read");
                let Some(next) = reader.next_head(offset + 1, segment.marker)? else { break };
                offset = next;
                continue;
            };
            let (holds, end) = reader.body_holds(offset, &head)?;
            self.find_entry(segment, reader, offset, &head, holds)?;
            batch_holds = holds && (batch_holds || head.first);
            if batch_holds && head.last {
                self.accept();
                proven = end;
            }
            batch_holds &= !head.last;
            offset = end;
        }
        Ok(proven)
    }

    fn find_entry(
        &mut self,
        segment: &Segment,
        reader: &mut Reader,
        offset: u32,
        head: &Head,
        holds: bool,
    ) -> Result<(), StorageError> {
        let Some(key) = reader.key_at(offset, head)? else {
            self.find_loss(segment, offset, "the key is not one");
            return Ok(());
        };
        self.expect(segment, offset, head.sequence);
        self.expected = self.expected.max(head.sequence.saturating_add(1));
        let content = match Location::new(segment.number, offset, head.length()) {
            Some(location) if holds && !head.removal => Content::Record(location),
            _ if holds => Content::Removal,
            _ => Content::Damaged,
        };
        self.unproven.push(Found::Entry { token: head.token, key, content });
        Ok(())
    }

    fn find_loss(&mut self, segment: &Segment, offset: u32, what: &'static str) {
        self.unproven.push(Found::Loss(Loss { path: segment.path.clone(), offset, what }));
    }

    /// The change at this place is `sequence`: are there any missing before it?
    fn expect(&mut self, segment: &Segment, offset: u32, sequence: u64) {
        if sequence > self.expected {
            self.find_loss(segment, offset, "changes before this place are missing");
            self.expected = sequence;
        }
    }

    /// What was found so far is no torn tail.
    fn accept(&mut self) {
        for found in self.unproven.drain(..) {
            match found {
                Found::Loss(loss) => self.report.lose(loss),
                Found::Entry { token, key, content } => match content {
                    Content::Record(location) => self.index.record(token, &key, location),
                    Content::Removal => self.index.remove(token, &key),
                    Content::Damaged => self.index.quarantine(token, &key),
                },
            }
        }
        self.next = self.expected;
    }
}
