//! A process in miniature, that can crash.

use std::panic::resume_unwind;

use tokio::task::{JoinHandle, LocalSet, spawn_local};

/// A process in miniature: a future and all that it spawns, in a `LocalSet` of their own.
///
/// What runs inside cannot tell: `spawn_local`, `actix_rt::spawn` and `Actor::start` put their
/// tasks into the sandbox. Dropping it is a crash.
#[derive(Debug)]
pub struct Sandbox {
    process: JoinHandle<()>,
}

impl Sandbox {
    /// Starts `main`. The sandbox ends when `main` and all that it spawned have ended.
    ///
    /// # Panics
    ///
    /// Outside a `LocalSet`.
    pub fn spawn(main: impl Future<Output = ()> + 'static) -> Self {
        let process = spawn_local(async move {
            let tasks = LocalSet::new();
            tasks.run_until(main).await;
            tasks.await;
        });
        Self { process }
    }

    /// Whether all that ran inside has ended.
    pub fn has_ended(&self) -> bool {
        self.process.is_finished()
    }

    /// Drops every task inside, wherever it waits; when this returns, it is done. Tasks may run
    /// destructors, as they would not in a process that was killed: take the node off the network
    /// first.
    ///
    /// # Panics
    ///
    /// If `main` had panicked, with its panic.
    pub async fn crash(mut self) {
        self.process.abort();
        if let Err(error) = (&mut self.process).await
            && error.is_panic()
        {
            resume_unwind(error.into_panic());
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.process.abort();
    }
}
