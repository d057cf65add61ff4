//! Keys, records and times that all these tests use.

use henge_kernel::{
    causality::{
        Conflict, Content, Context, Digest, Minter, Record, RecordLimits, Stamp, Value, Write,
    },
    id::{NodeId, ShardUid, WriteId},
    key::Key,
    time::{Instant, WallMillis},
};

/// The home that hints are kept for.
pub const HOME: NodeId = NodeId(10);
/// Two more homes.
pub const OTHER: NodeId = NodeId(11);
pub const THIRD: NodeId = NodeId(12);

pub fn key(index: usize) -> Key {
    Key::new("bucket", format!("key-{index:03}")).unwrap()
}

pub fn at(millis: u64) -> Instant {
    Instant::from_micros(5_000_000 + millis * 1_000)
}

pub fn digest(number: u128) -> Digest {
    Digest(number)
}

/// A record that holds one write, of the shard that drew `uid`.
pub fn written(uid: u64, text: &str) -> Record {
    let mut record = Record::default();
    let write = Write {
        context: Context::default(),
        content: Content::Value(Value::plain(text.to_owned())),
        write_id: WriteId(u128::from(uid)),
        expires_at: None,
        wall: WallMillis(1_000),
        reaped_stamp: Stamp(0),
        conflict: Conflict::Siblings,
        limits: RecordLimits::default(),
    };
    record.write(&mut Minter::new(ShardUid(uid)), write).unwrap();
    record
}
