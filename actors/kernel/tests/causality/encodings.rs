//! Decoders meet every kind of damage; what they accept is what an encoder wrote.

use bytes::Bytes;
use henge_kernel::{
    causality::{Conflict, Content, Context, DecodeError, Record, Stamp, Value, Write},
    id::{NodeId, ShardUid},
    time::WallMillis,
};
use proptest::{collection::vec, prelude::*, test_runner::Config};

use crate::{
    laws::CASES,
    model::{World, same_replicated},
    support::{Shard, put, with},
};

/// A record with a bit of everything, by `seed`.
fn rich_record(seed: u64) -> Record {
    let mut shard = Shard::new(seed);
    for index in 0..seed % 5 {
        let text = "text".repeat(usize::try_from(index * 20).unwrap());
        let value = Value {
            bytes: Bytes::from(text),
            content_type: (index % 2 == 0).then(|| "text/plain".into()),
            meta: (0..index).map(|n| (format!("name-{n}").into(), "wörd".into())).collect(),
        };
        let expires_at = (index % 3 == 0).then_some(WallMillis(seed));
        let content = Content::Value(value);
        shard.write(Write { content, expires_at, ..put(u128::from(index), "") });
    }
    if seed.is_multiple_of(2) {
        shard.record.mark(NodeId(seed));
        shard.record.mark(NodeId(1));
    }
    shard.record
}

fn stored(record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode_stored(&mut out);
    out
}

fn replicated(record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode_replicated(&mut out);
    out
}

/// Flips, cuts, inserts, doubles, or sets a byte to one of the values that break things.
fn damage(bytes: &mut Vec<u8>, (what, at, with): (u8, u16, u8)) {
    let at = usize::from(at) % (bytes.len() + 1);
    match what % 6 {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, with),
        2 => bytes.extend_from_within(at..),
        _ if at == bytes.len() => bytes.push(with),
        3 => bytes[at] ^= 1 << (with % 8),
        4 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][usize::from(with) % 5],
        _ => drop(bytes.remove(at)),
    }
}

fn damages() -> impl Strategy<Value = Vec<(u8, u16, u8)>> {
    vec(any::<(u8, u16, u8)>(), 1..4)
}

/// Whatever is accepted is canonical: encoded again, it is the same bytes.
fn decode_all(bytes: &[u8], uid: ShardUid) {
    if let Ok(record) = Record::decode_replicated(&Bytes::copy_from_slice(bytes)) {
        assert_eq!(replicated(&record), bytes);
        assert_eq!(record.history().is_empty(), record.versions().is_empty());
        record.digest();
        record.read(WallMillis(5));
    }
    if let Ok(record) = Record::decode_stored(&Bytes::copy_from_slice(bytes), uid) {
        // The second byte says whether a right follows; that of another run is dropped.
        assert!(stored(&record) == bytes || (bytes[1] == 1 && record.right().is_none()));
    }
    if let Ok(context) = Context::decode(bytes) {
        let mut again = Vec::new();
        context.encode(&mut again);
        assert_eq!(again, bytes);
    }
}

proptest! {
    #![proptest_config(Config::with_cases(CASES))]

    #[test]
    fn decoders_take_damaged_records_without_panic(seed in any::<u64>(), damages in damages()) {
        let record = rich_record(seed);
        for mut bytes in [stored(&record), replicated(&record)] {
            decode_all(&bytes, ShardUid(seed));
            for how in &damages {
 damage(&mut bytes, *how);
}
            decode_all(&bytes, ShardUid(seed));
        }
    }

    #[test]
    fn decoders_take_damaged_contexts_without_panic(
        steps in vec(any::<u32>(), 0..20),
        damages in damages(),
    ) {
        let world = World::after(Conflict::Siblings, &steps);
        let mut bytes = Vec::new();
        world.shards[0].context().encode(&mut bytes);
        for how in &damages {
 damage(&mut bytes, *how);
}
        decode_all(&bytes, ShardUid(1));
    }

    #[test]
    fn decoders_take_noise_without_panic(noise in vec(any::<u8>(), 0..80)) {
        decode_all(&noise, ShardUid(1));
        // The same behind a format that is known, so that more of it is read.
        decode_all(&[&[1], noise.as_slice()].concat(), ShardUid(1));
    }

    #[test]
    fn a_rich_record_survives_its_encodings(seed in any::<u64>()) {
        let record = rich_record(seed);
        let decoded = Record::decode_stored(&stored(&record).into(), ShardUid(seed));
        prop_assert_eq!(decoded, Ok(record));
    }
}

