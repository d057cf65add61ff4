//! What a client checks of the node that it dials.
//!
//! A client knows its first nodes by addresses, which no certificate needs to name. So the name to
//! check is the one that the certificate claims for itself: it is good if the cluster's CA signed
//! it, as a server's, for the node that its `henge://` name says. Which node that is, and whether
//! the client wanted another, is seen when the handshake is over.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{Role, Subject, TlsError};

/// Accepts every node that the CA certified.
#[derive(Debug)]
pub(super) struct AnyNode(Arc<WebPkiServerVerifier>);

impl AnyNode {
    pub(super) fn verifier(
        roots: RootCertStore,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().map_err(|error| TlsError::Refused(error.to_string()))?;
        Ok(Arc::new(Self(verifier)))
    }
}

/// The name that the certificate claims, in the form that the rules of TLS check.
fn claimed_name(certificate: &CertificateDer<'_>) -> Option<ServerName<'static>> {
    let subject = Subject::of_certificate(certificate).ok()?;
    let name = subject.name().filter(|_| subject.role() == Role::Node)?;
    ServerName::try_from(name.as_str().to_owned()).ok()
}

impl ServerCertVerifier for AnyNode {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name =
            claimed_name(end_entity).ok_or(CertificateError::ApplicationVerificationFailure)?;
        self.0.verify_server_cert(end_entity, intermediates, &name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
