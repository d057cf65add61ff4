//! Makes the CA of a cluster, and what it signs. No files here.

use std::net::IpAddr;

use henge_kernel::time::WallMillis;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType, string::Ia5String,
};
use rustls::pki_types::ServerName;
use time::{Duration, OffsetDateTime};

use super::{Role, Subject, TlsError};

/// Certificates begin this long before they are made, so that a node whose clock is behind accepts
/// them.
const BACKDATED: Duration = Duration::days(1);
const VALID: Duration = Duration::days(3653);

/// A certificate and its key, both in PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Makes a CA for the cluster that `subject` names.
pub(super) fn authority(subject: &Subject, now: WallMillis) -> Result<Pair, TlsError> {
    let mut params = describe(subject, now)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = key()?;
    Ok(Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// Makes a certificate for `subject`, with `extra` DNS names and addresses, signed by the CA in
/// `authority`.
pub(super) fn issue(
    subject: &Subject,
    extra: &[String],
    authority: &Pair,
    now: WallMillis,
) -> Result<Pair, TlsError> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let mut params = describe(subject, now)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if subject.role() == Role::Node {
        // A node is dialled by its name and dials others; a client only dials.
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        params.subject_alt_names.extend(subject.name().map(|name| dns(name.as_str())).transpose()?);
    }
    for name in extra {
        params.subject_alt_names.push(alternative(name)?);
    }
    let key = key()?;
    Ok(Pair { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
}

/// Ed25519: signatures of one length, so that a seeded network sees the same datagrams each time.
fn key() -> Result<KeyPair, TlsError> {
    Ok(KeyPair::generate_for(&PKCS_ED25519)?)
}

fn describe(subject: &Subject, now: WallMillis) -> Result<CertificateParams, TlsError> {
    let now = i64::try_from(now.0 / 1000)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or_else(|| TlsError::Refused("the wall clock is out of range".to_owned()))?;
    let (Some(not_before), Some(not_after)) = (now.checked_sub(BACKDATED), now.checked_add(VALID))
    else {
        return Err(TlsError::Refused("the wall clock is out of range".to_owned()));
    };
    let mut params = CertificateParams::default();
    params.not_before = not_before;
    params.not_after = not_after;
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject.to_string());
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(subject.to_string())?)];
    Ok(params)
}

fn alternative(name: &str) -> Result<SanType, TlsError> {
    name.parse::<IpAddr>().map_or_else(|_| dns(name), |address| Ok(SanType::IpAddress(address)))
}

/// A DNS name that TLS will accept when it is dialled: `1`, `0x1f` and `a-` are none.
fn dns(name: &str) -> Result<SanType, TlsError> {
    match ServerName::try_from(name) {
        Ok(ServerName::DnsName(_)) => Ok(SanType::DnsName(Ia5String::try_from(name)?)),
        _ => Err(TlsError::Unfit {
            name: name.to_owned(),
            reason: "it is not a DNS name (a number, or a '-' at an end)",
        }),
    }
}
