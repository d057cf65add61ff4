//! The events of a history.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FORMAT, Moment};

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "lowercase")]
pub enum Event {
    /// What the run promised; the first line.
    Meta(Meta),
    /// A client sends a request.
    Invoke(Invoke),
    /// It was served.
    Ok(Answered),
    /// It was not served, and may have been applied.
    Info(Unanswered),
    /// It was not served, and surely not applied.
    Fail(Unanswered),
    /// Something was done to the cluster.
    Mark(Mark),
    /// What one node holds of a key, without asking any other.
    Replica(Dump),
    /// What one node tells of itself.
    Node(NodeState),
}

/// What a run was, and what it has to keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// The version of the format.
    pub fmt: u32,
    /// Who wrote it.
    pub source: String,
    /// What repeats the run, if it can be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Homes of a key.
    pub n: u8,
    /// Replicas that a get asks, where the request says nothing else.
    pub r: u8,
    /// Acknowledgements that a write needs, where the request says nothing else.
    pub w: u8,
    /// Who may answer, where the request says nothing else.
    #[serde(default)]
    pub quorum: Quorum,
    /// The most siblings that an answer may show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_siblings: Option<usize>,
    /// How long after the last heal replicas may differ. With it, convergence must be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converge_ms: Option<u64>,
    /// Which part of the requests is served while a fault expects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_avail: Option<f64>,
    /// How far wall clocks of two nodes are apart at most; `None` if they are arbitrary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew_ms: Option<u64>,
    /// Whether nodes may lose what they had acknowledged. Then no quorum makes a get fresh: who has
    /// the write may be away when who lost it counts again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lossy: bool,
    /// How much time a request needs to be served where a `service` mark says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serve_ms: Option<u64>,
    /// Acknowledged writes without which the run proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_acked: Option<usize>,
    /// Kinds of faults without which the run proves nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_faults: Vec<String>,
}

impl Meta {
    /// Three homes, R = W = 2, sloppy; nothing else promised.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            fmt: FORMAT,
            source: source.into(),
            seed: None,
            n: 3,
            r: 2,
            w: 2,
            quorum: Quorum::Sloppy,
            max_siblings: None,
            converge_ms: None,
            min_avail: None,
            skew_ms: None,
            lossy: false,
            serve_ms: None,
            min_acked: None,
            require_faults: Vec::new(),
        }
    }
}

/// Who may answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quorum {
    /// Homes only.
    Strict,
    /// Other nodes too, in place of homes.
    #[default]
    Sloppy,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Write a value.
    Put,
    /// Read.
    Get,
    /// Write a tombstone.
    Delete,
}

/// A client sends a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invoke {
    /// When.
    pub t: Moment,
    /// The operation, unique in the run.
    pub id: String,
    /// The client.
    pub c: String,
    /// What is asked.
    pub op: Kind,
    /// The bucket; without one, all keys are in one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The node that is asked.
    pub node: String,
    /// The value of a put. A delete may name its tombstone; else that is named as the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val: Option<String>,
    /// The write id, if the client sent one: what is written again with it is one write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wid: Option<String>,
    /// The operations whose returned contexts were sent; none for a blind write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ctx: Vec<String>,
    /// Who may answer, if not as the meta line says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    /// Replicas that a get asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r: Option<u8>,
    /// Acknowledgements that a write needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub w: Option<u8>,
    /// How many of the replicas asked must be homes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pr: Option<u8>,
    /// How many of the acknowledgements must be homes'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pw: Option<u8>,
    /// After which a put may no longer be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// How long the store has, or the client waits, whichever is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether it is one of the reads that close the run.
    #[serde(default, rename = "final", skip_serializing_if = "is_false")]
    pub is_final: bool,
    /// What is wrong with the credentials that were sent, if something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cred: Option<String>,
}

impl Invoke {
    /// An operation without options.
    pub fn new(t: Moment, id: impl Into<String>, op: Kind, key: impl Into<String>) -> Self {
        Self {
            t,
            id: id.into(),
            c: String::new(),
            op,
            bucket: String::new(),
            key: key.into(),
            node: String::new(),
            val: None,
            wid: None,
            ctx: Vec::new(),
            quorum: None,
            r: None,
            w: None,
            pr: None,
            pw: None,
            ttl_ms: None,
            timeout_ms: None,
            is_final: false,
            cred: None,
        }
    }
}

/// A request was served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// When.
    pub t: Moment,
    /// The operation.
    pub id: String,
    /// The values shown, each as its put named it. A write shows itself; it need not be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vals: Vec<String>,
    /// Under which dot each of `vals` was shown; as many, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dots: Vec<String>,
    /// The dot of the write itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dot: Option<String>,
    /// The tombstones shown, if the client can know whose they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombs: Vec<String>,
    /// Whether the answer says that the key was deleted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
    /// Whether the answer says that a delete is concurrent with the values.
    #[serde(default, skip_serializing_if = "is_false")]
    pub concurrent_delete: bool,
    /// Payloads that were no value of this run, as far as they can be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrupt: Vec<String>,
    /// Nodes behind the answer, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acks: Option<u8>,
    /// How many of them are not homes that count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<u8>,
}

/// A request was not served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unanswered {
    /// When.
    pub t: Moment,
    /// The operation.
    pub id: String,
    /// The store's name of the error, or the client's if no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The error in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err: Option<String>,
}

/// What was done to the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// When.
    pub t: Moment,
    /// What it is.
    pub name: MarkName,
    /// The kind of a fault: `partition`, `crash`, `pause`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// From now on unreachable for clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down: Vec<String>,
    /// What clients may expect from now to the next fault or heal; of a `service` mark, to the next of
    /// those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
    /// Of a `service` mark: with how many nodes, itself included, each node can do its work. Who is
    /// not named may serve nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reach: BTreeMap<String, u8>,
    /// The bucket that a `bucket` mark is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bucket: String,
    /// Whether the last writer wins in that bucket.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lww: bool,
    /// Homes of its keys, if not as the meta line says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u8>,
    /// Anything for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Mark {
    /// A mark without details.
    pub fn new(t: Moment, name: MarkName) -> Self {
        Self {
            t,
            name,
            kind: None,
            down: Vec::new(),
            expect: None,
            reach: BTreeMap::new(),
            bucket: String::new(),
            lww: false,
            n: None,
            note: None,
        }
    }
}

/// What a mark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkName {
    /// A fault begins.
    Fault,
    /// All faults are over.
    Heal,
    /// What nodes can do from now on.
    Service,
    /// A bucket has properties of its own.
    Bucket,
    /// Nothing that is judged.
    Note,
}

/// What clients may expect during a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expectation {
    /// That requests are served by the nodes that are not down.
    Available,
}

/// What one node holds of a key, without asking any other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dump {
    /// When.
    pub t: Moment,
    /// Which time that all nodes are asked, from 0.
    pub round: u32,
    /// The node.
    pub node: String,
    /// The bucket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The live values, as far as the writer of the history knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vals: Vec<String>,
    /// The homes of the key, as that node knows them.
    pub homes: Vec<String>,
    /// Names all that the node holds of the key; `None` if that is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The checksum of the content under each dot; opaque, and only compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dots: BTreeMap<String, String>,
}

/// What one node tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeState {
    /// When.
    pub t: Moment,
    /// The node.
    pub node: String,
    /// Copies that it still keeps for others.
    pub hints: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
