//! Kills and power cuts at any moment.

use proptest::prelude::*;

use super::*;
use crate::storage::{disk::Disk, disk_files::FileDisk, disk_simulated::Faults};

#[derive(Clone, Debug)]
enum Step {
    Append(Batch),
    HoldSyncs,
    RunSyncs,
    RequestSync,
    Reopen,
    Kill,
    PowerCut,
    /// The next append is interrupted after so many changes of the disk, then the power goes.
    PowerCutWithin(u64, Batch),
}

fn batch() -> impl Strategy<Value = Batch> {
    let name = (0..3u8, 0..4u8);
    let change =
        (name, proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..90)));
    let change = change.prop_map(|((bucket, name), payload)| {
        (key(&bucket.to_string(), &name.to_string()), payload)
    });
    proptest::collection::vec(change, 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => batch().prop_map(Step::Append),
        1 => Just(Step::HoldSyncs),
        2 => Just(Step::RunSyncs),
        4 => Just(Step::RequestSync),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        2 => Just(Step::PowerCut),
        1 => (0..6u64, batch()).prop_map(|(after, batch)| Step::PowerCutWithin(after, batch)),
    ]
}

/// The log and everything that it may hold after a power cut.
struct World {
    disk: SimulatedDisk,
    engine: Option<LogEngine>,
    segment_bytes: u32,
    /// The contents after each batch since the last crash, from what was there then.
    states: Vec<Contents>,
    /// The sequence after each of them.
    sequences: Vec<Sequence>,
}

impl World {
    fn new(seed: u64, segment_bytes: u32) -> Self {
        let disk = SimulatedDisk::new(seed);
        let (engine, report) = open(&disk, segment_bytes);
        assert_eq!(report, OpenReport::default());
        Self {
            disk,
            engine: Some(engine),
            segment_bytes,
            states: vec![Contents::new()],
            sequences: vec![Sequence(0)],
        }
    }

    fn engine(&mut self) -> &mut LogEngine {
        self.engine.as_mut().unwrap()
    }

    fn append(&mut self, batch: &Batch) {
        let sequence = append(self.engine(), batch).unwrap();
        self.note(batch, sequence);
    }

    fn note(&mut self, batch: &Batch, sequence: Sequence) {
        let mut next = self.states.last().unwrap().clone();
        apply(&mut next, batch);
        self.states.push(next);
        self.sequences.push(sequence);
    }

    /// The index of the last state that is known to be synced.
    fn synced(&self) -> usize {
        let synced = self.engine.as_ref().unwrap().counts().synced;
        // What was found at the opening was settled by the crash before it.
        self.sequences.iter().rposition(|sequence| *sequence <= synced).unwrap_or(0)
    }

    fn all_is_there(&mut self) {
        let (engine, report) = open(&self.disk, self.segment_bytes);
        assert_eq!((&report.cut, report.is_suspect()), (&None, false));
        assert_eq!(&contents(&engine), self.states.last().unwrap());
        assert_eq!(engine.counts().last, *self.sequences.last().unwrap());
        self.engine = Some(engine);
    }

