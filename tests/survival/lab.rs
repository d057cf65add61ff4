//! Five hosts on this machine: network namespaces, on a bridge in a namespace of its own, with a
//! packet filter that cuts and loses.
//!
//! The test runs itself once more under `unshare`, in network, mount and process namespaces that
//! nobody else sees: the hosts are made there, have no route out, and end with it, however it ends.
//! Nothing in a host changes when a link is cut, so that no node can tell a cut from a dead peer.

use std::{
    env,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    faults::Cuts,
    power::SHUTDOWN,
    processes::{Cluster, Plan, Site},
};

/// Set in the process that runs inside.
const INSIDE: &str = "HENGE_LAB_INSIDE";
/// Set where a lab must be possible: then a test fails instead of being skipped.
const REQUIRED: &str = "HENGE_LAB_REQUIRED";
/// Processes that end with the test, and mounts that nobody else sees.
const OWN_MOUNTS: &[&str] = &["--mount", "--pid", "--fork", "--kill-child", "--"];
const OWN_NAMESPACES: &[&str] = &["--net", "--mount", "--pid", "--fork", "--kill-child", "--"];
/// The least of a lab.
const LEAST: &str = "mount -t tmpfs henge-lab /run && ip netns add probe && \
     ip link add probe type veth peer name eth0 netns probe && \
     nft add table bridge probe";
/// The least of a disk: a file on a file system that can be shut down.
const LEAST_DISK: &str = "mount -t tmpfs henge-lab /mnt && truncate -s 8M /mnt/disk && \
     mkfs.ext4 -q -F /mnt/disk && mkdir /mnt/mounted && mount -o loop /mnt/disk /mnt/mounted && \
     touch /mnt/mounted/x && perl -e \"$SHUTDOWN\" /mnt/mounted/x && umount /mnt/mounted";
/// Where what is sent between hosts passes; the clients' own traffic with them does not.
const FILTER: &str = "\
    table bridge lab {\n\
      set cut { type ipv4_addr . ipv4_addr; }\n\
      chain loss { }\n\
      chain forward {\n\
        type filter hook forward priority 0; policy accept;\n\
        ip saddr . ip daddr @cut drop\n\
        arp saddr ip . arp daddr ip @cut drop\n\
        jump loss\n\
      }\n\
    }\n";

/// Plays `story` with five nodes in a lab. Outside of one the test that is called `test` is run
/// again inside, or skipped with a word if this machine or user cannot make a lab.
pub fn play(test: &str, story: impl FnOnce(Cluster)) {
    let needs = "root, iproute2 and nftables";
    within(OWN_NAMESPACES, LEAST, needs, test, || story(five_hosts()));
}

/// Plays `story` where it can mount what it likes, or skips it like [`play`].
pub fn with_own_mounts(test: &str, story: impl FnOnce()) {
    let least = "mount -t tmpfs -o size=1m henge-lab /mnt";
    within(OWN_MOUNTS, least, "root", test, story);
}

/// Plays `story` where it can mount files as disks, and cut their power.
pub fn with_disks(test: &str, story: impl FnOnce()) {
    let least = &format!("SHUTDOWN='{SHUTDOWN}'; {LEAST_DISK}");
    within(OWN_MOUNTS, least, "root, perl, ext4 and loop devices", test, story);
}

/// Whether nothing may be skipped.
pub fn is_required() -> bool {
    env::var_os(REQUIRED).is_some()
}

/// A file system of so many mebibytes in memory.
pub fn mount(directory: &Path, mebibytes: u32) {
    let directory = directory.display();
    run(&format!("mount -t tmpfs -o size={mebibytes}m henge-lab {directory}"));
}

/// Gives it another size.
pub fn resize(directory: &Path, mebibytes: u32) {
    run(&format!("mount -o remount,size={mebibytes}m {}", directory.display()));
}

fn within(namespaces: &[&str], least: &str, needs: &str, test: &str, story: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return story();
    }
    if let Err(why) = possible(namespaces, least, needs) {
        assert!(!is_required(), "no lab: {why}");
        // Straight to the terminal: what a test that passes prints is not shown.
        let _ = writeln!(std::io::stderr(), "skipped {test}: {why}");
        return;
    }
    let own = env::current_exe().unwrap();
    let mut inside = Command::new("unshare");
    inside.args(namespaces).arg(own).args(["--exact", test, "--nocapture"]);
    let output = inside.env(INSIDE, "1").stdin(Stdio::null()).output().unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}, inside: {}", output.status);
}

/// Whether a lab can be made, by making the least of one.
fn possible(namespaces: &[&str], least: &str, needs: &str) -> Result<(), String> {
    match Command::new("unshare").args(namespaces).args(["sh", "-ec", least]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(format!("needs {needs} ({})", why.trim()))
        }
        Err(error) => Err(format!("unshare: {error}")),
    }
}

fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(host + 1).unwrap())
}

fn run(line: &str) {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

fn filter(rules: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "{rules}");
}

fn five_hosts() -> Cluster {
    // `ip netns` keeps its names in /run, which is ours alone from here on.
    run("mount -t tmpfs henge-lab /run");
    run("ip link set lo up");
    run("ip link add switch type bridge stp_state 0 forward_delay 0 mcast_snooping 0");
    run("ip addr add 10.77.0.254/24 dev switch");
    run("ip link set switch up");
    filter(FILTER);
    let sites: Vec<_> = (0..5).map(host).collect();
    let mut cluster = Cluster::planned_at(&Plan::default(), &sites);
    cluster.start();
    cluster
}

fn host(number: usize) -> Site {
    let (name, address) = (format!("host-{number}"), address(number));
    run(&format!("ip netns add {name}"));
    run(&format!("ip link add {name} type veth peer name eth0 netns {name}"));
    run(&format!("ip link set {name} master switch up"));
    run(&format!("ip -n {name} addr add {address}/24 dev eth0"));
    run(&format!("ip -n {name} link set lo up"));
    run(&format!("ip -n {name} link set eth0 up"));
    let at = |port| SocketAddr::from((address, port));
    Site { listen: at(7400), http: at(7480), namespace: Some(name) }
}

pub fn cut(cuts: &Cuts) {
    let pairs = cuts.iter().map(|(from, to)| format!("{} . {}", address(*from), address(*to)));
    let pairs = pairs.collect::<Vec<_>>().join(", ");
    filter(&format!("add element bridge lab cut {{ {pairs} }}\n"));
}

/// Loses a share of all frames between hosts.
pub fn lose(percent: u8) {
    filter(&format!("add rule bridge lab loss numgen random mod 100 < {percent} drop\n"));
}

pub fn heal() {
    filter("flush set bridge lab cut\nflush chain bridge lab loss\n");
}
