//! R15: who has no right to be here, by whatever credential, gets no link by either protocol.

use std::{fs, path::Path, sync::Arc};

use henge_actors::transport::tls::Issue;
use henge_kernel::time::WallMillis;
use quinn::{ClientConfig, crypto::rustls::QuicClientConfig};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ED25519, SanType,
    string::Ia5String,
};
use rustls::{
    RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{
    refusals::end,
    support::{Cluster, Host, link, name, now, run},
};

const YEAR_MS: u64 = 365 * 86_400_000;
const PEER: &str = "henge-peer/1";
const CLIENT: &str = "henge-client/1";

/// A certificate and the key that is shown with it, both as bytes.
type Credential = (Vec<u8>, Vec<u8>);

/// Shows a credential whatever is wrong with it: rustls itself would refuse some.
#[derive(Debug)]
struct Shameless(Arc<CertifiedKey>);

impl ResolvesClientCert for Shameless {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What a stranger with this credential ends with at `host`, which it takes for what it is.
async fn refused(
    dir: &Path,
    credential: Option<&Credential>,
    protocol: &str,
    host: &Host,
) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut crypto = match credential {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.clone()));
            let chain = vec![CertificateDer::from(certificate.clone())];
            let shown = CertifiedKey::new(chain, any_supported_type(&key).unwrap());
            builder.with_client_cert_resolver(Arc::new(Shameless(Arc::new(shown))))
        }
    };
    crypto.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto).unwrap()));
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    end(endpoint.connect_with(config, host.address(), &host.node).unwrap().await).await
}

/// What lies in a certificate directory under this name.
fn filed(cluster: &Cluster, stem: &str) -> Credential {
    let file = |ending| cluster.dir.path().join(format!("{stem}.{ending}"));
    let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
    (CertificateDer::from_pem_file(file("pem")).unwrap().to_vec(), key.secret_der().to_vec())
}

/// What the CA of `cluster` can be made to sign, if its key is misused.
fn signed(cluster: &Cluster, change: impl FnOnce(&mut CertificateParams)) -> Credential {
    let read = |file| fs::read_to_string(cluster.dir.path().join(file)).unwrap();
    let authority = KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), authority).unwrap();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = params("henge://stones/node/b");
    change(&mut params);
    (params.signed_by(&key, &issuer).unwrap().der().to_vec(), key.serialize_der())
}

fn params(uri: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["b".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::URI(Ia5String::try_from(uri).unwrap()));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn renamed(cluster: &Cluster, uri: &str) -> Credential {
    let fresh = params(uri);
    signed(cluster, |params| *params = fresh)
}

/// A node or a client called b, certified at another time.
fn at_another_time(cluster: &Cluster, at: u64) -> Credential {
    let node = name("b");
    cluster.certificates.issue(Issue::Node { name: &node, names: &[] }, WallMillis(at)).unwrap();
    filed(cluster, "b")
}

/// Everything that gives nobody a right, with what it is.
fn bad(cluster: &Cluster) -> Vec<(&'static str, Option<Credential>)> {
    let (namesake, other) = (Cluster::new("stones"), Cluster::new("menhirs"));
    for foreign in [&namesake, &other] {
        foreign.identity("b");
    }
    cluster.identity("b");
    let good = filed(cluster, "b");
    let fresh = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let alone = params("henge://stones/node/b").self_signed(&fresh).unwrap();
    let mut damaged = good.clone();
    *damaged.0.last_mut().unwrap() ^= 1;
    vec![
        ("none", None),
        ("of another CA of a cluster of the same name", Some(filed(&namesake, "b"))),
        ("of another cluster", Some(filed(&other, "b"))),
        ("signed by itself", Some((alone.der().to_vec(), fresh.serialize_der()))),
        ("a node's, with another key", Some((good.0, fresh.serialize_der()))),
        ("with a damaged signature", Some(damaged)),
        ("expired", Some(at_another_time(cluster, now().0 - 12 * YEAR_MS))),
        ("not yet valid", Some(at_another_time(cluster, now().0 + YEAR_MS))),
        ("the CA's own", Some(filed(cluster, "ca"))),
        ("signed for another cluster", Some(renamed(cluster, "henge://menhirs/node/b"))),
        ("of no role that there is", Some(renamed(cluster, "henge://stones/king/b"))),
        ("of a role and no name", Some(renamed(cluster, "henge://stones/node/"))),
        ("of another scheme", Some(renamed(cluster, "https://stones/node/b"))),
        ("without a name", Some(signed(cluster, |params| params.subject_alt_names.clear()))),
        (
            "of two names",
            Some(signed(cluster, |params| {
                let uri = Ia5String::try_from("henge://stones/node/c").unwrap();
                params.subject_alt_names.push(SanType::URI(uri));
            })),
        ),
        (
            "for servers only",
            Some(signed(cluster, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            })),
        ),
        (
            "of an authority below the CA",
            Some(signed(cluster, |params| {
                params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            })),
        ),
    ]
}

#[test]
fn r15_nobody_comes_in_by_a_bad_credential() {
    run(async {
        let cluster = Cluster::new("stones");
        let a = cluster.host("a");
        let dir = cluster.dir.path();
        let mut all = bad(&cluster);
        assert!(all.len() >= 12);
        cluster.identity("b");
        cluster.certificates.issue(Issue::Client { name: &name("me") }, now()).unwrap();
        let (node, client) = (filed(&cluster, "b"), filed(&cluster, "client"));
        for protocol in [PEER, CLIENT] {
            // Each role is good for one protocol.
            let role = if protocol == PEER { &client } else { &node };
            all.push(("of the other role", Some(role.clone())));
            for (what, credential) in &all {
                let reason = refused(dir, credential.as_ref(), protocol, &a).await;
                assert!(!reason.is_empty(), "{what}");
                let words = ["certificate", "certif", "signature", "DecryptError", "decrypt"];
                assert!(words.iter().any(|word| reason.contains(word)), "{what}: {reason}");
                assert!(a.nothing_happened(), "a link by a credential that is {what}");
            }
            all.pop();
        }
        let (near, _far) = link(&cluster.host("b"), &a).await;
        assert_eq!(near.peer(), &name("a"));
    });
}
