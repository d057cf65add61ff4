//! Runs on several threads. Each has a runtime and a world of its own; nothing is shared but the
//! number of the next run.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use henge_actors::simulation::{self, Options, Report};

/// Runs all of `runs`, so many at a time, and tells of each when it is done.
pub fn work(runs: &[Options], threads: usize, mut done: impl FnMut(Report)) {
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::sync_channel(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (tell, next) = (tell.clone(), &next);
            scope.spawn(move || {
                while let Some(options) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if tell.send(simulation::run(options)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        told.into_iter().for_each(&mut done);
    });
}
