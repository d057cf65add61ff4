//! What the kernel decodes: records, contexts and their tokens, packets of membership, properties
//! of buckets, and the words of options and configuration.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use henge_kernel::{
    bucket::{BucketChange, BucketProperties, Durability, InvalidDurability},
    causality::{
        Conflict, Content, Context, ContextKey, Dot, Minter, Record, RecordLimits, Stamp,
        TOKEN_CHARACTERS_MAX, Value, Write,
    },
    id::{ClusterId, Incarnation, NodeId, NodeName, ShardUid, WriteId},
    key::Key,
    machine::Machine as _,
    membership::{
        HintsKept, PACKET_BYTES_MAX, SelfHealth, StorageState, Swim, SwimEffect, SwimEvent,
        SwimSettings, SwimTiming,
    },
    time::{Instant, WallMillis},
    units::{Size, Span, parse_duration, parse_size},
};

use super::{Allocates, Features, Target};
use crate::settings::{Address, ClusterName};

/// The run of the shard that reads records here.
const UID: ShardUid = ShardUid(7);

pub(super) fn targets() -> Vec<Target> {
    let target = |name, seeds, run| Target {
        name,
        seeds,
        words: &[],
        mend: None,
        run,
        allocates: Allocates { floor: 64 << 10, each: 128 },
    };
    vec![
        Target { mend: Some(mend_records), ..target("records", record_seeds, run_records) },
        target("contexts", context_seeds, run_context),
        target("tokens", token_seeds, run_token),
        target("gossip", gossip_seeds, run_gossip),
        Target {
            words: &[
                b"\"n\":",
                b"\"ttl\":",
                b"null",
                b"\"30d\"",
                b"\"1MiB\"",
                b"true",
                b"{",
                b"}",
                b"[",
                b"\"\\u0000\"",
                b"1e400",
                b"-0",
                b"18446744073709551616",
                b"\"lww\"",
            ],
            ..target("bucket-properties", property_seeds, run_properties)
        },
        Target {
            words: &[b"ms", b"d", b"MiB", b"GiB", b"[::1]:", b"0", b"18446744073709551615", b"-"],
            ..target("words", word_seeds, run_words)
        },
    ]
}

/// Records with a bit of everything.
fn records() -> Vec<Record> {
    let mut records = vec![Record::default()];
    for rounds in 1..5_u128 {
        let mut record = Record::default();
        let mut minter = Minter::new(UID);
        for round in 0..rounds {
            let value = Value {
                bytes: Bytes::from_static(b"value"),
                content_type: (round % 2 == 0).then(|| "text/plain".into()),
                meta: vec![("colour".into(), "blue".into())],
            };
            let content = if round == 2 { Content::Tombstone } else { Content::Value(value) };
            let seen = record.read(WallMillis(0)).context;
            let context = if round == 3 { seen } else { Context::default() };
            let write = Write {
                expires_at: (round == 1).then_some(WallMillis(9)),
                content,
                ..write(rounds * 10 + round, context)
            };
            // No limit is near.
            let _ = record.write(&mut minter, write);
        }
        record.mark(NodeId(u64::MAX));
        records.push(record);
    }
    records
}

fn write(id: u128, context: Context) -> Write {
    Write {
        context,
        content: Content::Tombstone,
        write_id: WriteId(id),
        expires_at: None,
        wall: WallMillis(1_000),
        reaped_stamp: Stamp(0),
        conflict: Conflict::Siblings,
        limits: RecordLimits::default(),
    }
}

/// Two records: a stored one after its length in 16 bits, and a replicated one.
fn record_seeds() -> Vec<Vec<u8>> {
    let records = records();
    let others = records.iter().cycle().skip(1);
    let pairs = records.iter().zip(others);
    pairs
        .map(|(stored, replicated)| {
            let mut bytes = vec![0; 2];
            stored.encode_stored(&mut bytes);
            let length = u16::try_from(bytes.len() - 2).unwrap_or(u16::MAX);
            bytes[..2].copy_from_slice(&length.to_le_bytes());
            replicated.encode_replicated(&mut bytes);
            bytes
        })
        .collect()
}

/// Moves the end of the stored record to where it ends, if that is near.
fn mend_records(input: &mut [u8]) {
    let [low, high, rest @ ..] = &input[..] else { return };
    let claimed = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let near = (0..=8).flat_map(|shift| [claimed.checked_sub(shift), Some(claimed + shift)]);
    for length in near.flatten() {
        let Some(stored) = input.get(2..2 + length).map(Bytes::copy_from_slice) else { continue };
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        input[..2].copy_from_slice(&length.to_le_bytes());
        if Record::decode_stored(&stored, UID).is_ok() {
            return;
        }
    }
}

fn replicated(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode_replicated(&mut bytes);
    bytes
}

