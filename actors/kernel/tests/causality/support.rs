//! Short words for the tests: shards, writes, keys.

use bytes::Bytes;
use henge_kernel::{
    causality::{
        Actor, Conflict, Content, Context, Dot, Minter, Record, RecordLimits, Stamp, Value, Write,
        WriteRefused, Written,
    },
    id::{ShardUid, WriteId},
    time::WallMillis,
};

/// A put of `text` with the write id `id`, by a client that has seen nothing.
pub fn put(id: u128, text: &str) -> Write {
    Write {
        context: Context::default(),
        content: Content::Value(Value::plain(Bytes::copy_from_slice(text.as_bytes()))),
        write_id: WriteId(id),
        expires_at: None,
        wall: WallMillis(1_000),
        reaped_stamp: Stamp(0),
        conflict: Conflict::Siblings,
        limits: RecordLimits::default(),
    }
}

/// A delete under `context`.
pub fn delete(id: u128, context: Context) -> Write {
    Write { content: Content::Tombstone, context, ..put(id, "") }
}

/// The same write under `context`.
pub fn with(context: &Context, write: Write) -> Write {
    Write { context: context.clone(), ..write }
}

/// One key at one shard, in one run of it.
pub struct Shard {
    pub minter: Minter,
    pub record: Record,
}

impl Shard {
    /// A shard that has nothing, in the run that drew `uid`.
    pub fn new(uid: u64) -> Self {
        Self { minter: Minter::new(ShardUid(uid)), record: Record::default() }
    }

    /// A shard that has one value of a blind writer.
    pub fn with_one(uid: u64) -> Self {
        let mut shard = Self::new(uid);
        shard.write(put(u128::from(uid), "one"));
        shard
    }

    /// Writes what no limit refuses.
    pub fn write(&mut self, write: Write) -> Written {
        self.try_write(write).unwrap()
    }

    pub fn try_write(&mut self, write: Write) -> Result<Written, WriteRefused> {
        self.record.write(&mut self.minter, write)
    }

    /// Takes in what `other` has.
    pub fn pull(&mut self, other: &Record) {
        let merged = self.record.merge(other, Conflict::Siblings);
        assert_eq!(merged.clashes, 0);
    }

    /// Everything that a client sees now, as texts.
    pub fn texts(&self) -> Vec<String> {
        texts(&self.record)
    }

    /// The context of a read.
    pub fn context(&self) -> Context {
        self.record.read(WallMillis(1_000)).context
    }

    /// The shard starts anew, with `record` on its disk.
    pub fn restart(&mut self, uid: u64, record: &Record) {
        let mut stored = Vec::new();
        record.encode_stored(&mut stored);
        self.minter = Minter::new(ShardUid(uid));
        self.record = Record::decode_stored(&stored.into(), ShardUid(uid)).unwrap();
    }
}

/// The live values of `record`, as texts in order.
pub fn texts(record: &Record) -> Vec<String> {
    let reading = record.read(WallMillis(1_000));
    let values = reading.values.iter().map(|version| version.value().unwrap());
    let mut texts: Vec<_> = values.map(|value| value.as_text().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

/// The `counter`-th dot of the first epoch of the run `uid`.
pub fn dot(uid: u64, counter: u64) -> Dot {
    Dot { actor: Actor { uid: ShardUid(uid), epoch: 1 }, counter }
}
