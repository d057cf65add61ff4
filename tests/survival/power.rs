//! R9: the power of one node, and of all, fails right after writes were acknowledged.
//!
//! Each node has a file system of its own, in a file. `EXT4_IOC_SHUTDOWN` drops what was not written
//! back, as a power cut does, and everything fails that is asked of it then.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    lab,
    processes::{Cluster, PATIENCE, Plan, until},
};

/// Writes before each cut.
const WRITES: usize = 200;
/// With durability `periodic` a log is synced every 100 ms; a slow disk may take as long once more.
const SYNCED_AFTER: Duration = Duration::from_secs(1);
/// `EXT4_IOC_SHUTDOWN` with the flag that drops the journal's memory too; perl is part of every Debian.
pub const SHUTDOWN: &str = "$flag = pack(L, 2); open(F, q(<), $ARGV[0]) or die $!; \
                            ioctl(F, 0x8004587d, $flag) or die $!";

/// A node's disk.
struct Disk {
    image: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    fn make(mounted: PathBuf) -> Self {
        let image = mounted.with_extension("ext4");
        fs::create_dir(&mounted).unwrap();
        fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &image]);
        let disk = Self { image, mounted };
        disk.mount();
        // Something to hold the file system by.
        fs::write(disk.mounted.join("handle"), "").unwrap();
        disk
    }

    fn mount(&self) {
        run("mount", &["-o".as_ref(), "loop".as_ref(), &self.image, &self.mounted]);
    }

    fn cut_power(&self) {
        run("perl", &["-e".as_ref(), SHUTDOWN.as_ref(), &self.mounted.join("handle")]);
    }

    /// What the disk holds comes back; nothing else does.
    fn restore_power(&self) {
        run("umount", &[&self.mounted]);
        self.mount();
    }
}

fn run(program: &str, arguments: &[&Path]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {why}");
}

fn path(key: &str) -> String {
    format!("/v1/kv/power/{key}")
}

/// Three nodes on disks of their own.
fn powered() -> (Cluster, Vec<Disk>) {
    let mut cluster = Cluster::planned(&Plan::default());
    let disk = |name: &str| Disk::make(cluster.tls_dir().with_file_name(name));
    let disks = ["a", "b", "c"].map(disk).into();
    cluster.start();
    (cluster, disks)
}

/// Writes with `w=2` through every node in turn; when each was acknowledged.
fn write(cluster: &Cluster, round: &str) -> BTreeMap<String, Instant> {
    let write = |number: usize| {
        let key = format!("{round}-{number}");
        let node = &cluster.nodes[number % 3];
        let response = node.put(path(&key) + "?w=2", &key).send().unwrap();
        assert_eq!(response.status, 204, "{key}: {response:?}");
        (key, Instant::now())
    };
    (0..WRITES).map(write).collect()
}

/// The power of these nodes fails now, and returns.
fn cut_power(cluster: &mut Cluster, disks: &[Disk], nodes: &[usize]) -> Instant {
    let cut = Instant::now();
    for node in nodes {
        disks[*node].cut_power();
    }
    for node in nodes {
        cluster.nodes[*node].kill();
        disks[*node].restore_power();
    }
    for node in nodes {
        cluster.nodes[*node].start();
    }
    cluster.wait_ready();
    cut
}

/// Whether all three homes give a key's value, once they are compared.
fn assert_there(cluster: &Cluster, key: &str) {
    let path = path(key) + "?r=3";
    until(PATIENCE, &format!("{key} at all homes"), || {
        let response = cluster.nodes[0].get(&path).send().ok()?;
        (response.status == 200).then(|| assert_eq!(response.body, key))
    });
}

#[test]
fn r9_a_power_cut_right_after_an_acknowledgement_loses_no_write() {
    let test = "power::r9_a_power_cut_right_after_an_acknowledgement_loses_no_write";
    lab::with_disks(test, || {
        let (mut cluster, disks) = powered();
        for node in 0..3 {
            let written = write(&cluster, &format!("one-{node}"));
            // One less than acknowledged each write; the last of them a moment ago.
            let cut = cut_power(&mut cluster, &disks, &[node]);
            let last = written.values().max().unwrap();
            assert!(cut.duration_since(*last) < SYNCED_AFTER);
            for key in written.keys() {
                assert_there(&cluster, key);
            }
        }
        drop(cluster);
        for disk in disks {
            run("umount", &[&disk.mounted]);
        }
    });
}

#[test]
fn r9_a_power_cut_of_all_nodes_loses_at_most_what_was_not_yet_synced() {
    let test = "power::r9_a_power_cut_of_all_nodes_loses_at_most_what_was_not_yet_synced";
    lab::with_disks(test, || {
        let (mut cluster, disks) = powered();
        let old = write(&cluster, "old");
        let last = *old.values().max().unwrap();
        let is_synced = || (last.elapsed() > SYNCED_AFTER).then_some(());
        until(PATIENCE, "what was written is synced", is_synced);
        let new = write(&cluster, "new");
        let cut = cut_power(&mut cluster, &disks, &[0, 1, 2]);
        let surely = |(_, at): &(&String, &Instant)| cut.duration_since(**at) > SYNCED_AFTER;
        for (key, _) in old.iter().chain(new.iter().filter(surely)) {
            assert_there(&cluster, key);
        }
        // Of the rest each is there or not, everywhere alike, and the nodes take writes.
        let mut lost = 0;
        for key in new.keys() {
            let strict = path(key) + "?r=3";
            let status = until(PATIENCE, &format!("{key} is settled"), || {
                let status = cluster.nodes[1].get(&strict).send().ok()?.status;
                matches!(status, 200 | 404).then_some(status)
            });
            lost += usize::from(status == 404);
        }
        println!("{lost} of {} writes were gone that no disk had yet", new.len());
        for key in write(&cluster, "after").keys() {
            assert_there(&cluster, key);
        }
        drop(cluster);
        for disk in disks {
            run("umount", &[&disk.mounted]);
        }
    });
}
