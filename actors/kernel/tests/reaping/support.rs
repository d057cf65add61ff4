//! Records and asks that all these tests use.

use henge_kernel::{
    causality::{
        Conflict, Content, Context, Digest, Minter, Record, RecordLimits, Stamp, Value, Write,
    },
    coordination::Generation,
    id::WriteId,
    key::{Key, PartitionId},
    reaping::{Ask, Purpose},
    time::WallMillis,
};

pub fn key() -> Key {
    Key::new("bucket", "key").unwrap()
}

/// A put, or a delete if there is no text, by somebody who has seen `context`.
pub fn write(text: Option<&str>, context: Context, id: u128) -> Write {
    let value = |text: &str| Content::Value(Value::plain(text.to_owned()));
    Write {
        context,
        content: text.map_or(Content::Tombstone, value),
        write_id: WriteId(id),
        expires_at: None,
        wall: WallMillis(1_000),
        reaped_stamp: Stamp(0),
        conflict: Conflict::Siblings,
        limits: RecordLimits::default(),
    }
}

/// Puts or deletes with the context of all that the record holds.
pub fn overwrite(record: &mut Record, minter: &mut Minter, text: Option<&str>, id: u128) {
    let context = record.read(WallMillis(0)).context;
    record.write(minter, write(text, context, id)).unwrap();
}

/// Asks to raise to `generation` for a record of this digest.
pub fn ask(purpose: Purpose, generation: u64, digest: Digest) -> Ask {
    Ask {
        round: 1,
        partition: PartitionId(3),
        purpose,
        generation: Generation(generation),
        finished: Generation(0),
        epoch: 7,
        stamp: Stamp(500),
        keys: vec![(key(), digest)],
    }
}