fn run_records(input: &[u8], features: &mut Features) {
    let Some((length, rest)) = input.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (first, second) = rest.split_at(length);
    let stored = Record::decode_stored(&Bytes::copy_from_slice(first), UID);
    features.outcome(&stored);
    if let Ok(record) = &stored {
        let mut again = Vec::new();
        record.encode_stored(&mut again);
        // A right of another run is dropped.
        assert!(again == first || first[1] == 1 && record.right().is_none(), "another form");
        let part = Record::replicated_part(&Bytes::copy_from_slice(first));
        assert_eq!(part.as_deref(), Ok(&replicated(record)[..]), "its part is what replicas share");
    }
    let sent = Record::decode_replicated(&Bytes::copy_from_slice(second));
    features.outcome(&sent);
    if let Ok(record) = &sent {
        assert_eq!(replicated(record), second, "what is accepted is canonical");
        let digest = Record::digest_of_replicated(second);
        assert_eq!(digest, Ok((!record.is_nothing()).then(|| record.digest())), "one digest");
    }
    if let (Ok(stored), Ok(sent)) = (stored, sent) {
        for conflict in [Conflict::Siblings, Conflict::Lww] {
            meet(&stored, &sent, conflict, features);
        }
    }
}

/// Two records meet, and the key is read and written.
fn meet(one: &Record, other: &Record, conflict: Conflict, features: &mut Features) {
    let (mut here, mut there) = (one.clone(), other.clone());
    features.note(&here.merge(other, conflict));
    there.merge(one, conflict);
    assert_eq!(here.digest(), there.digest(), "replicas that have heard the same are equal");
    let before = here.clone();
    here.merge(other, conflict);
    assert_eq!(here.digest(), before.digest(), "a merge twice is a merge");
    if here.versions().is_empty() && !here.is_nothing() {
        // Each says that the other's versions were overwritten by its own. As a version is newer than
        // all that it overwrites, no two shards that tell the truth come to that.
        features.tell(&"each overwrote the other");
        return;
    }
    let encoded = Bytes::from(replicated(&here));
    assert_eq!(
        Record::decode_replicated(&encoded).map(|record| record.digest()),
        Ok(here.digest()),
        "what was merged can be sent"
    );
    let context = here.read(WallMillis(5)).context;
    let mut minter = Minter::new(UID);
    let written = here.write(&mut minter, Write { conflict, ..write(77, context.clone()) });
    features.outcome(&written);
    let Ok(written) = written else { return };
    assert!(!written.minted || !context.covers(written.dot), "a new dot is new");
    assert!(here.history().contains(written.dot), "and known");
}

fn context_seeds() -> Vec<Vec<u8>> {
    let context = |record: &Record| {
        let mut bytes = Vec::new();
        record.read(WallMillis(0)).context.encode(&mut bytes);
        bytes
    };
    records().iter().map(context).collect()
}

fn guard() -> (ContextKey, Option<Key>) {
    (ContextKey::of(ClusterId::of("stones")), Key::new("bucket", "key").ok())
}

fn run_context(input: &[u8], features: &mut Features) {
    let context = Context::decode(input);
    features.outcome(&context);
    let (Ok(context), (guard, Some(key))) = (context, guard()) else { return };
    let mut again = Vec::new();
    context.encode(&mut again);
    assert_eq!(again, input, "what is accepted is canonical");
    let token = context.to_token(&guard, &key);
    if token.len() <= TOKEN_CHARACTERS_MAX {
        let back = Context::from_token(&guard, &key, &token);
        assert_eq!(back, Ok(context.sealed(guard.seal(&key))), "a token comes back");
    }
}

fn token_seeds() -> Vec<Vec<u8>> {
    let (guard, Some(key)) = guard() else { return Vec::new() };
    let token =
        |record: &Record| record.read(WallMillis(0)).context.to_token(&guard, &key).into_bytes();
    records().iter().map(token).collect()
}

fn run_token(input: &[u8], features: &mut Features) {
    let (Ok(token), (guard, Some(key))) = (str::from_utf8(input), guard()) else { return };
    let context = Context::from_token(&guard, &key, token);
    features.outcome(&context);
    if let Ok(context) = context {
        assert_eq!(context.to_token(&guard, &key), token, "one context, one token");
    }
}

fn swim(own: u64) -> Swim {
    let settings = SwimSettings {
        own: NodeId(own),
        incarnation: Incarnation(own),
        life: 1,
        members: BTreeSet::from([1, 2, 3].map(NodeId)),
        timing: SwimTiming::default(),
        seed: own,
    };
    Swim::new(settings, Instant::from_micros(0))
}

fn health() -> SelfHealth {
    SelfHealth {
        loop_lag_ms: 3,
        storage: StorageState::Ok,
        wall: WallMillis(1_000),
        keys: 5,
        disk_bytes: 6,
        hints: vec![HintsKept { home: NodeId(3), count: 1, oldest: WallMillis(1) }],
    }
}

