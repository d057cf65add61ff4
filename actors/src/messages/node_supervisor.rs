//! To [`NodeSupervisor`](crate::supervision::NodeSupervisor).

/// A child fell too often and was given up: its parent must decide.
#[derive(Debug)]
pub struct ChildDown {
    /// Name of the actor.
    pub actor: &'static str,
    /// The shard on which it ran.
    pub shard: u16,
    /// What the last panic said.
    pub reason: String,
}
