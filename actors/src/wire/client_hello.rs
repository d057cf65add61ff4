//! The first frame of a client. A node answers with the same [`Hello`] that it gives to peers.

use bytes::Bytes;
use henge_kernel::id::ClusterId;

use super::{
    codec::{self, BorrowDecode, Encode, HeaderTooLong, MalformedFrame},
    hello::{Hello, PROTOCOL_MAX, PROTOCOL_MIN},
};

const KIND: u8 = 34;

/// What a client says of itself. Its name is in its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The oldest protocol version it speaks.
    pub protocol_min: u16,
    /// The newest protocol version it speaks.
    pub protocol_max: u16,
    /// The cluster that it looks for.
    pub cluster: ClusterId,
}

#[derive(Encode, BorrowDecode)]
struct Header {
    protocol_min: u16,
    protocol_max: u16,
    cluster: u64,
}

impl ClientHello {
    /// What a client of this build says.
    pub fn of(cluster: ClusterId) -> Self {
        Self { protocol_min: PROTOCOL_MIN, protocol_max: PROTOCOL_MAX, cluster }
    }

    /// The frame.
    pub fn encode(&self) -> Result<Bytes, HeaderTooLong> {
        let Self { protocol_min, protocol_max, cluster } = *self;
        let header = Header { protocol_min, protocol_max, cluster: cluster.0 };
        codec::encode(KIND, &header).map(Bytes::from)
    }

    /// Reads a frame from outside.
    pub fn decode(frame: &Bytes) -> Result<Self, MalformedFrame> {
        let (kind, bytes, _) = codec::split(frame)?;
        if kind != KIND {
            return Err(MalformedFrame::UnknownKind { kind });
        }
        let Header { protocol_min, protocol_max, cluster } = codec::decode(kind, &bytes)?;
        Ok(Self { protocol_min, protocol_max, cluster: ClusterId(cluster) })
    }

    /// Whether the client and the node that says `hello` may talk, or why not. Both ask this.
    pub fn check(&self, hello: &Hello) -> Result<(), String> {
        if self.protocol_max < hello.protocol_min || hello.protocol_max < self.protocol_min {
            return Err(format!(
                "the client speaks protocol versions {} to {}, node {} {} to {}",
                self.protocol_min,
                self.protocol_max,
                hello.name,
                hello.protocol_min,
                hello.protocol_max
            ));
        }
        if self.cluster != hello.cluster {
            let (wanted, found) = (self.cluster.0, hello.cluster.0);
            return Err(format!(
                "the client looks for cluster {wanted:016x}, node {} is of {found:016x}",
                hello.name
            ));
        }
        Ok(())
    }
}