/// Packets, each after who sent it and its length in 16 bits: what two members say to each other.
fn gossip_seeds() -> Vec<Vec<u8>> {
    let mut members = [swim(1), swim(2)];
    let mut seeds = Vec::new();
    let mut seed = Vec::new();
    let mut effects = Vec::new();
    for step in 0..40_u64 {
        let now = Instant::from_micros(step * 50_000);
        for (at, sender) in [(0, 1), (1, 2)] {
            members[at].expire(now, &mut effects);
            if step == 20 {
                let sampled = SwimEvent::HealthSampled(health());
                members[at].handle(now, sampled, &mut effects);
            }
            for effect in std::mem::take(&mut effects) {
                let SwimEffect::SendPacket { to, bytes } = effect else { continue };
                if at == 1 {
                    seed.push(2);
                    seed.extend(u16::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
                    seed.extend(&bytes);
                }
                if to == NodeId(3 - sender) {
                    let heard = SwimEvent::PacketReceived { from: NodeId(sender), bytes };
                    members[1 - at].handle(now, heard, &mut effects);
                }
            }
        }
        if seed.len() > 300 {
            seeds.push(std::mem::take(&mut seed));
        }
    }
    seeds.push(seed);
    seeds
}

fn run_gossip(input: &[u8], features: &mut Features) {
    let mut member = swim(1);
    let mut effects = Vec::new();
    let mut now = Instant::from_micros(0);
    let mut rest = input;
    while let [from, low, high, packets @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(packets.len());
        let (packet, behind) = packets.split_at(length);
        rest = behind;
        let bytes = Bytes::copy_from_slice(packet);
        let heard = SwimEvent::PacketReceived { from: NodeId((*from).into()), bytes };
        member.handle(now, heard, &mut effects);
        now = now.after(Duration::from_millis(60));
        member.expire(now, &mut effects);
        if let Some(due) = member.deadline() {
            assert!(due > now, "what was due is done");
        }
    }
    for effect in &effects {
        if let SwimEffect::SendPacket { bytes, .. } = effect {
            assert!(bytes.len() <= PACKET_BYTES_MAX, "a packet of {} bytes", bytes.len());
        }
    }
    // One by one: in which order they come is no feature.
    for effect in &effects {
        features.note(effect);
    }
    let counters = member.counters();
    features.note(&(counters.packets_refused > 0, counters.strangers > 0));
    features.note(&(counters.renewals > 0, counters.protocol_errors > 0));
}

fn property_seeds() -> Vec<Vec<u8>> {
    let defaults = serde_json::to_vec(&BucketProperties::default());
    let other: &[u8] = br#"{"n":5,"w":3,"ttl":"30d","conflict":"lww","value_bytes_max":"1MiB"}"#;
    let lines: &[u8] = b"n=3\nttl=none\nsloppy=false";
    defaults.into_iter().chain([other.to_vec(), lines.to_vec()]).collect()
}

fn run_properties(input: &[u8], features: &mut Features) {
    let change = serde_json::from_slice::<BucketChange>(input);
    features.note(&change.as_ref().map_err(serde_json::Error::classify));
    if let Ok(change) = change {
        apply(&change, features);
    }
    let Ok(text) = str::from_utf8(input) else { return };
    let pairs = text.lines().try_fold(BucketChange::default(), BucketChange::parse_pair);
    if let Some(change) = pairs {
        apply(&change, features);
    }
}

fn apply(change: &BucketChange, features: &mut Features) {
    let applied = change.apply(&BucketProperties::default());
    if let Err(violations) = &applied {
        violations.0.iter().for_each(|violation| features.tell(&violation.limit));
    }
    let Ok(properties) = applied else { return };
    assert!(properties.validate().is_ok(), "what is applied is valid");
    let again = serde_json::to_vec(&properties)
        .and_then(|json| serde_json::from_slice::<BucketChange>(&json));
    let again = again.ok().and_then(|change| BucketProperties::try_from(change).ok());
    assert_eq!(again, Some(properties), "properties come back");
}

fn word_seeds() -> Vec<Vec<u8>> {
    let words = [
        "250ms",
        "30d",
        "64KiB",
        "node-1",
        "127.0.0.1:7400",
        "[::1]:7400",
        "example.org:1",
        "123e4567-e89b-12d3-a456-426614174000",
        "000000000000000a.1.2",
        "periodic",
    ];
    words.map(|word| word.as_bytes().to_vec()).into()
}

/// Whatever is read from a word is printed as a word that means the same.
fn run_words(input: &[u8], features: &mut Features) {
    let Ok(text) = str::from_utf8(input) else { return };
    let most = Duration::from_hours(24 * 365);
    let span = parse_duration(text, most);
    features.outcome(&span);
    if let Ok(span) = span {
        assert_eq!(parse_duration(&Span(span).to_string(), most), Ok(span));
    }
    let size = parse_size(text, 1 << 50);
    features.outcome(&size);
    if let Ok(size) = size {
        assert_eq!(parse_size(&Size(size).to_string(), 1 << 50), Ok(size));
    }
    if let Ok(id) = text.parse::<WriteId>() {
        features.tell(&"a write id");
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(dot) = text.parse::<Dot>() {
        features.tell(&"a dot");
        assert_eq!(dot.to_string(), text, "one dot, one form");
    }
    if let Ok(address) = text.parse::<Address>() {
        features.note(&address);
        assert_eq!(address.to_string().parse().ok(), Some(address));
    }
    features.outcome(&NodeName::new(text));
    features.outcome(&ClusterName::new(text));
    features.outcome(&text.parse::<Durability>().map_err(InvalidDurability::expected));
}
