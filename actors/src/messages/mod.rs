//! What actors say to each other: one file a recipient.
//!
//! | message | from | to | between nodes |
//! | --- | --- | --- | --- |
//! | `BeginGet` `BeginPut` `BeginList` | `NodeHandle`, `ClientLink` | `Front`, then `Coordinator` | |
//! | `Get` `Put` `Delete` | actors of the program that embeds the node | `Front` | |
//! | `MemberJudged` `ShardsKnown` | `GossipMembership` | `Front` | |
//! | `CloseEndpoint` | `Node` | `Front` | |
//! | `RequestsArrived` `ClientGone` | the endpoint | `ClientLink` | |
//! | `BeginForwarded` | `PeerLink` | `Coordinator` | `Write` |
//! | `ReplicaAnswered` | whoever holds its `ReplyTo` | `Coordinator` | |
//! | `DeadlinePassed` | the deadline wheel | `Coordinator` | |
//! | `ReadRecord` `StoreRecord` `ListKeys` | `Coordinator`, `PeerLink` | `StorageShard` | `Read` `Store` `List` |
//! | `MintRecord` | `Coordinator` | `StorageShard` | |
//! | `InspectRecord` `CountBuckets` `CountHints` | `NodeHandle`, `RingManager` | `StorageShard` | |
//! | `ListHinted` `FetchHints` `ReadHints` `ReleaseHint` | `HintedHandoffQueue` | `StorageShard` | |
//! | `Hinted` `HintsFetched` `HintsRead` `HintChanged` `HintUnreleased` | `StorageShard` | `HintedHandoffQueue` | |
//! | `HandedOver` | whoever holds its `ReplyTo` | `HintedHandoffQueue` | a reply |
//! | `HandOffNow` | `NodeHandle` | `Front`, then `HintedHandoffQueue` | |
//! | `HomeReached` | `PeerLink` | `HintedHandoffQueue` | |
//! | `CloseShard` | `Node` | `StorageShard` | |
//! | `SendRequest` | `Coordinator`, `HintedHandoffQueue` | `PeerLink` | a request |
//! | `SendReply` | whoever holds its `ReplyTo` | `PeerLink` | a reply |
//! | `SendControl` | `GossipMembership`, `RingManager`, `PeerLink` | `PeerLink` | a control message |
//! | `LinkUp` `LinkDown` `DialFailed` `FramesArrived` | the endpoint | `PeerLink` | |
//! | `PeerJudged` | `Front` | `PeerLink` | |
//! | `GossipArrived` | `PeerLink` | `GossipMembership` | `Gossip` |
//! | `PeerMet` | the endpoint | `GossipMembership` | |
//! | `StorageSampled` | `StorageShard` | `GossipMembership` | |
//! | `LeaveCluster` | `Node` | `GossipMembership` | |
//! | `SetBucket` | `NodeHandle` | `RingManager` | |
//! | `RegistersArrived` `RegisterAnswered` | `PeerLink` | `RingManager` | `Registers` `RegisterAnswered` |
//! | `PeerReached` | `PeerLink` | `RingManager` | |
//! | `RepairRecord` | `Coordinator` | `ReadRepairer` | |
//! | `RepairEnded` | whoever holds its `ReplyTo` | `ReadRepairer` | a reply |
//! | `ExamineTrees` | `AntiEntropyWorker`, `PeerLink` | `StorageShard` | `Trees` |
//! | `LinkChanged` `ExchangeServed` | `PeerLink` | `AntiEntropyWorker` | |
//! | `PartitionDirty` | `Coordinator` | `AntiEntropyWorker` | |
//! | `LedgerRead` | `StorageShard` | `AntiEntropyWorker` | |
//! | `ReadLedger` `ReplicasEqual` | `AntiEntropyWorker` | `StorageShard` | |
//! | `ExchangeAnswered` | whoever holds its `ReplyTo` | `AntiEntropyWorker` | |
//! | `CompareNow` | `NodeHandle` | `AntiEntropyWorker` | |
//! | `ChildDown` | any child | `NodeSupervisor` | |
//!
//! The last column says as what a message came from another node, or goes to one. What is wanted is
//! imperative, what has happened is past tense. An actor never waits for an answer: it comes as a
//! message of its own; who is no actor waits for a oneshot, who embeds the node for actix's. What an actor tells itself stays in its
//! own file.

pub mod anti_entropy_worker;
pub mod client_link;
pub mod coordinator;
pub mod front;
pub mod gossip_membership;
pub mod hinted_handoff_queue;
pub mod node_supervisor;
pub mod peer_link;
pub mod read_repairer;
pub mod reaper;
pub mod ring_manager;
pub mod storage_shard;