    fn power_cut(&mut self) {
        let synced = self.synced();
        self.disk.power_cut();
        self.engine = None;
        let (engine, report) = open(&self.disk, self.segment_bytes);
        let found = contents(&engine);
        assert!(!report.is_suspect(), "{report:?}");
        assert!(self.states[synced..].contains(&found), "{report:?}");
        self.sequences = vec![engine.counts().last];
        self.states = vec![found];
        self.engine = Some(engine);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append(batch) => self.append(&batch),
            Step::HoldSyncs => self.disk.hold_syncs(),
            Step::RunSyncs => drop(self.disk.run_syncs()),
            Step::RequestSync => {
                self.engine().request_sync(Box::new(|synced| assert!(synced.is_ok())));
            }
            Step::Reopen => {
                self.engine = None;
                self.all_is_there();
            }
            Step::Kill => {
                self.disk.kill();
                self.engine = None;
                self.all_is_there();
            }
            Step::PowerCut => self.power_cut(),
            Step::PowerCutWithin(after, batch) => {
                self.disk.set_faults(Faults { all_after: Some(after), ..Faults::default() });
                let sequence = Sequence(self.sequences.last().unwrap().0 + batch.len() as u64);
                // Whether it was acknowledged or not: until it is synced it may be there or not.
                let _ = append(self.engine(), &batch);
                self.note(&batch, sequence);
                self.power_cut();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_kill_loses_nothing_and_a_power_cut_only_what_was_not_synced(
        seed in any::<u64>(),
        segment_bytes in prop_oneof![Just(300u32), Just(1000), Just(1 << 20)],
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(seed, segment_bytes);
        for step in steps {
            world.take(step);
        }
        world.take(Step::Kill);
    }
}

#[test]
fn a_sync_does_not_cover_what_was_written_while_it_ran() {
    let disk = SimulatedDisk::new(0);
    let (mut engine, _) = open(&disk, 1 << 20);
    let (batches, _) = sample();
    append(&mut engine, &batches[0]).unwrap();
    disk.hold_syncs();
    engine.request_sync(Box::new(|synced| assert_eq!(synced.unwrap(), Sequence(3))));
    append(&mut engine, &batches[1]).unwrap();
    assert_eq!(disk.run_syncs(), 1);
    let counts = engine.counts();
    assert_eq!((counts.synced, counts.last), (Sequence(3), Sequence(4)));
    assert!(counts.unsynced_bytes > 0 && counts.unsynced_bytes < counts.log_bytes / 2);
}

#[test]
fn every_truncation_of_the_tail_opens_with_whole_batches() {
    let (disk, batches, _) = sample_disk(1 << 20);
    let path = &segments(&disk)[0];
    let bytes = disk.contents(path).unwrap();
    let mut ends = vec![64];
    let mut states = vec![Contents::new()];
    for batch in &batches {
        let length = |(key, payload): &(Key, Option<Vec<u8>>)| {
            42 + key.bucket().len() + key.key().len() + payload.as_ref().map_or(0, Vec::len)
        };
        ends.push(ends.last().unwrap() + batch.iter().map(length).sum::<usize>());
        let mut state = states.last().unwrap().clone();
        apply(&mut state, batch);
        states.push(state);
    }
    assert_eq!(ends.last(), Some(&bytes.len()));

    for length in 0..=bytes.len() {
        let copy = disk.copy(0);
        copy.overwrite(path, bytes[..length].to_vec());
        let (mut engine, report) = open(&copy, 1 << 20);
        let whole = ends.iter().rposition(|end| *end <= length);
        assert_eq!(contents(&engine), states[whole.unwrap_or(0)], "{length}");
        let cut = report.cut.as_ref().map_or(0, |cut| cut.bytes as usize);
        assert_eq!(cut, whole.map_or(0, |whole| length - ends[whole]));
        assert!(!report.is_suspect());

        // And it goes on from there.
        append(&mut engine, &batches[4]).unwrap();
        let grown = contents(&engine);
        copy.kill();
        assert_eq!(contents(&open(&copy, 1 << 20).0), grown);
    }
}

#[test]
fn segments_are_sealed_before_they_grow_too_long_and_all_are_read_again() {
    let disk = SimulatedDisk::new(0);
    let (mut engine, _) = open(&disk, 1000);
    for number in 0..100 {
        append(&mut engine, &vec![(key("b", &number.to_string()), Some(vec![number; 100]))])
            .unwrap();
    }
    append(&mut engine, &vec![(key("b", "large"), Some(vec![7; 3000]))]).unwrap();
    let written = contents(&engine);
    assert_eq!(written.len(), 101);
    let counts = engine.counts();
    drop(engine);
    let lengths: Vec<usize> =
        segments(&disk).iter().map(|path| disk.contents(path).unwrap().len()).collect();
    assert!(lengths.len() > 15 && lengths.iter().rev().skip(1).all(|length| *length <= 1000));
    assert_eq!(lengths.iter().sum::<usize>() as u64, counts.log_bytes);
    let (engine, report) = open(&disk, 1000);
    assert_eq!(contents(&engine), written);
    assert_eq!((report.segments, report.is_suspect()), (lengths.len() as u64, false));
    let reopened = engine.counts();
    assert_eq!((reopened.live_bytes, reopened.log_bytes), (counts.live_bytes, counts.log_bytes));
    assert_eq!((reopened.last, reopened.keys), (counts.last, counts.keys));
}

#[test]
fn real_files_are_read_again_and_a_torn_tail_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let settings = LogSettings { directory: directory.path().join("shard-0"), ..settings(300) };
    let open = || LogEngine::open(Arc::new(FileDisk), settings.clone()).unwrap();
    let (batches, held) = sample();
    let (mut engine, _) = open();
    for batch in &batches {
        append(&mut engine, batch).unwrap();
    }
    assert_eq!(contents(&engine), held);
    drop(engine);
    let mut newest = FileDisk.list(&settings.directory).unwrap();
    assert_eq!(newest.len(), 4, "the lock and three segments: {newest:?}");
    let newest = settings.directory.join(newest.pop().unwrap());
    FileDisk.open(&newest).unwrap().append(b"torn").unwrap();

    let (engine, report) = open();
    assert_eq!(report.cut.map(|cut| (cut.path, cut.bytes)), Some((newest, 4)));
    assert_eq!(contents(&engine), held);
    drop(engine);
    assert_eq!(open().1.cut, None);
}
