//! SIGTERM or SIGINT becomes one broadcast; a second one ends the process at once. The end of stdin.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
    time::Instant,
};

/// Exit code of a process that was interrupted while it stopped, as shells expect it.
const EXIT_INTERRUPTED: i32 = 130;
/// The same signal again within this time is an echo: `timeout`, shells and supervisors send it to
/// the process and to its group.
const ECHO: Duration = Duration::from_millis(500);
/// How often the removal of a directory is begun anew, while threads may still write into it.
const REMOVALS_MAX: usize = 20;

/// Knows whether this process was asked to stop. Clones all learn it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

impl Shutdown {
    /// Takes both signals from now on. Call it inside a tokio runtime, once.
    pub fn listen() -> io::Result<Self> {
        Self::listen_with(None)
    }

    /// [`Shutdown::listen`]; a process that ends at once removes the directory `temporary` first.
    pub fn listen_with(temporary: Option<PathBuf>) -> io::Result<Self> {
        let (terminate, interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (tell, asked) = watch::channel(false);
        tokio::spawn(broadcast(terminate, interrupt, tell, temporary));
        Ok(Self { asked })
    }

    /// Waits until the process is asked to stop; at once if it was.
    pub async fn asked(&mut self) {
        // An error says that the task is gone, which ends only with its runtime.
        let _ = self.asked.wait_for(|asked| *asked).await;
    }
}

/// Waits until stdin has ended, or cannot be read. What it holds is of no interest.
pub async fn stdin_ended() {
    let (tell, told) = oneshot::channel();
    // Nothing ends a read but its input: a thread that waits longer than anybody ends with the process.
    let read = move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = tell.send(());
    };
    let reader = thread::Builder::new().name("stdin".to_owned()).spawn(read);
    // Without a reader the teller is gone, which ends the wait too.
    let _ = told.await;
    tracing::info!(read = reader.is_ok(), "stdin has ended; stopping");
}

async fn broadcast(
    mut terminate: Signal,
    mut interrupt: Signal,
    tell: watch::Sender<bool>,
    temporary: Option<PathBuf>,
) {
    let name = next(&mut terminate, &mut interrupt).await;
    tracing::info!(signal = name, "stopping; once more to stop at once");
    tell.send_replace(true);
    let first = (name, Instant::now());
    let name = loop {
        let name = next(&mut terminate, &mut interrupt).await;
        if name != first.0 || first.1.elapsed() > ECHO {
            break name;
        }
    };
    tracing::warn!(signal = name, "stopped before everything was in order");
    if let Some(directory) = temporary {
        remove(&directory);
    }
    std::process::exit(EXIT_INTERRUPTED);
}

fn remove(directory: &Path) {
    let gone = |directory: &Path| {
        fs::remove_dir_all(directory)
            .map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true)
    };
    if !(0..REMOVALS_MAX).any(|_| gone(directory)) {
        tracing::warn!(directory = %directory.display(), "could not be removed");
    }
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_signal_reaches_every_clone() {
        let shutdown = Shutdown::listen().unwrap();
        let (mut first, mut second) = (shutdown.clone(), shutdown);
        let pid = std::process::id().to_string();
        assert!(
            std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success()
        );
        first.asked().await;
        second.asked().await;
    }
}
