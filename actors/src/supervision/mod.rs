//! Supervision: who starts whom, who falls, who gets up again.
//!
//! ```text
//! NodeSupervisor                     the root of a node; ends the node when a child is given up
//! ├─ RingManager  GossipMembership   on shard 0
//! └─ per shard: StorageShard  HintedHandoffQueue  AntiEntropyWorker  ReadRepairer  Reaper  Front  PeerLink (one per peer's shard)
//!               Coordinator (a pool)
//! ```

mod backoff;
mod child;
mod node_supervisor;

pub use backoff::{Backoff, BackoffPolicy};
pub use child::{Child, Guardian};
pub use node_supervisor::NodeSupervisor;
