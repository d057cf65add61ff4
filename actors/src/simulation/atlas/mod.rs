//! The atlas of faults: what goes wrong, where, for how long; and never more than the fault model
//! allows, so that every red seed is a bug.
//!
//! | rule | |
//! | --- | --- |
//! | damage | at most `damaged_max` nodes lose what they had acknowledged, until all is equal again |
//! | one at a time | a node has one fault of its own at a time; the network has one cut |
//! | an end | each fault has one, at the latest that of the burst |
//!
//! `network.rs` has the faults of the network, `relief.rs` the ends of all; `service.rs` says what
//! clients may expect meanwhile.

mod network;
mod relief;
mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use self::service::Service;
use super::{
    Fault, Site, World,
    book::Book,
    options::Options,
    sites::{Act, Armed},
    workload::Doors,
    world::NAMES,
};
use crate::{NodeHandle, settings::ShardCount, storage::disk_simulated::Faults};

/// What ends a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relief {
    Heal,
    SpeedUp,
    Start(&'static str, Option<Armed>),
    Resume(&'static str),
    /// Kills a node whose log is poisoned; it starts later.
    Replace(&'static str),
    MakeRoom(&'static str),
    Sync(&'static str),
}

/// The atlas.
pub(super) struct Atlas {
    pub options: Arc<Options>,
    pub rng: fastrand::Rng,
    pub book: Book,
    doors: Doors<NodeHandle>,
    /// The nodes that lost what they had acknowledged since all was equal.
    damaged: BTreeSet<&'static str>,
    /// The nodes with a fault of their own.
    busy: BTreeSet<&'static str>,
    is_cut: bool,
    is_slow: bool,
    service: Service,
    reliefs: Vec<(Instant, Relief)>,
    pub counts: BTreeMap<Fault, u64>,
    /// What ought not to have happened, whatever the clients saw.
    pub problems: Vec<String>,
}

impl Atlas {
    /// An atlas for a run.
    pub fn new(options: Arc<Options>, book: Book, doors: Doors<NodeHandle>) -> Self {
        let service = Service::new(&options);
        let rng = fastrand::Rng::with_seed(options.seed ^ 0x0061_746c_6173);
        Self {
            options,
            rng,
            book,
            doors,
            damaged: BTreeSet::new(),
            busy: BTreeSet::new(),
            is_cut: false,
            is_slow: false,
            service,
            reliefs: Vec::new(),
            counts: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// When something is to be done at the latest.
    pub fn next_relief(&self) -> Option<Instant> {
        self.reliefs.iter().map(|(at, _)| *at).min()
    }

    /// Begins a fault, if one that is drawn can be.
    pub async fn begin(&mut self, world: &mut World) {
        let happens = |fault: &&Fault| !fault.is_weather() && **fault != Fault::TornTail;
        let faults: Vec<Fault> = self.options.faults.iter().filter(happens).copied().collect();
        if faults.is_empty() {
            return;
        }
        for _ in 0..4 {
            let fault = faults[self.rng.usize(..faults.len())];
            if self.try_to_begin(world, fault).await {
                break;
            }
        }
        self.open_doors(world);
        self.tell_service(world);
    }

    async fn try_to_begin(&mut self, world: &mut World, fault: Fault) -> bool {
        match fault {
            Fault::OneWay | Fault::Halves | Fault::Bridge | Fault::Ring | Fault::Isolation => {
                self.cut(world, fault)
            }
            Fault::SlowLink => self.slow_a_link(world),
            // Whatever else happens would be nothing beside it.
            Fault::Blackout if self.rng.u8(..4) > 0 => false,
            Fault::Blackout => self.black_out(world).await,
            Fault::ClockJump | Fault::ClockDrift => self.bend_a_clock(world, fault),
            Fault::Panic => self.panic(world),
            fault => {
                let idle: Vec<_> = NAMES[..self.options.nodes]
                    .iter()
                    .copied()
                    .filter(|node| !self.busy.contains(node) && world.runs(node))
                    .collect();
                let Some(node) = self.choose(&idle) else { return false };
                if fault.is_damage() && !self.may_damage(node) {
                    return false;
                }
                self.expect_less(world, &[node]);
                self.strike(world, fault, node).await
            }
        }
    }

    fn choose<T: Copy>(&mut self, among: &[T]) -> Option<T> {
        (!among.is_empty()).then(|| among[self.rng.usize(..among.len())])
    }

    fn may_damage(&self, node: &str) -> bool {
        self.damaged.contains(node) || self.damaged.len() < self.options.damaged_max
    }

    fn count(&mut self, fault: Fault, down: &[&str], note: String) {
        *self.counts.entry(fault).or_default() += 1;
        self.book.mark_fault(fault.name(), down, note);
    }

    fn span(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(50..=self.options.fault_ms_max))
    }

    fn end_later(&mut self, relief: Relief) {
        let at = Instant::now() + self.span();
        self.reliefs.push((at, relief));
    }

    /// A fault of one node.
    async fn strike(&mut self, world: &mut World, fault: Fault, node: &'static str) -> bool {
        let (down, mut note) = ([node], String::new());
        let disk = Arc::clone(world.disk(node));
        match fault {
            Fault::Crash => {
                world.kill(node).await;
                self.end_later(Relief::Start(node, None));
            }
            Fault::PowerCut => {
                self.damaged.insert(node);
                disk.set_tearing(self.options.faults.contains(&Fault::TornTail));
                let before = disk.losses();
                world.power_cut(node).await;
                let torn = disk.losses().torn - before.torn;
                if torn > 0 {
                    *self.counts.entry(Fault::TornTail).or_default() += torn;
                }
                note = format!("{} changes lost", disk.losses().changes - before.changes);
                self.end_later(Relief::Start(node, None));
            }
            Fault::Wipe => {
                self.damaged.insert(node);
                world.kill(node).await;
                world.wipe(node);
                self.end_later(Relief::Start(node, None));
            }
            Fault::Restart => {
                self.doors.borrow_mut().remove(node);
                world.stop(node).await;
                self.end_later(Relief::Start(node, None));
            }
            Fault::Pause => {
                world.pause(node);
                self.end_later(Relief::Resume(node));
            }
            Fault::CrashAtSite | Fault::PauseAtSite => return self.arm(world, fault, node).await,
            Fault::BitRot => {
                let Some(place) = self.rot(world, node) else { return false };
                self.damaged.insert(node);
                self.service.rotten.insert(node);
                self.count(fault, &[], place);
                return true;
            }
            Fault::WriteError => {
                disk.set_faults(Faults { appends: true, ..Faults::default() });
                self.end_later(Relief::Replace(node));
            }
            Fault::SyncError => {
                disk.set_faults(Faults { syncs: true, ..Faults::default() });
                self.end_later(Relief::Replace(node));
            }
            Fault::FullDisk => {
                // At most the reserve and a little more.
                let scale = 1 + self.options.tuning.reserve_bytes / 1_000;
                let room = self.rng.u64(0..=1_000) * scale;
                disk.set_capacity(Some(disk.used() + room));
                self.end_later(Relief::MakeRoom(node));
            }
            Fault::SlowSync => {
                disk.hold_syncs();
                self.end_later(Relief::Sync(node));
            }
            _ => return false,
        }
        self.busy.insert(node);
        let is_down = !world.runs(node) || fault == Fault::Pause;
        let note = format!("{node} {note}");
        self.count(fault, if is_down { &down } else { &[] }, note.trim_end().to_owned());
        true
    }

    /// A node dies or stops at a named place of its code, should it come there.
    async fn arm(&mut self, world: &mut World, fault: Fault, node: &'static str) -> bool {
        let act = if fault == Fault::CrashAtSite { Act::Die } else { Act::Stop };
        let site = Site::ALL[self.rng.usize(..Site::ALL.len())];
        if (site, act) == (Site::AtRestart, Act::Stop) {
            return false;
        }
        let passes = self.rng.u32(0..8).pow(2);
        let armed = Armed { site, passes: if site == Site::AtRestart { 0 } else { passes }, act };
        if site == Site::AtRestart {
            world.kill(node).await;
            self.busy.insert(node);
            self.end_later(Relief::Start(node, Some(armed)));
        } else {
            self.service.doubt(node);
            self.tell_service(world);
            world.arm(node, armed);
        }
        true
    }

    async fn black_out(&mut self, world: &mut World) -> bool {
        let all: Vec<_> = NAMES[..self.options.nodes]
            .iter()
            .copied()
            .filter(|node| world.runs(node) && !self.busy.contains(node))
            .collect();
        self.expect_less(world, &all);
        for node in &all {
            world.kill(node).await;
            self.busy.insert(node);
            self.end_later(Relief::Start(node, None));
        }
        self.count(Fault::Blackout, &all, all.join(", "));
        true
    }

    fn bend_a_clock(&mut self, world: &World, fault: Fault) -> bool {
        let Some(node) = self.choose(&NAMES[..self.options.nodes]) else { return false };
        let clock = world.clock(node);
        let note = if fault == Fault::ClockJump {
            let most = [1_000, 60_000, 3_600_000][self.rng.usize(..3)];
            let skew = self.rng.i64(-most..=most);
            clock.set_skew_ms(skew);
            format!("{node} is off by {skew} ms")
        } else {
            let drift = self.rng.i64(-200_000..=200_000);
            clock.set_drift_ppm(drift);
            format!("{node} is {drift} ppm too fast")
        };
        self.count(fault, &[], note);
        true
    }

    fn panic(&mut self, world: &World) -> bool {
        let running: Vec<_> =
            NAMES[..self.options.nodes].iter().copied().filter(|node| world.runs(node)).collect();
        let Some(node) = self.choose(&running) else { return false };
        let actor = NodeHandle::ACTORS[self.rng.usize(..NodeHandle::ACTORS.len())];
        let shards = world.node(node).settings().node.shards.map_or(1, ShardCount::get);
        let shard = usize::from(self.rng.u16(..shards));
        // It may come late, where an actor has little to do.
        self.service.doubt(node);
        self.tell_service(world);
        world.node(node).plant_panic(actor, shard);
        self.count(Fault::Panic, &[], format!("{actor} of {node}, shard {shard}"));
        true
    }

    /// Changes a byte of a log; says where.
    fn rot(&mut self, world: &World, node: &str) -> Option<String> {
        let disk = world.disk(node);
        let is_log = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "log");
        let logs: Vec<_> = disk.files("/data".as_ref()).into_iter().filter(is_log).collect();
        if logs.is_empty() {
            return None;
        }
        let path = &logs[self.rng.usize(..logs.len())];
        let mut bytes = disk.contents(path).filter(|bytes| !bytes.is_empty())?;
        let at = self.rng.usize(..bytes.len());
        bytes[at] ^= 1 << self.rng.u8(..8);
        disk.overwrite(path, bytes);
        Some(format!("{node} {}:{at}", path.display()))
    }
}
