//! The name in a certificate.

use std::fmt;

use henge_kernel::id::NodeName;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use super::TlsError;

const SCHEME: &str = "henge://";
const CLUSTER_NAME_MAX: usize = 64;

/// What a certificate entitles to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To sign: the CA itself.
    Authority,
    /// To be a peer.
    Node,
    /// To be served.
    Client,
}

/// Whom a certificate proves. Shown as the URI that the certificate carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    cluster: Box<str>,
    role: Role,
    name: Option<NodeName>,
}

impl Subject {
    /// The CA of `cluster`.
    pub fn authority(cluster: &str) -> Result<Self, TlsError> {
        Self::new(cluster, Role::Authority, None)
    }

    /// A node.
    pub fn node(cluster: &str, name: &NodeName) -> Result<Self, TlsError> {
        Self::new(cluster, Role::Node, Some(name.clone()))
    }

    /// A client.
    pub fn client(cluster: &str, name: &NodeName) -> Result<Self, TlsError> {
        Self::new(cluster, Role::Client, Some(name.clone()))
    }

    /// Whom the certificate in `der` names. It says nothing about who signed it.
    pub fn of_certificate(der: &[u8]) -> Result<Self, TlsError> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|_| TlsError::Nameless("it is not an X.509 certificate"))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| TlsError::Nameless("its alternative names do not parse"))?
            .ok_or(TlsError::Nameless("it has no alternative names"))?;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
            _ => None,
        });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => Self::parse(uri),
            (None, _) => Err(TlsError::Nameless("it has no henge:// name")),
            (Some(_), Some(_)) => Err(TlsError::Nameless("it has more than one henge:// name")),
        }
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// What the certificate entitles to.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The node's or the client's name; a CA has none.
    pub const fn name(&self) -> Option<&NodeName> {
        self.name.as_ref()
    }

    fn new(cluster: &str, role: Role, name: Option<NodeName>) -> Result<Self, TlsError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if cluster.is_empty() || cluster.len() > CLUSTER_NAME_MAX || !cluster.bytes().all(legal) {
            return Err(TlsError::Unfit {
                name: cluster.to_owned(),
                reason: "a cluster's name is 1 to 64 letters, digits, '-', '_' and '.'",
            });
        }
        Ok(Self { cluster: cluster.into(), role, name })
    }

    fn parse(uri: &str) -> Result<Self, TlsError> {
        let path = uri.strip_prefix(SCHEME).unwrap_or_default();
        let mut parts = path.split('/');
        let name = |text| {
            NodeName::new(text).map_err(|_| TlsError::Nameless("its henge:// name is malformed"))
        };
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(cluster), Some("ca"), None, None) => Self::authority(cluster),
            (Some(cluster), Some("node"), Some(text), None) => Self::node(cluster, &name(text)?),
            (Some(cluster), Some("client"), Some(text), None) => {
                Self::client(cluster, &name(text)?)
            }
            _ => Err(TlsError::Nameless("its henge:// name is neither of a node nor of a client")),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Authority => "ca",
            Role::Node => "node",
            Role::Client => "client",
        };
        write!(f, "{SCHEME}{}/{role}", self.cluster)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "/{name}"))
    }
}