#[test]
fn a_decoded_value_is_a_slice_of_what_was_received() {
    let mut shard = Shard::new(1);
    shard.write(put(1, "the body of the value"));
    let bytes = Bytes::from(stored(&shard.record));
    let record = Record::decode_stored(&bytes, ShardUid(1)).unwrap();
    let value = record.versions()[0].value().unwrap();
    assert!(bytes.as_ptr_range().contains(&value.bytes.as_ptr()));
}

#[test]
fn an_unknown_format_is_refused_by_name() {
    let mut bytes = replicated(&rich_record(3));
    bytes[0] = 9;
    let refused = Record::decode_replicated(&bytes.clone().into()).unwrap_err();
    assert_eq!(refused, DecodeError::UnknownFormat { what: "record", found: 9, known: 2 });
    let refused = Record::decode_stored(&bytes.clone().into(), ShardUid(1)).unwrap_err();
    assert_eq!(refused, DecodeError::UnknownFormat { what: "stored record", found: 9, known: 1 });
    assert!(matches!(Context::decode(&bytes), Err(DecodeError::UnknownFormat { .. })));
}

#[test]
fn what_no_encoder_writes_is_refused() {
    let refused = |bytes: &[u8]| {
        matches!(
            Record::decode_replicated(&Bytes::copy_from_slice(bytes)),
            Err(DecodeError::Malformed { .. })
        )
    };
    let actor = [0, 0, 0, 0, 0, 0, 0, 7, 1];
    let history = |runs: &[u8]| [&[2, 1], &actor[..], runs].concat();
    assert!(refused(&[history(&[0]), vec![0]].concat()), "an actor without dots");
    assert!(refused(&[history(&[1, 0, 0]), vec![0]].concat()), "a history without a version");
    assert!(refused(&[2, 0x80, 0]), "a number that is too long");
    let both = [&[2, 2], &actor[..], &[1, 0, 0], &actor[..], &[1, 0, 0]].concat();
    assert!(refused(&both), "an actor that comes twice");
    let behind = [&[2, 2], &actor[..], &[1, 0, 0], &actor[..], &[1, 5, 0]].concat();
    assert!(refused(&behind), "the same with other dots");
    let endless = [&[2, 1], &actor[..], &[2, 0], &[0xff; 9][..], &[1, 0, 0]].concat();
    assert!(refused(&endless), "a counter past the greatest");
    let unseen = [&[2u8, 1], &actor[..], &[1, 0, 0], &[1, 0, 2, 0, 5], &[0; 32][..]].concat();
    assert!(refused(&unseen), "a version that the history does not name");
    let seen = [&[2u8, 1], &actor[..], &[1, 0, 2], &[1, 0, 1, 0, 5], &[0; 32][..]].concat();
    let naming = |names: &[&[u8]]| [&seen[..], &names.concat()].concat();
    let good = naming(&[&[0]]);
    assert!(Record::decode_replicated(&good.clone().into()).is_ok());
    // The write ids and checksums of what was overwritten are all zero here.
    let name = |counter, stamp| [&[0u8; 16][..], &[0, counter, stamp], &[0; 16]].concat();
    let good_name = naming(&[&[1], &name(2, 5)]);
    assert!(Record::decode_replicated(&good_name.into()).is_ok());
    assert!(refused(&naming(&[&[9]])), "more names than a record has");
    assert!(refused(&naming(&[&[1], &name(1, 5)])), "a name of what lives");
    assert!(refused(&naming(&[&[1], &name(9, 5)])), "a name of what nobody has seen");
    assert!(refused(&naming(&[&[2], &name(2, 6), &name(3, 5)])), "one write named twice");
    assert!(refused(&naming(&[&[2], &name(2, 5), &name(3, 6)])), "the newer name last");
    let mut trailing = good;
    trailing.push(0);
    let refused = Record::decode_replicated(&trailing.into());
    assert_eq!(refused, Err(DecodeError::Trailing { bytes: 1 }));
    // A right whose next dot is the zeroth: it would name no write.
    let right = [&[1u8, 1], &actor[..], &[0, 0, 1, 0, 0]].concat();
    assert!(matches!(
        Record::decode_stored(&right.into(), ShardUid(7)),
        Err(DecodeError::Malformed { .. })
    ));
}

