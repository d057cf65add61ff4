//! One story: five nodes under load, a fault, its end, and what must be true then.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    clients::{Addresses, Clients, Homes, keys, path_of, shown_by},
    history::{History, Kind, Shown, WriteId},
    judge::{Last, judge},
    processes::{Cluster, ServeNode, expect, until},
};

/// Within this all replicas are equal and nothing is kept for others any more.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);
/// Acknowledged writes before, during and after the fault, at least.
const WRITES_MIN: usize = 100;

/// How long a fault lasts, at least: 3 s, or `HENGE_SURVIVAL_SECONDS`.
pub fn length() -> Duration {
    let seconds = env::var("HENGE_SURVIVAL_SECONDS").ok();
    Duration::from_secs(seconds.map_or(3, |text| text.parse().expect("a number of seconds")))
}

/// What is to happen to a cluster.
pub struct Fault {
    pub name: &'static str,
    pub strike: Box<dyn FnOnce(&mut Cluster)>,
    pub mend: Box<dyn FnOnce(&mut Cluster)>,
    pub length: Duration,
    /// Whether fallbacks must be seen at work.
    pub leaves_hints: bool,
}

/// Plays the story and judges it.
pub fn survive(mut cluster: Cluster, fault: Fault) {
    let addresses: Addresses = Arc::new(Mutex::new(addresses_of(&cluster)));
    let homes: Homes =
        Arc::new(keys().map(|key| (key.clone(), homes_of(&cluster, &key))).collect());
    let clients = Clients::start(&addresses, &homes);
    clients.wait_for(WRITES_MIN);

    (fault.strike)(&mut cluster);
    let (struck, before) = (Instant::now(), clients.acknowledged());
    let bound = fault.length + WHOLE_WITHIN;
    until(bound, "writes go on under the fault, for its whole length", || {
        let enough = clients.acknowledged() >= before + WRITES_MIN;
        (enough && struck.elapsed() >= fault.length).then_some(())
    });
    if fault.leaves_hints {
        until(WHOLE_WITHIN, "fallbacks keep hints", || (kept(&cluster) > Some(0)).then_some(()));
    }
    (fault.mend)(&mut cluster);
    let mended = Instant::now();
    *addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses_of(&cluster);
    clients.wait_for(WRITES_MIN);
    let mut history = clients.end();
    let ended = Instant::now();

    let no_hints = || (kept(&cluster) == Some(0)).then_some(());
    until(WHOLE_WITHIN, "no node keeps anything for another", no_hints);
    let last = wait_until_equal(&cluster, &homes, &mut history);
    let (healed, calm) = (mended.elapsed(), ended.elapsed());
    assert_eq!(kept(&cluster), Some(0), "replicas are equal, and nothing is kept for anybody");
    every_node_serves(&cluster, &last);
    assert_eq!(judge(&history, &last), []);
    tell(fault.name, &history, &last, healed, calm);
}

/// Whether the run proves anything, and what it was.
fn tell(name: &str, history: &History, last: &Last, healed: Duration, calm: Duration) {
    let [puts, deletes] = [Kind::Put, Kind::Delete].map(|kind| history.acknowledged(kind));
    let siblings = history.answers.iter().filter(|answer| answer.shown.len() > 1).count();
    let twins = history.dots.keys().filter(|write| history.is_twin(**write)).count();
    let gone = last.values().filter(|live| live.is_empty()).count();
    assert!(puts >= 3 * WRITES_MIN / 2 && deletes > 0 && siblings > 0, "it proves too little");
    println!(
        "{name}: {puts} puts and {deletes} deletes acknowledged of {sent} requests, {served} of \
         them served, not: {refusals:?}; {siblings} answers with siblings; {twins} puts made twice; {keys} keys, {gone} of \
         them deleted; equal {healed:.1?} after the heal, {calm:.1?} after the last write",
        sent = history.sent,
        served = history.served,
        refusals = history.refusals,
        keys = last.len(),
    );
}

fn addresses_of(cluster: &Cluster) -> Vec<std::net::SocketAddr> {
    cluster.nodes.iter().map(|node| node.http).collect()
}

/// Records that nodes keep for others; `None` if a node does not say.
fn kept(cluster: &Cluster) -> Option<u64> {
    let kept = |node: &ServeNode| {
        let report = node.get("/v1/admin/hints").send().ok()?.json();
        let homes = report["homes"].as_array()?.clone();
        homes.iter().map(|home| home["count"].as_u64()).sum::<Option<u64>>()
    };
    // A node that is stopped or gone keeps what it keeps.
    let told: Vec<_> = cluster.nodes.iter().map(kept).collect();
    told.iter().copied().collect::<Option<Vec<_>>>().map(|all| all.iter().sum())
}

/// The numbers of the homes of a key.
fn homes_of(cluster: &Cluster, key: &str) -> Vec<usize> {
    let path = format!("/v1/cluster/ring?bucket=survival&key={key}");
    let ring = expect(&cluster.nodes[0].get(path), 200).json();
    let names: Vec<&str> =
        ring["homes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let is_home = |number: &usize| names.contains(&cluster.nodes[*number].name);
    (0..cluster.nodes.len()).filter(is_home).collect()
}

/// Waits until all homes of all keys that were written hold the same; the live writes of each.
fn wait_until_equal(cluster: &Cluster, homes: &Homes, history: &mut History) -> Last {
    let replicas = |key: &str| replicas(cluster, key, &homes[key]);
    let keys = history.keys();
    let (mut apart, mut last) = (keys.clone(), Last::new());
    until(WHOLE_WITHIN, "all replicas are equal", || {
        apart.retain(|key| match replicas(key) {
            Some(shown) => {
                last.insert(key.clone(), history.note(shown).into_iter().collect());
                false
            }
            None => true,
        });
        apart.is_empty().then_some(())
    });
    for key in keys {
        let still = replicas(&key).map(|shown| shown.into_iter().map(|(write, _)| write).collect());
        assert_eq!(still.as_ref(), last.get(&key), "{key} stays as it is");
    }
    last
}

/// The live writes of a key, if its homes have the same digest.
fn replicas(cluster: &Cluster, key: &str, homes: &[usize]) -> Option<Vec<Shown>> {
    assert_eq!(homes.len(), 3, "{key}");
    let path = format!("/v1/admin/replica/survival/{key}");
    let look = |home: &usize| Some(cluster.nodes[*home].get(&*path).send().ok()?.json());
    let mut reports = homes.iter().map(look).collect::<Option<Vec<_>>>()?;
    reports.dedup_by(|one, other| one["digest"] == other["digest"]);
    let [report] = &reports[..] else { return None };
    let versions = report["versions"].as_array()?.iter();
    let live = versions.filter(|version| version["kind"] == "value");
    let shown = |version: &Value| {
        let write = WriteId::of_uuid(version["write_id"].as_str()?)?;
        Some((write, version["dot"].as_str()?.to_owned()))
    };
    live.map(shown).collect()
}

/// What clients get through any node is what the replicas hold.
fn every_node_serves(cluster: &Cluster, last: &Last) {
    let mut served: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, (key, live)) in last.iter().enumerate() {
        let node = &cluster.nodes[number % cluster.nodes.len()];
        let response = node.get(path_of(key)).send().unwrap();
        let shown = shown_by(&response).into_iter().map(|(write, _)| write);
        let shown: BTreeSet<_> = shown.collect();
        assert_eq!(shown, *live, "{key} through {}: {response:?}", node.name);
        *served.entry(node.name).or_default() += 1;
    }
    assert_eq!(served.len(), cluster.nodes.len(), "every node was asked");
}
