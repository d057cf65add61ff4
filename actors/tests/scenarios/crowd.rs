//! Clients that work while a story goes on.

use std::time::Duration;

use tokio::{
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep},
};

use crate::{
    pen::{Pen, Request, Seen},
    stage::Stage,
};

/// Clients, and what they do.
#[derive(Clone)]
pub struct Crowd {
    pub clients: u64,
    pub keys: Vec<String>,
    /// Between two requests of a client, on average.
    pub pause_ms: u64,
    /// Of homes only.
    pub strict: bool,
    /// R and W, where not as the bucket says.
    pub quorum: Option<u8>,
    pub deletes: bool,
    /// How long a request may take.
    pub within_ms: u64,
}

impl Crowd {
    /// Four clients on six keys.
    pub fn four() -> Self {
        Self {
            clients: 4,
            keys: (0..6).map(|number| format!("k{number}")).collect(),
            pause_ms: 40,
            strict: false,
            quorum: None,
            deletes: true,
            within_ms: 2_000,
        }
    }

    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// On keys of that bucket instead.
    pub fn in_bucket(self, bucket: &str) -> Self {
        let keys = self.keys.iter().map(|key| format!("{bucket}/{key}")).collect();
        Self { keys, ..self }
    }

    /// Works on `stage` for so long.
    pub fn work(&self, stage: &Stage, ms: u64) -> Work {
        let end = Instant::now() + Duration::from_millis(ms);
        let client = |number| {
            let rng = fastrand::Rng::with_seed(stage.seed * 1_000 + number);
            let (crowd, pen) = (self.clone(), stage.pen.clone());
            spawn_local(Client { crowd, pen, rng }.work(end))
        };
        Work((0..self.clients).map(client).collect())
    }
}

/// Clients at work.
#[must_use]
pub struct Work(Vec<JoinHandle<()>>);

impl Work {
    /// Waits until all have their last answer.
    pub async fn done(self) {
        for client in self.0 {
            client.await.unwrap();
        }
    }
}

struct Client {
    crowd: Crowd,
    pen: Pen,
    rng: fastrand::Rng,
}

impl Client {
    async fn work(mut self, end: Instant) {
        while Instant::now() < end {
            sleep(Duration::from_millis(self.rng.u64(0..=2 * self.crowd.pause_ms))).await;
            self.act().await;
        }
    }

    fn shaped(&self, request: Request) -> Request {
        let request = request.within(self.crowd.within_ms);
        let request = if self.crowd.strict { request.strict() } else { request };
        match self.crowd.quorum {
            Some(nodes) => request.of(nodes),
            None => request,
        }
    }

    /// A door, at random; `None` while no node runs.
    fn door(&mut self) -> Option<String> {
        let doors = self.pen.doors();
        let chosen = self.rng.usize(..doors.len().max(1));
        doors.into_iter().nth(chosen)
    }

    async fn act(&mut self) {
        let text = self.crowd.keys[self.rng.usize(..self.crowd.keys.len())].clone();
        let Some(node) = self.door() else { return };
        match self.rng.u8(..10) {
            0..4 => drop(self.shaped(self.pen.get(&node, &text)).send().await),
            4 => drop(self.shaped(self.pen.put(&node, &text)).send().await),
            chosen => {
                let Some(seen) = self.shaped(self.pen.get(&node, &text)).send().await else {
                    return;
                };
                let Some(node) = self.door() else { return };
                self.follow(&node, &text, &seen, chosen == 9).await;
            }
        }
    }

    async fn follow(&self, node: &str, text: &str, seen: &Seen, deletes: bool) {
        let request = if deletes && self.crowd.deletes && !seen.vals.is_empty() {
            self.pen.delete(node, text, seen)
        } else {
            self.pen.put(node, text).over(seen)
        };
        drop(self.shaped(request).send().await);
    }
}
