//! What is done to the cluster: one thing at a time to processes, and one at a time to links.

use std::{cell::RefCell, collections::BTreeSet, fs, rc::Rc, time::Duration};

use futures_util::future::join_all;
use henge_actors::simulation::{
    Book,
    history::{Event, Mark, MarkName},
};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    cluster::{Cluster, Member},
    door::Door,
    shapes::{Links, cut_by},
};
use crate::cli::Harm;

/// How long a node may take to be ready, on a busy machine.
const READY: Duration = Duration::from_secs(30);
/// Time between two looks at a node.
const LOOK: Duration = Duration::from_millis(50);
/// How often a node is started again that ends by itself.
const STARTS_MAX: usize = 3;
/// How many turns each kind of harm has, until it has happened.
const TRIES_MAX: u32 = 3;
/// A harm and the quiet after it take a tenth of the run, within these.
const SLOT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

/// A cluster, and what is being done to it.
pub struct Field {
    cluster: RefCell<Cluster>,
    links: RefCell<Links>,
    book: Book,
    problems: RefCell<Vec<String>>,
}

impl Field {
    pub fn new(cluster: Cluster, book: Book) -> Rc<Self> {
        let (cluster, links) = (RefCell::new(cluster), RefCell::default());
        Rc::new(Self { cluster, links, book, problems: RefCell::default() })
    }

    /// How many nodes there are.
    pub fn size(&self) -> usize {
        self.cluster.borrow().members.len()
    }

