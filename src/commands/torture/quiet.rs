//! What must come true once nothing fails any more: all replicas equal, nothing kept for others.

use std::{rc::Rc, time::Duration};

use henge_actors::{
    reports::{HintsReport, ReplicaReport},
    simulation::{
        Book, Place, dump,
        history::{Dump, Event, NodeState},
    },
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::{door::Door, harm::Field};

/// How long after the end of all faults replicas may differ.
pub const CONVERGE: Duration = Duration::from_secs(30);
/// How long we look on before what is not equal is judged.
const PATIENCE: Duration = Duration::from_secs(45);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Looks at all nodes.
pub struct Quiet<'a> {
    doors: Vec<(&'static str, Door)>,
    places: &'a [Rc<Place>],
    book: &'a Book,
}

impl<'a> Quiet<'a> {
    pub fn new(field: &Field, places: &'a [Rc<Place>], book: &'a Book) -> Self {
        let doors = (0..field.size()).map(|node| (field.name(node), field.door(node)));
        Self { doors: doors.collect(), places, book }
    }

    /// Waits until all is as it must be, as long as patience lasts, and writes down how it is then.
    pub async fn settle(&mut self) {
        let began = Instant::now();
        let mut apart: Vec<usize> = (0..self.places.len()).collect();
        loop {
            let is_last = began.elapsed() > PATIENCE;
            let kept = self.kept().await;
            let mut still = Vec::new();
            for place in apart {
                if !is_equal(&self.held(place).await) {
                    still.push(place);
                }
            }
            apart = still;
            if is_last || (apart.is_empty() && kept.iter().all(|state| state.hints == 0)) {
                let all = self.held_of_all().await;
                // What was equal one by one may have changed since.
                if is_last || all.iter().all(|held| is_equal(held)) {
                    let kept = kept.into_iter().map(Event::Node);
                    let dumps = all.into_iter().flatten().map(Event::Replica);
                    return kept.chain(dumps).for_each(|event| self.book.write(event));
                }
                apart = (0..self.places.len()).collect();
            }
            sleep(LOOK).await;
        }
    }

    /// What each node keeps for others. One that does not say may keep anything.
    async fn kept(&mut self) -> Vec<NodeState> {
        let mut kept = Vec::new();
        for (node, door) in &mut self.doors {
            let report = read::<HintsReport>(door, "/v1/admin/hints").await;
            let hints = report.map_or(1, |report| report.homes.iter().map(|home| home.count).sum());
            kept.push(NodeState { t: self.book.now(), node: (*node).to_owned(), hints });
        }
        kept
    }

    /// What the homes of a key hold, as far as they say.
    async fn held(&mut self, place: usize) -> Vec<Dump> {
        let place = &self.places[place];
        let path = format!("/v1/admin/replica/{}/{}", place.bucket.name, place.text);
        let mut held: Vec<Dump> = Vec::new();
        for (node, door) in &mut self.doors {
            let is_home = |first: &Dump| first.homes.iter().any(|home| home == node);
            // The first that answers knows who the homes are.
            if !held.first().is_none_or(is_home) {
                continue;
            }
            if let Ok(report) = read::<ReplicaReport>(door, &path).await {
                held.push(dump(self.book, (&place.bucket.name, &place.text), report, 0));
            }
        }
        held.retain(|dump| dump.homes.contains(&dump.node));
        held
    }

    async fn held_of_all(&mut self) -> Vec<Vec<Dump>> {
        let mut all = Vec::with_capacity(self.places.len());
        for place in 0..self.places.len() {
            all.push(self.held(place).await);
        }
        all
    }
}

fn is_equal(held: &[Dump]) -> bool {
    held.first().is_some_and(|first| {
        held.len() == first.homes.len() && held.iter().all(|dump| dump.digest == first.digest)
    })
}

async fn read<T: DeserializeOwned>(door: &mut Door, path: &str) -> Result<T, String> {
    let json = door.get(path).await?;
    serde_json::from_value(json).map_err(|error| error.to_string())
}
