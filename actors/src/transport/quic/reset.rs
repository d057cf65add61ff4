//! A node that restarted can tell its peers so.
//!
//! QUIC answers a packet of a connection that it does not know with a stateless reset, which the
//! peer believes if it carries a token that only we can make. Tokens come from a key that survives
//! the restart, so that a peer learns from its next packet that its link is dead, instead of by
//! five seconds of silence. The key is derived from the node's private key, apart for each shard.

use std::{sync::Arc, time::Duration};

use quinn::{
    ConnectionId, ConnectionIdGenerator,
    crypto::{CryptoError, HmacKey},
};
use rustls::crypto::{
    ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    tls13::{Hkdf, OkmBlock},
};

use crate::transport::{TransportError, tls::Identity};

const TOKEN_BYTES: usize = 32;
const CID_BYTES: usize = 8;

/// An HMAC-SHA-256 key for one purpose of one shard.
pub(super) struct ShardKey {
    hkdf: &'static dyn Hkdf,
    key: OkmBlock,
}

impl ShardKey {
    /// The key of shard `shard` for `purpose`.
    pub(super) fn derive(
        identity: &Identity,
        shard: u16,
        purpose: &str,
    ) -> Result<Self, TransportError> {
        let suite = TLS13_AES_128_GCM_SHA256
            .tls13()
            .ok_or_else(|| TransportError::Refused("the TLS provider lacks TLS 1.3".to_owned()))?;
        let hkdf = suite.hkdf_provider;
        let key = hkdf
            .extract_from_secret(Some(b"henge transport"), identity.secret())
            .expand_block(&[purpose.as_bytes(), &shard.to_be_bytes()]);
        Ok(Self { hkdf, key })
    }

    fn tag(&self, data: &[u8]) -> [u8; TOKEN_BYTES] {
        let mut tag = [0; TOKEN_BYTES];
        let signed = self.hkdf.hmac_sign(&self.key, data);
        for (to, from) in tag.iter_mut().zip(signed.as_ref()) {
            *to = *from;
        }
        tag
    }
}

impl HmacKey for ShardKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        for (to, from) in signature_out.iter_mut().zip(self.tag(data)) {
            *to = from;
        }
    }

    fn signature_len(&self) -> usize {
        TOKEN_BYTES
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // All bytes are compared, whatever the first ones say.
        let differing = |(a, b): (&u8, &u8)| a ^ b;
        let tag = self.tag(data);
        let difference = tag.iter().zip(signature).map(differing).fold(0, |all, bits| all | bits);
        if signature.len() == TOKEN_BYTES && difference == 0 { Ok(()) } else { Err(CryptoError) }
    }
}

/// Names connections: an encrypted counter, so that nobody outside can tell which belong together.
pub(super) struct Cids {
    key: Arc<ShardKey>,
    next: u64,
}

impl Cids {
    /// A generator that begins at `first`, which should be drawn at random at every start.
    pub(super) const fn new(key: Arc<ShardKey>, first: u64) -> Self {
        Self { key, next: first }
    }
}

impl ConnectionIdGenerator for Cids {
    fn generate_cid(&mut self) -> ConnectionId {
        self.next = self.next.wrapping_add(1);
        ConnectionId::new(&self.key.tag(&self.next.to_be_bytes())[..CID_BYTES])
    }

    fn cid_len(&self) -> usize {
        CID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