    /// The name of a node.
    pub fn name(&self, node: usize) -> &'static str {
        self.with(node, |member| member.name)
    }

    /// The HTTP interface of a node.
    pub fn door(&self, node: usize) -> Door {
        Door::new(self.with(node, |member| member.site.http))
    }

    fn with<T>(&self, node: usize, act: impl FnOnce(&mut Member) -> T) -> T {
        act(&mut self.cluster.borrow_mut().members[node])
    }

    fn complain(&self, problem: String) {
        self.problems.borrow_mut().push(problem);
    }

    /// Does harm of these kinds for `span`, each at least once, if there is time.
    pub async fn suffer(&self, kinds: &[Harm], mut rng: fastrand::Rng, span: Duration) {
        let Ok(count) = u32::try_from(kinds.len()) else { return };
        if count == 0 {
            return;
        }
        let slot = (span / 10).clamp(SLOT.0, SLOT.1).min(span / count);
        let (mut begins, end, mut deck) = (Instant::now(), Instant::now() + span, Vec::new());
        let mut missing: BTreeSet<Harm> = kinds.iter().copied().collect();
        let mut turns = 0;
        // On a busy machine nodes are back late: then the run is longer, but nothing is left out.
        while (!missing.is_empty() && turns < TRIES_MAX * count)
            || (begins + slot <= end && Instant::now() < end)
        {
            if deck.is_empty() {
                deck = kinds.to_vec();
                rng.shuffle(&mut deck);
            }
            sleep_until(begins + slot.mul_f64(0.05 + 0.15 * rng.f64())).await;
            let hold = slot.mul_f64(0.3 + 0.4 * rng.f64());
            let Some(kind) = deck.pop() else { break };
            if kind.is_of_links() {
                if self.cut(kind, &mut rng, hold).await {
                    missing.remove(&kind);
                } else {
                    deck.push(kind);
                }
            } else {
                self.strike(kind, &mut rng, hold).await;
                missing.remove(&kind);
            }
            (begins, turns) = (begins + slot, turns + 1);
        }
    }

    /// Kills or pauses up to a minority.
    async fn strike(&self, kind: Harm, rng: &mut fastrand::Rng, hold: Duration) {
        let mut victims: Vec<usize> = (0..self.size()).collect();
        rng.shuffle(&mut victims);
        victims.truncate(rng.usize(1..=(self.size() - 1) / 2));
        for victim in &victims {
            self.see_whether_it_ended(*victim);
            if kind == Harm::Kill {
                self.with(*victim, Member::kill);
            } else if let Err(error) = self.with(*victim, Member::pause) {
                self.complain(format!("{} cannot be paused: {error}", self.name(*victim)));
            }
        }
        let names: Vec<_> = victims.iter().map(|victim| self.name(*victim)).collect();
        self.book.mark_fault(kind.name(), &names, names.join(" "));
        sleep(hold).await;
        join_all(victims.iter().map(|victim| self.bring_back(*victim))).await;
        self.book.note(format!("{} back after {}", names.join(" "), kind.name()));
    }

    /// Cuts links at the sockets of the nodes that run; says whether any was told.
    async fn cut(&self, kind: Harm, rng: &mut fastrand::Rng, hold: Duration) -> bool {
        let mut nodes: Vec<usize> = (0..self.size()).collect();
        rng.shuffle(&mut nodes);
        // The first is always one whose links are cut.
        let at_work = |node: &usize| self.with(*node, |member| member.is_at_work());
        if let Some(place) = nodes.iter().position(at_work) {
            nodes.swap(0, place);
        }
        *self.links.borrow_mut() = cut_by(kind, &nodes, rng);
        let told = join_all((0..self.size()).map(|node| self.apply(node))).await;
        let is_cut = told.contains(&true);
        if is_cut {
            let order: Vec<_> = nodes.iter().map(|node| self.name(*node)).collect();
            self.book.mark_fault(kind.name(), &[], order.join(" "));
        }
        sleep(hold).await;
        self.links.borrow_mut().clear();
        join_all((0..self.size()).map(|node| self.apply(node))).await;
        self.book.note(format!("links whole after {}", kind.name()));
        is_cut
    }

    /// Tells a node, if it runs, what to send to nobody; whether it is told of any cut. One that is
    /// away is told when it is back.
    async fn apply(&self, node: usize) -> bool {
        if !self.with(node, |member| member.is_at_work()) {
            return false;
        }
        let to = |(from, to): &(usize, usize)| (*from == node).then(|| self.name(*to));
        let peers: Vec<_> = self.links.borrow().iter().filter_map(to).collect();
        let mut door = self.door(node);
        let healed = door.send("POST", "/v1/admin/faults", Some(&json!({ "heal": true }))).await;
        if peers.is_empty() || healed.is_err() {
            return false;
        }
        let cut = json!({ "cut": peers, "one_way": true });
        door.send("POST", "/v1/admin/faults", Some(&cut)).await.is_ok()
    }

    /// Lets a node go on, or starts it, and waits until it is ready.
    pub async fn bring_back(&self, node: usize) {
        if let Err(error) = self.with(node, Member::go_on) {
            self.complain(format!("{} does not go on: {error}", self.name(node)));
        }
        if let Err(why) = self.start(node).await {
            self.complain(why);
        }
        self.apply(node).await;
    }

    /// Starts a node, if it does not run, and waits until it is ready.
    pub async fn start(&self, node: usize) -> Result<(), String> {
        let (name, mut door) = (self.name(node), self.door(node));
        let (began, mut starts) = (Instant::now(), 0);
        let mut why = String::new();
        while began.elapsed() < READY {
            // Somebody may have taken its port while it was away, for a moment.
            let ended = self.with(node, Member::ended);
            if let Some(status) = ended.filter(|_| starts == STARTS_MAX) {
                return Err(format!("{name} does not start: {status}"));
            }
            if !self.with(node, |member| member.runs()) {
                starts += 1;
                let started = self.with(node, Member::start);
                started.map_err(|error| format!("{name} does not start: {error}"))?;
            }
            match door.get("/ready").await {
                Ok(_) => return Ok(()),
                Err(error) => why = error,
            }
            sleep(LOOK).await;
        }
        Err(format!("{name} was not ready within {} s: {why}", READY.as_secs()))
    }

    /// A node that ends without being killed has a bug.
    fn see_whether_it_ended(&self, node: usize) {
        if let Some(status) = self.with(node, Member::ended) {
            self.complain(format!("{} ended by itself: {status}", self.name(node)));
        }
    }

    /// Ends all harm; then every node is ready, and hears every other.
    pub async fn calm(&self) {
        (0..self.size()).for_each(|node| self.see_whether_it_ended(node));
        self.links.borrow_mut().clear();
        join_all((0..self.size()).map(|node| self.bring_back(node))).await;
        self.book.write(Event::Mark(Mark::new(self.book.now(), MarkName::Heal)));
    }

    /// Stops all nodes; what went wrong beyond what clients can see.
    pub async fn end(&self) -> Vec<String> {
        (0..self.size()).for_each(|node| self.see_whether_it_ended(node));
        let cluster = self.cluster.take();
        let logs: Vec<_> =
            cluster.members.iter().map(|member| (member.name, member.log.clone())).collect();
        for name in cluster.stop().await {
            self.complain(format!("{name} did not stop in order"));
        }
        for (name, log) in logs {
            // A supervisor may have hidden it from clients.
            let said = fs::read_to_string(log).unwrap_or_default();
            let panics = said.lines().filter(|line| line.contains("henge::panic"));
            panics.for_each(|line| self.complain(format!("{name}: {line}")));
        }
        self.problems.take()
    }
}
