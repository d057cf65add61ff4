//! The kinds of faults, by the names under which they are switched off and counted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// A kind of fault.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum Fault {
            $($(#[$doc])* #[serde(rename = $name)] $kind,)*
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// What people call it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

faults! {
    /// Packets are lost, and come after a retransmission.
    Loss = "loss",
    /// The network is slow as a whole.
    Delay = "delay",
    /// Frames come twice.
    Duplication = "duplication",
    /// Frames are overtaken.
    Reordering = "reordering",
    /// One node does not hear another, which hears it.
    OneWay = "one-way",
    /// Two parts of the cluster hear nothing of each other.
    Halves = "halves",
    /// Two parts hear nothing of each other; one node hears both.
    Bridge = "bridge",
    /// Every node hears its neighbours only.
    Ring = "ring",
    /// One node is alone.
    Isolation = "isolation",
    /// Everything between two nodes takes long.
    SlowLink = "slow-link",
    /// kill -9.
    Crash = "crash",
    /// kill -9 of all nodes at once.
    Blackout = "blackout",
    /// A node dies at a named place of its code.
    CrashAtSite = "crash-at-site",
    /// SIGTERM.
    Restart = "restart",
    /// SIGSTOP, and SIGCONT later.
    Pause = "pause",
    /// SIGSTOP at a named place of the code.
    PauseAtSite = "pause-at-site",
    /// An actor panics.
    Panic = "panic",
    /// A wall clock jumps.
    ClockJump = "clock-jump",
    /// A wall clock is too fast or too slow.
    ClockDrift = "clock-drift",
    /// What was not synced is gone.
    PowerCut = "power-cut",
    /// Of what was not synced a torn part is left.
    TornTail = "torn-tail",
    /// The disk is empty.
    Wipe = "wipe",
    /// A byte of a log is another.
    BitRot = "bit-rot",
    /// Writes fail, half done.
    WriteError = "write-error",
    /// fdatasync fails.
    SyncError = "sync-error",
    /// The disk has no room.
    FullDisk = "full-disk",
    /// fdatasync takes long.
    SlowSync = "slow-sync",
}

impl Fault {
    /// Whether it takes from a node what it had acknowledged.
    pub const fn is_damage(self) -> bool {
        matches!(self, Self::PowerCut | Self::TornTail | Self::Wipe | Self::BitRot)
    }

    /// Whether it lies in how good the network is, rather than happening at a moment.
    pub const fn is_weather(self) -> bool {
        matches!(self, Self::Loss | Self::Delay | Self::Duplication | Self::Reordering)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No kind of fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kind of fault; choose from {}", Fault::ALL.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownFault;

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Self::ALL.iter().copied().find(|fault| fault.name() == text).ok_or(UnknownFault)
    }
}
