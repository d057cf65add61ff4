//! Who may talk: the certificates of a cluster, on disk and in the handshake.
//!
//! Every connection, also on loopback, is mutual TLS 1.3 under the cluster's own CA. A certificate
//! proves a role and a name by its URI, `henge://<cluster>/node/<name>` or
//! `henge://<cluster>/client/<name>`; a node's carries its name as DNS name too, so that whoever
//! dials a node checks it by the ordinary rules of TLS.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | [`TlsError`] and what rustls is told |
//! | `subject.rs` | [`Subject`]: the name in a certificate |
//! | `authority.rs` | makes the CA and what it signs |
//! | `any_node.rs` | what a client checks of a node whose name it does not know yet |
//! | `directory.rs` | [`Directory`]: the files `ca.pem`, `<name>.pem`, `client.pem` and their keys |

mod any_node;
mod authority;
mod directory;
mod subject;

use std::{io, path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::{
        CryptoProvider,
        ring::{self, cipher_suite},
    },
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use any_node::AnyNode;
pub use directory::{Directory, Issue};
pub use subject::{Role, Subject};

/// A certificate with its key, and the CA that it belongs to.
pub struct Identity {
    subject: Subject,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    authority: CertificateDer<'static>,
}

impl Identity {
    /// What the certificate proves.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The private key, in PKCS #8.
    pub(super) fn secret(&self) -> &[u8] {
        self.key.secret_der()
    }

    /// What a listening endpoint tells rustls: whoever connects shows a certificate of our CA and
    /// speaks one of `protocols`.
    pub(super) fn server(&self, protocols: &[&[u8]]) -> Result<rustls::ServerConfig, TlsError> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(self.verifier()?)
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // Every connection proves its certificate anew: no tickets.
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// What a dialling endpoint tells rustls: the other side shows a certificate of our CA, to a
    /// node one for the dialled name, to a client one of any node of the cluster.
    pub(super) fn client(&self, protocol: &[u8]) -> Result<rustls::ClientConfig, TlsError> {
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let builder = match self.subject.role() {
            Role::Client => builder
                .dangerous()
                .with_custom_certificate_verifier(AnyNode::verifier(self.roots()?, provider())?),
            Role::Node | Role::Authority => builder.with_root_certificates(self.roots()?),
        };
        let mut config =
            builder.with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        config.alpn_protocols = vec![protocol.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    /// Whether our own certificate stands before our own CA at `now`, as a peer will check it.
    fn check(&self, now: UnixTime) -> Result<(), TlsError> {
        self.verifier()?.verify_client_cert(&self.certificate, &[], now)?;
        Ok(())
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), provider())
            .build()
            .map_err(|error| TlsError::Refused(error.to_string()))
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone())?;
        Ok(roots)
    }
}

/// ring, with AES-128-GCM first: on machines with AES instructions it costs a fifth to two fifths
/// less than the alternative.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..ring::default_provider()
    })
}

/// Why certificates cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there.
    #[error("{} is missing: `{remedy}` makes it", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
        /// The command that makes it.
        remedy: String,
    },
    /// There is a CA already; making another would lock out every certificate that it signed.
    #[error("{} exists already: a cluster has one CA", path.display())]
    Exists {
        /// The CA's certificate.
        path: PathBuf,
    },
    /// There is a certificate of that name; its key would be lost.
    #[error("{} exists already", path.display())]
    Issued {
        /// The certificate.
        path: PathBuf,
    },
    /// A certificate belongs to another cluster.
    #[error("{} belongs to cluster {found:?}, not to {expected:?}", path.display())]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The cluster in the certificate.
        found: String,
        /// The cluster that was asked for.
        expected: String,
    },
    /// A certificate proves another role or name than its file name says.
    #[error("{} proves {found}, not {expected}", path.display())]
    OtherSubject {
        /// The file.
        path: PathBuf,
        /// What it proves.
        found: Subject,
        /// What it should prove.
        expected: String,
    },
    /// A file does not hold what it should.
    #[error("{} is not usable: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A certificate names nobody of a Henge cluster.
    #[error("not a certificate of a Henge cluster: {0}")]
    Nameless(&'static str),
    /// A name cannot stand in a certificate.
    #[error("{name:?} cannot be certified: {reason}")]
    Unfit {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The TLS library refuses a certificate or a key.
    #[error("TLS refuses it: {0}")]
    Refused(String),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<rcgen::Error> for TlsError {
    fn from(error: rcgen::Error) -> Self {
        Self::Refused(error.to_string())
    }
}
