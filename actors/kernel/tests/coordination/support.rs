//! Nodes, times and records that all these tests use.

use core::time::Duration;
use std::{cell::RefCell, sync::Arc};

use henge_kernel::{
    causality::{Conflict, Content, Context, Minter, Record, RecordLimits, Stamp, Value, Write},
    coordination::{Generation, Home, Homes, ReplicaRecord, hedge::HedgeDelays},
    id::{NodeId, ShardUid, WriteId},
    time::{Instant, WallMillis},
};

/// The node at place `index` of the homes.
pub fn node(index: usize) -> NodeId {
    NodeId(100 + u64::try_from(index).unwrap())
}

/// A node that is no home of the key.
pub const STRANGER: NodeId = NodeId(1);

/// `count` homes, of which those in the bit set `down` are down.
pub fn homes(count: usize, down: u16) -> Homes {
    seats(0..count, down)
}

/// The replicas in `range`, of which those in the bit set `down` are down.
pub fn seats(range: core::ops::Range<usize>, down: u16) -> Homes {
    range.map(|index| Home { node: node(index), down: down & (1 << index) != 0 }).collect()
}

/// Milliseconds after the start of every test's request.
pub fn at(millis: u64) -> Instant {
    Instant::from_micros(5_000_000 + millis * 1_000)
}

/// When the early and the late hedge are due, in milliseconds from the start.
pub const EARLY: u64 = 2;
pub const LATE: u64 = 50;
/// When the request's time is over, in milliseconds from the start.
pub const DEADLINE: u64 = 500;

pub fn delays() -> HedgeDelays {
    HedgeDelays { early: Duration::from_millis(EARLY), late: Duration::from_millis(LATE) }
}

/// A put that says `text`, by somebody who has seen `context`.
pub fn write(text: &str, context: Context) -> Write {
    Write {
        context,
        content: Content::Value(Value::plain(text.to_owned())),
        write_id: WriteId(u128::from(text.as_bytes()[0])),
        expires_at: None,
        wall: WallMillis(1_000),
        reaped_stamp: Stamp(0),
        conflict: Conflict::Siblings,
        limits: RecordLimits::default(),
    }
}

/// `record` as it arrives from elsewhere: without the right of the shard that wrote it.
fn replicated(record: &Record) -> Record {
    let mut copy = Record::default();
    copy.merge(record, Conflict::Siblings);
    copy
}

/// A record that holds just this write.
pub fn written(uid: u64, text: &str, context: Context) -> Record {
    let mut record = Record::default();
    record.write(&mut Minter::new(ShardUid(uid)), write(text, context)).unwrap();
    replicated(&record)
}

thread_local! {
    static RECORDS: RefCell<Vec<Arc<Record>>> = RefCell::new(all_records());
}

fn all_records() -> Vec<Arc<Record>> {
    let text = |bit: u64| char::from(b'a' + u8::try_from(bit).unwrap()).to_string();
    let single: Vec<_> = (0..7).map(|bit| written(bit, &text(bit), Context::default())).collect();
    let merged = |set: usize| {
        let mut record = Record::default();
        for (_, one) in single.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0) {
            record.merge(one, Conflict::Siblings);
        }
        Arc::new(record)
    };
    (0..128).map(merged).collect()
}

/// The record that holds the concurrent writes in the bit set `set`, and nothing else.
pub fn record(set: u8) -> Arc<Record> {
    RECORDS.with(|records| Arc::clone(&records.borrow()[usize::from(set)]))
}

/// [`record`], read under `generation`.
pub fn replica(set: u8, generation: u64) -> ReplicaRecord {
    ReplicaRecord { record: record(set), generation: Generation(generation) }
}
