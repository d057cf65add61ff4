//! Reads a segment from its beginning to its end through one window.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use henge_kernel::key::Key;

use super::{
    record::{HEAD_BYTES, Head},
    segment::Segment,
};
use crate::storage::{StorageError, disk::DiskFile};

/// What is read at once, in bytes.
const WINDOW_BYTES: usize = 1 << 20;
/// How far a search goes on when a window holds no marker; one may lie across the window's end.
const SEARCH_STEP: u32 = (1 << 20) - 3;

/// A window over a segment.
pub struct Reader {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// Of the segment, in bytes.
    length: u32,
    window: Vec<u8>,
    /// The offset of the window's first byte.
    start: u32,
}

impl Reader {
    pub fn new(segment: &Segment) -> Self {
        Self {
            file: Arc::clone(&segment.file),
            path: segment.path.clone(),
            length: segment.length,
            window: Vec::new(),
            start: 0,
        }
    }

    /// The head of the entry at `offset`, if one is there and holds.
    pub fn head_at(&mut self, offset: u32, marker: u32) -> Result<Option<Head>, StorageError> {
        let Some(head) = Head::parse(self.bytes(offset, HEAD_BYTES)?, marker) else {
            return Ok(None);
        };
        let holds = head.head_holds(self.bytes(offset, head.head_length())?);
        Ok(holds.then_some(head))
    }

    /// Whether the whole entry holds, and where it, or the segment before it, ends.
    pub fn body_holds(&mut self, offset: u32, head: &Head) -> Result<(bool, u32), StorageError> {
        let holds = head.body_holds(self.bytes(offset, head.length())?);
        let length = u32::try_from(head.length()).unwrap_or(u32::MAX);
        Ok((holds, offset.saturating_add(length).min(self.length)))
    }

    /// The key of the entry at `offset`.
    pub fn key_at(&mut self, offset: u32, head: &Head) -> Result<Option<Key>, StorageError> {
        let named = self.bytes(offset, head.head_length())?;
        let Some((bucket, key)) = head.names(named) else { return Ok(None) };
        Ok(Key::new(Bytes::copy_from_slice(bucket), Bytes::copy_from_slice(key)).ok())
    }

    /// The four bytes at `offset`, or zero if the segment ends before them.
    pub fn first_word(&mut self, offset: u32) -> Result<u32, StorageError> {
        let word = self.bytes(offset, 4)?.first_chunk().copied();
        Ok(u32::from_le_bytes(word.unwrap_or_default()))
    }

    /// The first place from `offset` on where the head of an entry holds.
    pub fn next_head(&mut self, mut offset: u32, marker: u32) -> Result<Option<u32>, StorageError> {
        loop {
            let window = self.bytes(offset, WINDOW_BYTES)?;
            let Some(at) = find(window, marker.to_le_bytes()) else {
                if window.len() < WINDOW_BYTES {
                    return Ok(None);
                }
                offset = offset.saturating_add(SEARCH_STEP);
                continue;
            };
            offset = offset.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            if self.head_at(offset, marker)?.is_some() {
                return Ok(Some(offset));
            }
            offset = offset.saturating_add(1);
        }
    }

    /// `length` bytes from `offset` on, or as many as the segment has.
    fn bytes(&mut self, offset: u32, length: usize) -> Result<&[u8], StorageError> {
        let there = (self.length.saturating_sub(offset)) as usize;
        let wanted = length.min(there);
        if wanted == 0 {
            return Ok(&[]);
        }
        let inside = offset.checked_sub(self.start).map(|ahead| ahead as usize);
        let from = match inside {
            Some(from) if from + wanted <= self.window.len() => from,
            _ => {
                self.window.resize(wanted.max(WINDOW_BYTES).min(there), 0);
                self.start = offset;
                let read = self.file.read_at(&mut self.window, offset.into());
                read.map_err(StorageError::io("read", &self.path))?;
                0
            }
        };
        Ok(&self.window[from..from + wanted])
    }
}

fn find(bytes: &[u8], marker: [u8; 4]) -> Option<usize> {
    bytes.windows(4).position(|word| word == marker)
}
