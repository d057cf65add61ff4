//! A process in miniature, which can be stopped and killed.

use std::{
    cell::{Cell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    task::{self, Poll, Waker},
};

use tokio::task::{JoinHandle, LocalSet, spawn_local};

use super::{Site, sites::Armed};

/// A process in miniature: a future and all that it spawns, in a `LocalSet` of their own.
///
/// What runs inside cannot tell: `spawn_local`, `actix_rt::spawn` and `Actor::start` put their
/// tasks into the sandbox. Dropping it is a crash.
#[derive(Debug)]
pub struct Sandbox {
    process: JoinHandle<()>,
    gate: Rc<Gate>,
}

/// What decides whether a process runs.
#[derive(Default)]
pub(super) struct Gate {
    is_stopped: Cell<bool>,
    is_dead: Cell<bool>,
    /// Where it died, or stopped by itself.
    halted_at: Cell<Option<Site>>,
    waker: RefCell<Option<Waker>>,
    /// What happens to it at a named place of its code.
    pub(super) armed: RefCell<Option<Armed>>,
    /// Called at a death in the middle of the process's own code, before anything else happens.
    on_death: RefCell<Option<Box<dyn Fn()>>>,
}

thread_local! {
    /// Whose code runs just now.
    static CURRENT: RefCell<Option<Rc<Gate>>> = const { RefCell::new(None) };
}

/// The payload of a panic that ends a process, not an actor.
struct Death;

impl Sandbox {
    /// Starts `main`. The sandbox ends when `main` and all that it spawned have ended.
    ///
    /// # Panics
    ///
    /// Outside a `LocalSet`.
    pub fn spawn(main: impl Future<Output = ()> + 'static) -> Self {
        let gate = Rc::new(Gate::default());
        let inside = Box::pin(async move {
            let tasks = LocalSet::new();
            tasks.run_until(main).await;
            tasks.await;
        });
        let process = spawn_local(Process { inside: Some(inside), gate: Rc::clone(&gate) });
        Self { process, gate }
    }

    /// Whether all that ran inside has ended, or died.
    pub fn has_ended(&self) -> bool {
        self.process.is_finished()
    }

    /// Stops the process, as SIGSTOP does: nothing inside runs until [`Sandbox::resume`]; its
    /// clocks go on.
    pub fn stop(&self) {
        self.gate.stop();
    }

    /// The named place of its code at which the process died or stopped, if it did.
    pub fn halted_at(&self) -> Option<Site> {
        self.gate.halted_at.get()
    }

    /// Lets a stopped process go on.
    pub fn resume(&self) {
        self.gate.halted_at.set(None);
        self.gate.is_stopped.set(false);
        if let Some(waker) = self.gate.waker.take() {
            waker.wake();
        }
    }

    /// Says what else dies at the moment at which the process dies at a named place of its code:
    /// its network and its disk.
    pub fn on_death(&self, act: impl Fn() + 'static) {
        *self.gate.on_death.borrow_mut() = Some(Box::new(act));
    }

    /// Arms a named place of the code for this process, in the place of what was armed before.
    pub fn arm(&self, armed: Armed) {
        *self.gate.armed.borrow_mut() = Some(armed);
    }

    /// Nothing happens at a named place any more.
    pub fn disarm(&self) {
        *self.gate.armed.borrow_mut() = None;
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

impl Gate {
    /// The process whose code runs just now, if it is one's at all.
    pub(super) fn current() -> Option<Rc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    fn stop(&self) {
        self.is_stopped.set(true);
    }

    /// Stops the process here: this step of its code is its last until it goes on.
    pub(super) fn stop_at(&self, site: Site) {
        self.halted_at.set(Some(site));
        self.stop();
    }

    /// Ends the process here: its network and disk at once, its code at the next catch.
    pub(super) fn die_at(&self, site: Site) -> ! {
        self.halted_at.set(Some(site));
        self.is_dead.set(true);
        if let Some(act) = self.on_death.borrow_mut().take() {
            act();
        }
        // Not `panic!`: nobody is to read of it.
        resume_unwind(Box::new(Death))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stopped, dead) = (self.is_stopped.get(), self.is_dead.get());
        write!(f, "Gate {{ stopped: {stopped}, dead: {dead} }}")
    }
}

/// The future that is a process.
struct Process {
    inside: Option<Pin<Box<dyn Future<Output = ()>>>>,
    gate: Rc<Gate>,
}

impl Future for Process {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        if self.gate.is_stopped.get() {
            *self.gate.waker.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let gate = Rc::clone(&self.gate);
        let Some(inside) = &mut self.inside else { return Poll::Ready(()) };
        let before = CURRENT.replace(Some(Rc::clone(&gate)));
        let progress = catch_unwind(AssertUnwindSafe(|| inside.as_mut().poll(cx)));
        CURRENT.set(before);
        if gate.is_dead.get() {
            self.inside = None;
            return Poll::Ready(());
        }
        progress.unwrap_or_else(|panic| resume_unwind(panic))
    }
}
