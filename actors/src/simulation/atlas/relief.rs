//! The ends of faults, and the nodes that ended or stopped by themselves.

use tokio::time::Instant;

use super::{
    super::{
        Fault, Options, World,
        sites::Armed,
        world::{Ended, NAMES, NotStarted},
    },
    Atlas, Relief,
};
use crate::storage::disk_simulated::Faults;

impl Atlas {
    /// Ends what is due, and looks after nodes that ended or stopped by themselves.
    pub async fn tend(&mut self, world: &mut World) {
        for (node, ended) in world.bury().await {
            let Some(node) = NAMES.iter().copied().find(|known| **known == node) else { continue };
            match ended {
                Ended::At(site) => {
                    self.count(Fault::CrashAtSite, &[node], format!("{node} {site:?}"));
                }
                Ended::Failed(reason) => self.book.note(format!("{node} gave up: {reason}")),
            }
            self.forget(node);
            self.busy.insert(node);
            self.end_later(Relief::Start(node, None));
        }
        for (node, site) in world.stopped_at_sites() {
            let Some(node) = NAMES.iter().copied().find(|known| **known == node) else { continue };
            let is_known = |relief: &Relief| matches!(relief, Relief::Resume(of) if *of == node);
            if !self.reliefs.iter().any(|(_, relief)| is_known(relief)) {
                world.pause(node);
                self.count(Fault::PauseAtSite, &[node], format!("{node} {site:?}"));
                self.busy.insert(node);
                self.end_later(Relief::Resume(node));
            }
        }
        let now = Instant::now();
        while let Some(place) = self.reliefs.iter().position(|(at, _)| *at <= now) {
            let (_, relief) = self.reliefs.remove(place);
            self.relieve(world, relief).await;
        }
        self.open_doors(world);
        self.tell_service(world);
    }

    /// What was to end a fault of a node's is moot: it ended.
    fn forget(&mut self, node: &str) {
        self.reliefs.retain(|(_, relief)| match relief {
            // The room of a disk outlasts its process.
            Relief::Heal | Relief::SpeedUp | Relief::MakeRoom(_) => true,
            Relief::Start(of, _) | Relief::Resume(of) | Relief::Replace(of) | Relief::Sync(of) => {
                *of != node
            }
        });
    }

    async fn relieve(&mut self, world: &mut World, relief: Relief) {
        match relief {
            Relief::Heal => {
                world.network.heal_all();
                self.is_cut = false;
                self.service.part(Vec::new());
                self.book.note("the cut is healed".to_owned());
            }
            Relief::SpeedUp => {
                world.network.speed_up_all();
                self.is_slow = false;
                self.book.note("the link is as fast as before".to_owned());
            }
            Relief::Start(node, armed) => self.start(world, node, armed).await,
            Relief::Resume(node) => {
                world.resume(node);
                self.busy.remove(node);
                self.book.note(format!("{node} goes on"));
            }
            Relief::Replace(node) => {
                if world.runs(node) {
                    world.kill(node).await;
                    self.book.note(format!("{node} is killed"));
                }
                self.end_later(Relief::Start(node, None));
            }
            Relief::MakeRoom(node) => {
                world.disk(node).set_capacity(None);
                self.busy.remove(node);
                self.book.note(format!("the disk of {node} has room again"));
            }
            Relief::Sync(node) => {
                world.disk(node).run_syncs();
                self.busy.remove(node);
                self.book.note(format!("the disk of {node} syncs again"));
            }
        }
    }

    async fn start(&mut self, world: &mut World, node: &'static str, armed: Option<Armed>) {
        if world.runs(node) {
            return;
        }
        match world.start(node, armed).await {
            Ok(()) => {
                self.busy.remove(node);
                self.book.note(format!("{node} starts"));
            }
            Err(NotStarted::Died) => {
                self.count(Fault::CrashAtSite, &[node], format!("{node} AtRestart"));
                self.end_later(Relief::Start(node, None));
            }
            // A node needs room to start.
            Err(NotStarted::Refused(_)) if self.is_full(node) => {
                self.end_later(Relief::Start(node, None));
            }
            Err(NotStarted::Refused(error)) => {
                self.problems.push(format!("does not start: {node}, {error}"));
                self.end_later(Relief::Start(node, None));
            }
        }
    }

    fn is_full(&self, node: &str) -> bool {
        let room = |relief: &Relief| matches!(relief, Relief::MakeRoom(of) if *of == node);
        self.reliefs.iter().any(|(_, relief)| room(relief))
    }

    /// Ends all faults, now.
    pub async fn calm(&mut self, world: &mut World) {
        world.network.set_profile(Options::calm_profile());
        for node in world.names() {
            world.disarm(node);
            world.resume(node);
            world.disk(node).set_capacity(None);
            world.disk(node).set_faults(Faults::default());
            world.disk(node).run_syncs();
            world.clock(node).set_skew_ms(0);
            world.clock(node).set_drift_ppm(0);
        }
        for (_, relief) in std::mem::take(&mut self.reliefs) {
            let relief = match relief {
                Relief::Start(node, _) => Relief::Start(node, None),
                relief => relief,
            };
            self.relieve(world, relief).await;
        }
        for node in world.poisoned() {
            world.kill(&node).await;
        }
        for node in world.names() {
            self.start(world, node, None).await;
        }
        self.reliefs.clear();
        self.busy.clear();
        world.network.heal_all();
        self.open_doors(world);
    }

    /// All is equal: what was lost is made up for.
    pub fn forgive(&mut self) {
        self.damaged.clear();
    }

    /// Shows clients the nodes that run.
    pub fn open_doors(&self, world: &World) {
        let mut doors = self.doors.borrow_mut();
        doors.clear();
        for node in world.names().into_iter().filter(|node| world.runs(node)) {
            doors.insert(node, world.node(node).clone());
        }
    }
}
