//! Clients that write as fast as they are answered.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{
    processes::{PATIENCE, until},
    requests::Request,
};

/// Writers and what became of their writes.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    writers: Vec<JoinHandle<Outcome>>,
}

/// What one writer saw.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Keys whose puts were acknowledged; the value of each is its own name.
    pub acknowledged: Vec<String>,
    /// Everything that was not what it should be.
    pub failures: Vec<String>,
}

impl Load {
    /// One writer for each of `nodes`, each with keys of its own that begin with `name`.
    pub fn start(name: &str, nodes: &[SocketAddr]) -> Self {
        let (stop, acknowledged) = (Arc::default(), Arc::default());
        let writers = nodes.iter().enumerate().map(|(number, node)| {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            let (prefix, node) = (format!("{name}-{number}"), *node);
            thread::spawn(move || write(&prefix, node, &stop, &acknowledged))
        });
        let writers = writers.collect();
        Self { stop, acknowledged, writers }
    }

    /// Waits until `more` further puts were acknowledged.
    #[track_caller]
    pub fn wait_for(&self, more: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + more;
        until(PATIENCE, "the load goes on", || {
            (self.acknowledged.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    /// Ends the load.
    pub fn end(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Outcome::default();
        for writer in self.writers {
            let Outcome { acknowledged, failures } = writer.join().unwrap();
            all.acknowledged.extend(acknowledged);
            all.failures.extend(failures);
        }
        all
    }
}

/// Where a key of the load lies.
pub fn path_of(key: &str) -> String {
    format!("/v1/kv/load/{key}")
}

fn write(prefix: &str, node: SocketAddr, stop: &AtomicBool, acks: &AtomicUsize) -> Outcome {
    let mut outcome = Outcome::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{prefix}-{number}");
        let put = Request::new("PUT", node, path_of(&key)).body("text/plain", &key);
        match put.send() {
            Ok(response) if response.status == 204 => {
                acks.fetch_add(1, Ordering::Relaxed);
                outcome.acknowledged.push(key.clone());
                let got = Request::new("GET", node, path_of(&key)).send();
                if !got.as_ref().is_ok_and(|got| got.status == 200 && got.body == key) {
                    outcome.failures.push(format!("get {key}: {got:?}"));
                }
            }
            other => outcome.failures.push(format!("put {key}: {other:?}")),
        }
    }
    outcome
}