#[test]
fn a_count_that_the_input_cannot_pay_for_is_truncated_at_once() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for before in [&[2][..], &[2, 0][..]] {
        let bytes = Bytes::from([before, &huge].concat());
        assert!(Record::decode_replicated(&bytes).is_err());
        assert!(Record::decode_stored(&bytes, ShardUid(1)).is_err());
    }
    assert_eq!(Context::decode(&[&[1], &huge[..]].concat()), Err(DecodeError::Truncated));
}

/// Each field that replicas share is in the digest, and nothing else is.
#[test]
fn the_digest_is_of_the_replicated_part_alone() {
    let record = |write: Write| {
        let mut shard = Shard::new(1);
        shard.write(write);
        shard.record
    };
    let base = record(put(1, "a"));
    let typed = Value { content_type: Some("x".into()), ..Value::plain("a") };
    let named = Value { meta: vec![("x".into(), "".into())], ..Value::plain("a") };
    let others = [
        put(2, "a"),
        put(1, "b"),
        Write { content: Content::Tombstone, ..put(1, "") },
        Write { content: Content::Value(typed), ..put(1, "") },
        Write { content: Content::Value(named), ..put(1, "") },
        Write { expires_at: Some(WallMillis(1)), ..put(1, "a") },
        Write { wall: WallMillis(1_001), ..put(1, "a") },
        Write { reaped_stamp: Stamp(5_000), ..put(1, "a") },
        with(&Shard::with_one(2).context(), put(1, "a")),
    ];
    let mut digests: Vec<_> = others.map(|write| record(write).digest()).into();
    digests.push(base.digest());
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);

    let mut local = base.clone();
    local.mark(NodeId(3));
    assert_ne!(local, base);
    assert!(same_replicated(&local, &base));
    assert_eq!(local.digest(), base.digest());
    assert_eq!(
        Record::decode_stored(&stored(&base).into(), ShardUid(9)).unwrap().digest(),
        base.digest()
    );
}

#[test]
fn the_digest_of_the_encoded_form_is_that_of_the_record() {
    let mut shard = Shard::with_one(1);
    shard.write(put(2, "sibling"));
    shard.write(Write { expires_at: Some(WallMillis(7)), ..put(3, "short-lived") });
    for record in [Shard::with_one(9).record, shard.record] {
        let mut encoded = Vec::new();
        assert_eq!(record.encode_replicated(&mut encoded), record.digest());
        assert_eq!(Record::digest_of_replicated(&encoded), Ok(Some(record.digest())));
        // What is cut off in the head is refused; the values are not looked at.
        let head = encoded.len() - record.value_bytes() - 8 * record.versions().len();
        assert!((0..head / 2).all(|end| Record::digest_of_replicated(&encoded[..end]).is_err()));
    }
    let mut nothing = Vec::new();
    Record::default().encode_replicated(&mut nothing);
    assert_eq!(Record::digest_of_replicated(&nothing), Ok(None));
}

#[test]
fn the_format_and_the_digest_stand_still() {
    let mut shard = Shard::new(0x1122_3344_5566_7788);
    shard.write(put(5, "value"));
    let hex = format!("{:02x?}", stored(&shard.record)).replace([',', ' ', '[', ']'], "");
    let local = "0101112233445566778801" /* right */.to_owned() + "02" /* next */ + "00" /* marks */;
    let history = "02" /* format */
        .to_owned()
        + "01"
        + "112233445566778801"
        + "010000";
    let version = "01" /* one */.to_owned() + "000101" /* dot, kind */ + "e807" /* stamp */;
    let ids = "00000000000000000000000000000005" /* write id */.to_owned()
        + "da1833e9b68c6d9d5348cc1ba0b4184a" /* checksum */ + "07" /* body */;
    let body = "0000" /* no media type, no metadata */
        .to_owned()
        + "76616c7565"
        + "00" /* nothing overwritten */;
    assert_eq!(hex, local + &history + &version + &ids + &body);
    assert_eq!(shard.record.digest().to_string(), "a466c5efc1dbdee959cb91e751139612");
}
