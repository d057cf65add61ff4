//! How a node is born, and how it knows itself again: the lock on its data directory, and the
//! facts that never change.

use std::{collections::BTreeMap, io, sync::Arc};

use henge_kernel::{
    bucket::BucketTable,
    id::{Incarnation, NodeId},
    ring::{Layout, LayoutError, LayoutNode, Ring},
};
use serde::{Deserialize, Serialize};

use crate::{
    environment::Environment,
    register_file::RegisterFile,
    settings::{InvalidSettings, Settings, ShardCount},
    storage::{
        StorageError,
        disk::DiskLock,
        state_file::{StateFile, StateFormat},
    },
    transport::TransportError,
    view::{ClusterView, Site},
};

const FORMAT: StateFormat =
    StateFormat { magic: *b"HENGENOD", version: 1, what: "node identity file" };

/// Why a node did not start. Nothing was changed in its data directory, unless it is new.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that contradict each other.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The data directory or a log in it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An endpoint.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A setting contradicts what the data directory was born with.
    #[error(
        "{field} is {given:?} now, but the data directory {directory} was born with {stored:?}"
    )]
    Fact {
        /// Name of the setting.
        field: String,
        /// Its value at birth.
        stored: String,
        /// Its value now.
        given: String,
        /// The data directory.
        directory: String,
    },
    /// More shards than ports above the first one.
    #[error("node.listen has port {port}: there are no {shards} ports from there on")]
    Ports {
        /// The first port.
        port: u16,
        /// How many are needed.
        shards: u16,
    },
    /// A thread of the node ended while it started.
    #[error("shard {shard} ended while the node started")]
    ShardEnded {
        /// Which.
        shard: u16,
    },
}

/// What a node knows of itself once its data directory is open.
pub struct Identity {
    /// The life of the data directory.
    pub incarnation: Incarnation,
    /// How many shards the node has.
    pub shards: u16,
    /// What peers compare.
    pub facts: Vec<(String, String)>,
    /// Released when the node ends.
    pub lock: Box<dyn DiskLock>,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored {
    incarnation: u64,
    facts: Vec<(String, String)>,
}

/// Opens the data directory, or makes it, and checks the settings against the facts in it.
pub fn open_directory(
    settings: &Settings,
    environment: &Environment,
) -> Result<Identity, StartError> {
    let directory = &settings.node.data_dir;
    let failed = |operation: &'static str| {
        move |source: io::Error| StorageError::Io {
            operation,
            path: directory.clone(),
            source: Arc::new(source),
        }
    };
    environment.disk.create_dir(directory).map_err(failed("create"))?;
    let lock_path = directory.join("lock");
    let lock = environment.disk.lock(&lock_path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StorageError::Locked { path: lock_path.clone() },
        _ => failed("lock")(error),
    })?;
    let file = StateFile::new(Arc::clone(&environment.disk), directory, "node", FORMAT);
    let stored = match file.read()? {
        Some(state) => Some(serde_json::from_slice::<Stored>(&state.content).map_err(|error| {
            StorageError::DamagedFile { path: file.path(), detail: error.to_string() }
        })?),
        None => None,
    };
    let shards = shards_of(settings, stored.as_ref());
    let shared = facts_of(settings);
    let mut own = vec![
        ("node.name".to_owned(), settings.node.name.to_string()),
        ("node.shards".to_owned(), shards.to_string()),
    ];
    own.extend(shared.clone());
    let incarnation = if let Some(stored) = stored {
        check_facts(settings, &own, &stored.facts)?;
        stored.incarnation
    } else {
        let incarnation = environment.entropy.draw("incarnation");
        let content = serde_json::to_vec(&Stored { incarnation, facts: own })
            .map_err(|error| failed("describe")(error.into()))?;
        file.write(&content)?;
        incarnation
    };
    let incarnation = Incarnation(incarnation);
    Ok(Identity { incarnation, shards, facts: shared, lock })
}

fn check_facts(
    settings: &Settings,
    given: &[(String, String)],
    stored: &[(String, String)],
) -> Result<(), StartError> {
    for (field, given) in given {
        let held = stored.iter().find(|(name, _)| name == field).map(|(_, value)| value);
        if held != Some(given) {
            return Err(StartError::Fact {
                field: field.clone(),
                stored: held.map_or_else(|| "not there".to_owned(), Clone::clone),
                given: given.clone(),
                directory: settings.node.data_dir.display().to_string(),
            });
        }
    }
    Ok(())
}

/// The count is fixed at birth; the cores only choose it then.
fn shards_of(settings: &Settings, stored: Option<&Stored>) -> u16 {
    let born = stored.and_then(|stored| {
        let (_, shards) = stored.facts.iter().find(|(field, _)| field == "node.shards")?;
        shards.parse().ok()
    });
    let chosen = settings.node.shards.map(ShardCount::get);
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    chosen.or(born).unwrap_or_else(|| ShardCount::for_cores(cores()).get())
}

/// What all nodes of a cluster must have been born with.
fn facts_of(settings: &Settings) -> Vec<(String, String)> {
    let nodes: Vec<String> = settings
        .cluster
        .nodes
        .iter()
        .map(|node| {
            format!("{} (zone {}, weight {})", node.name, node.zone.as_str(), node.weight.get())
        })
        .collect();
    let mut facts = vec![
        ("cluster.name".to_owned(), settings.cluster.name.as_str().to_owned()),
        ("ring.partitions".to_owned(), settings.ring.partitions.get().to_string()),
        ("cluster.nodes".to_owned(), nodes.join(", ")),
    ];
    if let Ok(serde_json::Value::Object(defaults)) = serde_json::to_value(&settings.defaults) {
        let facts_of_defaults = defaults.into_iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            (format!("defaults.{name}"), value)
        });
        facts.extend(facts_of_defaults);
    }
    facts
}

/// The ring of the first layout, and the bucket properties as they were last stored.
pub fn first_view(
    settings: &Settings,
    environment: &Environment,
) -> Result<ClusterView, StartError> {
    let cluster = settings.cluster_id();
    let nodes = settings.cluster.nodes.iter().map(|node| LayoutNode {
        name: node.name.clone(),
        zone: node.zone.clone(),
        weight: node.weight,
    });
    let layout = Layout::first(cluster, nodes)?;
    let sites: BTreeMap<_, _> = settings
        .cluster
        .nodes
        .iter()
        .map(|node| {
            let site = Site {
                name: node.name.clone(),
                host: node.address.host().to_owned(),
                port: node.address.port(),
                zone: node.zone.as_str().into(),
                weight: node.weight.get(),
            };
            (NodeId::of(cluster, &node.name), site)
        })
        .collect();
    let file = RegisterFile::new(Arc::clone(&environment.disk), &settings.node.data_dir);
    let stored = file.read(&settings.defaults)?;
    Ok(ClusterView {
        learned: stored.is_some() || sites.len() == 1,
        ring: Arc::new(Ring::first(settings.ring.partitions, &layout)),
        buckets: Arc::new(stored.unwrap_or_else(|| BucketTable::new(settings.defaults.clone()))),
        examined: Arc::default(),
        nodes: Arc::new(sites),
    })
}
