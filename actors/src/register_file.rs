//! Bucket properties on disk: every register, as the frames in which they travel.

use std::{path::Path, sync::Arc};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use henge_kernel::bucket::{BucketProperties, BucketRegister, BucketTable};

use crate::{
    storage::{
        StorageError,
        disk::Disk,
        state_file::{StateFile, StateFormat},
    },
    wire::{ControlMessage, REGISTERS_PER_MESSAGE_MAX},
};

const FORMAT: StateFormat =
    StateFormat { magic: *b"HENGEBKT", version: 1, what: "bucket properties file" };

/// The file `buckets` in the data directory.
pub struct RegisterFile(StateFile);

impl RegisterFile {
    /// The file in `data_dir`; touches nothing yet.
    pub fn new(disk: Arc<dyn Disk>, data_dir: &Path) -> Self {
        Self(StateFile::new(disk, data_dir, "buckets", FORMAT))
    }

    /// The table as it was last written, with these `defaults`; `None` before that.
    pub fn read(&self, defaults: &BucketProperties) -> Result<Option<BucketTable>, StorageError> {
        let mut table = BucketTable::new(defaults.clone());
        let Some(state) = self.0.read()? else { return Ok(None) };
        let damaged = |detail: String| StorageError::DamagedFile { path: self.0.path(), detail };
        let mut content = state.content;
        while !content.is_empty() {
            for register in next_registers(&mut content).map_err(damaged)? {
                table.merge(register).map_err(|full| damaged(full.to_string()))?;
            }
        }
        Ok(Some(table))
    }

    /// Replaces the table; durable when this returns.
    pub fn write(&self, table: &BucketTable) -> Result<(), StorageError> {
        let registers: Vec<_> = table.iter().cloned().collect();
        let mut content = BytesMut::new();
        for registers in registers.chunks(REGISTERS_PER_MESSAGE_MAX) {
            let message = ControlMessage::Registers { ticket: 0, registers: registers.to_vec() };
            let frame = message.encode().map_err(|error| StorageError::DamagedFile {
                path: self.0.path(),
                detail: error.to_string(),
            })?;
            content.put_u32_le(u32::try_from(frame.len()).unwrap_or(u32::MAX));
            content.put_slice(&frame.header);
            content.put_slice(&frame.tail);
        }
        self.0.write(&content)
    }
}

fn next_registers(content: &mut Bytes) -> Result<Vec<BucketRegister>, String> {
    let length = content.try_get_u32_le().map_err(|error| error.to_string())?;
    let length = usize::try_from(length).map_err(|error| error.to_string())?;
    if content.len() < length {
        return Err(format!("{length} bytes are wanted, {} are left", content.len()));
    }
    match ControlMessage::decode(&content.split_to(length)).map_err(|error| error.to_string())? {
        ControlMessage::Registers { registers, .. } => Ok(registers),
        _ => Err("it holds something else than registers".to_owned()),
    }
}
