//! Why a request through a [`Client`](super::Client) failed, and what became of its write.

use std::{io, time::Duration};

use henge_actors::{
    Fate, RequestError,
    store::StoreError,
    transport::{TransportError, tls::TlsError},
};
use henge_kernel::{key::InvalidKey, units::Span};

/// Why a request has no answer.
///
/// Several nodes may have been asked: the error is the one that leaves the most open, so that its
/// [`fate`](ClientError::fate) holds for the whole request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A node answered, and this was the answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// No node was reached. Nothing was sent.
    #[error("no node was reached: {}", list(.tried))]
    Unreachable {
        /// Address and reason of each that was tried.
        tried: Vec<(String, String)>,
    },
    /// The link was lost while a node worked on the request.
    #[error("the link to {address} was lost: {reason}")]
    Lost {
        /// Which node.
        address: String,
        /// Why.
        reason: String,
    },
    /// No node answered in time, not even with an error.
    #[error("no answer within {}", Span(*after))]
    NoAnswer {
        /// How long the request waited.
        after: Duration,
    },
    /// What a node answered is no answer to the request.
    #[error("{address} does not speak this protocol: {reason}")]
    Protocol {
        /// Which node.
        address: String,
        /// What is wrong with its answer.
        reason: String,
    },
    /// An address is not HOST:PORT, or there is none.
    #[error("{address:?} is no address of a node: HOST:PORT is")]
    BadAddress {
        /// What was given.
        address: String,
    },
    /// The client's certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The client's socket cannot be opened.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The client's thread cannot be started.
    #[error("cannot start the client: {0}")]
    Start(#[from] io::Error),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl ClientError {
    /// The error's name: that of the [`RequestError`] if a node answered, the same as over HTTP.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Request(error) => error.code(),
            Self::Unreachable { .. } => "unreachable",
            Self::Lost { .. } => "connection_lost",
            Self::NoAnswer { .. } => "timed_out",
            Self::Protocol { .. } => "bad_protocol",
            Self::BadAddress { .. } => "bad_address",
            Self::Tls(_) => "bad_certificate",
            Self::Transport(_) | Self::Start(_) => "not_started",
            Self::Closed => "closed",
        }
    }

    /// What became of the write. A read has nothing to apply.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Request(error) => error.fate(),
            Self::Lost { .. } | Self::NoAnswer { .. } | Self::Protocol { .. } | Self::Closed => {
                Fate::Unknown
            }
            _ => Fate::NotApplied,
        }
    }
}

impl StoreError for ClientError {
    fn fate(&self) -> Fate {
        self.fate()
    }

    fn code(&self) -> &'static str {
        self.code()
    }
}

impl From<InvalidKey> for ClientError {
    fn from(error: InvalidKey) -> Self {
        RequestError::from(error).into()
    }
}

fn list(tried: &[(String, String)]) -> String {
    let each = tried.iter().map(|(address, reason)| format!("{address}: {reason}"));
    each.collect::<Vec<_>>().join("; ")
}
