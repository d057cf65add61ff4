//! What actors say to each other: one file a recipient.
//!
//! | message | from | to | crosses nodes as |
//! | --- | --- | --- | --- |
//! | `BeginGet` `BeginPut` `BeginList` | `Front`, `PeerLink` | `Coordinator` | |
//! | `ReplicaAnswered` | `StorageShard`, `PeerLink` | `Coordinator` | a reply frame |
//! | `DeadlinePassed` | the deadline wheel | `Coordinator` | |
//! | `ReadRecord` `MintRecord` `StoreRecord` `ListKeys` | `Coordinator`, `PeerLink` | `StorageShard` | `Read` `Store` `List` |
//! | `InspectRecord` `CountBuckets` `CloseShard` | `NodeHandle`, `RingManager` | `StorageShard` | |
//! | `SendRequest` `SendReply` `SendControl` | any actor of the shard | `PeerLink` | a frame |
//! | `LinkUp` `LinkDown` `DialFailed` `FramesArrived` | the endpoint | `PeerLink` | |
//! | `PeerJudged` | `GossipMembership` | `Front`, then `PeerLink` | |
//! | `BeginGet` `BeginPut` `BeginList` | `NodeHandle` | `Front` | |
//! | `Get` `Put` `Delete` | actors of the program that embeds the node | `Front` | |
//! | `GossipArrived` `PeerMet` | `PeerLink` | `GossipMembership` | control frames |
//! | `SetBucket` | `NodeHandle` | `RingManager` | |
//! | `RegisterArrived` `RegisterAnswered` `PeerMet` | `PeerLink` | `RingManager` | control frames |
//! | `ChildDown` | any child | `NodeSupervisor` | |
//!
//! All are imperative; what comes back is a message of its own, never a future that waits. Only
//! the messages of embedders are answered as actix answers: by the future of their sender.

pub mod coordinator;
pub mod front;
pub mod gossip_membership;
pub mod node_supervisor;
pub mod peer_link;
pub mod ring_manager;
pub mod storage_shard;
