//! R7: the wall clocks of all nodes jump by up to five minutes each second, in handshakes too.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::{
    lab,
    processes::{Cluster, PATIENCE, Plan, ServeNode, Site, until},
    scenario::{Fault, length, survive},
};

/// How far a clock is off at most, in seconds.
const OFF_MAX: i64 = 300;

/// The library that lies about the time to a process, if it is on this machine.
fn liar() -> Option<PathBuf> {
    let kinds = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let places = kinds.chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")]);
    let mut libraries = places.map(|place| place.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists())
}

/// Sets the clock of a node; a reader sees the old time or the new one.
fn set(clock: &Path, seconds: i64) {
    let new = clock.with_extension("new");
    fs::write(&new, format!("{seconds:+}s\n")).unwrap();
    fs::rename(new, clock).unwrap();
}

/// Five processes, each with a file that says how far its clock is off.
fn five(liar: &Path) -> (Cluster, Vec<PathBuf>) {
    let sites: Vec<_> = (0..5).map(|_| Site::loopback(1)).collect();
    let mut cluster = Cluster::planned_at(&Plan::default(), &sites);
    let clocks: Vec<_> =
        cluster.nodes.iter().map(|node| node.config.with_extension("clock")).collect();
    for (node, clock) in cluster.nodes.iter_mut().zip(&clocks) {
        set(clock, 0);
        node.environment = vec![
            ("LD_PRELOAD", liar.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", clock.clone()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ];
    }
    cluster.start();
    (cluster, clocks)
}

/// Sets all clocks anew each second until it is over, then right.
fn scramble(clocks: &[PathBuf], is_over: &Receiver<()>) {
    let mut random = fastrand::Rng::with_seed(7);
    loop {
        for clock in clocks {
            set(clock, random.i64(-OFF_MAX..=OFF_MAX));
        }
        if is_over.recv_timeout(Duration::from_secs(1)) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    for clock in clocks {
        set(clock, 0);
    }
}

#[test]
fn r7_scrambled_clocks_lose_nothing() {
    let Some(liar) = liar() else {
        assert!(!lab::is_required(), "libfaketime is missing");
        let _ = writeln!(std::io::stderr(), "skipped r7_scrambled_clocks: needs libfaketime");
        return;
    };
    let (cluster, clocks) = five(&liar);
    let (over, is_over) = mpsc::channel::<()>();
    let (right_again, is_right_again) = mpsc::channel::<()>();
    let strike = move |_: &mut Cluster| {
        thread::spawn(move || {
            scramble(&clocks, &is_over);
            drop(right_again);
        });
    };
    let mend = move |cluster: &mut Cluster| {
        until(PATIENCE, "a node sees that its clock is off", || {
            let is_off = |node: &ServeNode| {
                let report = node.get("/v1/cluster").send().ok()?.json();
                report["clock_skew_ms"].is_i64().then_some(())
            };
            cluster.nodes.iter().find_map(is_off)
        });
        // A node that comes back shakes hands with all others while no two agree on the time.
        cluster.nodes[2].kill();
        cluster.nodes[2].start();
        cluster.nodes[2].wait_ready();
        drop(over);
        assert!(is_right_again.recv().is_err(), "it says no word, and goes");
    };
    survive(
        cluster,
        Fault {
            name: "scrambled clocks",
            strike: Box::new(strike),
            mend: Box::new(mend),
            length: length().max(Duration::from_secs(6)),
            leaves_hints: false,
        },
    );
}
