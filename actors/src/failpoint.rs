//! Places of the code where bugs live, by name, so that a simulation can stop or kill a node right
//! there. Without the feature `simulation` they are nothing.

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// Before write(2) of a batch.
    BeforeWrite,
    /// After it, before anybody is answered.
    AfterWrite,
    /// Before fdatasync of a log is asked for.
    BeforeSync,
    /// After it returned, before it is made use of.
    AfterSync,
    /// Before a write is acknowledged to its client.
    BeforeAck,
    /// After it.
    AfterAck,
    /// Before the mark of a hint that arrived is taken away.
    BeforeHintRelease,
    /// After it.
    AfterHintRelease,
    /// A difference was found between two trees, and nothing is mended yet.
    BeforeExchange,
    /// A record was mended.
    AfterExchange,
    /// Before a promise to forget is made durable.
    BeforeReapPromise,
    /// After it, before it is told.
    AfterReapPromise,
    /// Before the records of a finished round are dropped.
    BeforeReapDrop,
    /// After it.
    AfterReapDrop,
    /// A node has opened its logs, and does not listen yet.
    AtRestart,
}

impl Site {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::BeforeWrite,
        Self::AfterWrite,
        Self::BeforeSync,
        Self::AfterSync,
        Self::BeforeAck,
        Self::AfterAck,
        Self::BeforeHintRelease,
        Self::AfterHintRelease,
        Self::BeforeExchange,
        Self::AfterExchange,
        Self::BeforeReapPromise,
        Self::AfterReapPromise,
        Self::BeforeReapDrop,
        Self::AfterReapDrop,
        Self::AtRestart,
    ];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeWrite => "before-write",
            Self::AfterWrite => "after-write",
            Self::BeforeSync => "before-sync",
            Self::AfterSync => "after-sync",
            Self::BeforeAck => "before-ack",
            Self::AfterAck => "after-ack",
            Self::BeforeHintRelease => "before-hint-release",
            Self::AfterHintRelease => "after-hint-release",
            Self::BeforeExchange => "before-exchange",
            Self::AfterExchange => "after-exchange",
            Self::BeforeReapPromise => "before-reap-promise",
            Self::AfterReapPromise => "after-reap-promise",
            Self::BeforeReapDrop => "before-reap-drop",
            Self::AfterReapDrop => "after-reap-drop",
            Self::AtRestart => "at-restart",
        }
    }
}

/// The node comes by.
#[cfg(feature = "simulation")]
pub(crate) use crate::simulation::sites::pass;

/// The node comes by.
#[cfg(not(feature = "simulation"))]
#[inline(always)]
pub(crate) const fn pass(_: Site) {}
