//! The certificate directory of a cluster: `ca.pem`, `ca.key`, `<node>.pem`, `<node>.key`,
//! `client.pem`, `client.key`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use henge_kernel::{id::NodeName, time::WallMillis};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject};

use super::{
    Identity, Role, Subject, TlsError,
    authority::{self, Pair},
};

const AUTHORITY: &str = "ca";
const CLIENT: &str = "client";
const LOCK: &str = ".lock";
const CERTIFICATE_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;

/// What to issue.
#[derive(Clone, Copy, Debug)]
pub enum Issue<'a> {
    /// A node's certificate, into `<name>.pem` and `<name>.key`, good also for the DNS names and
    /// addresses in `names`.
    Node {
        /// The node's name, which must be a DNS name (not a mere number, no `-` at an end).
        name: &'a NodeName,
        /// More DNS names and IP addresses.
        names: &'a [String],
    },
    /// A client's certificate, into `client.pem` and `client.key`.
    Client {
        /// The client's name.
        name: &'a NodeName,
    },
}

/// A directory of certificates.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    authority: Subject,
}

impl Directory {
    /// The directory at `path` of the cluster called `cluster`; nothing is touched yet.
    pub fn new(path: impl Into<PathBuf>, cluster: &str) -> Result<Self, TlsError> {
        Ok(Self { path: path.into(), authority: Subject::authority(cluster)? })
    }

    /// The directory at `path` of whichever cluster its CA belongs to.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let path = path.into();
        let ca = path.join(format!("{AUTHORITY}.pem"));
        let text = fs::read_to_string(&ca).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                let remedy = format!("henge tls init --dir {} --cluster NAME", path.display());
                TlsError::Missing { path: ca.clone(), remedy }
            }
            _ => TlsError::File { path: ca.clone(), source },
        })?;
        let authority = Subject::of_certificate(&parse::<CertificateDer<'static>>(&ca, &text)?)
            .map_err(|why| invalid(&ca, &why))?;
        Self::new(path, authority.cluster())
    }

    /// The name of the cluster.
    pub fn cluster(&self) -> &str {
        self.authority.cluster()
    }

    /// Makes the cluster's CA. Refused if there is one.
    pub fn init(&self, now: WallMillis) -> Result<(), TlsError> {
        let _lock = self.lock()?;
        let path = self.certificate(AUTHORITY);
        if path.exists() {
            return Err(TlsError::Exists { path });
        }
        self.make_authority(now)
    }

    /// Issues a certificate; one of that name that exists is replaced.
    pub fn issue(&self, issue: Issue<'_>, now: WallMillis) -> Result<(), TlsError> {
        let _lock = self.lock()?;
        self.make(issue, now)
    }

    /// Issues a certificate; refused if there is one of that name.
    pub fn issue_new(&self, issue: Issue<'_>, now: WallMillis) -> Result<(), TlsError> {
        let _lock = self.lock()?;
        let stem = match issue {
            Issue::Node { name, .. } => stem_of(name)?,
            Issue::Client { .. } => CLIENT,
        };
        if self.holds(stem) {
            return Err(TlsError::Issued { path: self.certificate(stem) });
        }
        self.make(issue, now)
    }

    /// Makes whatever is not there yet of the CA, the certificate of `node` and a client's.
    ///
    /// Processes that do this at the same instant wait for each other.
    pub fn generate_missing(&self, node: &NodeName, now: WallMillis) -> Result<(), TlsError> {
        let _lock = self.lock()?;
        if !self.certificate(AUTHORITY).exists() {
            self.make_authority(now)?;
        }
        self.authority_certificate()?;
        if !self.holds(node.as_str()) {
            let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
            self.make(Issue::Node { name: node, names: &names }, now)?;
        }
        if !self.holds(CLIENT) {
            let name = NodeName::new(CLIENT).map_err(|error| TlsError::Unfit {
                name: error.name,
                reason: "it is not a client's name",
            })?;
            self.make(Issue::Client { name: &name }, now)?;
        }
        Ok(())
    }

    /// Reads the certificate of the node called `name` and checks it as its peers will.
    pub fn load_node(&self, name: &NodeName, now: WallMillis) -> Result<Identity, TlsError> {
        stem_of(name)?;
        let expected = Subject::node(self.authority.cluster(), name)?;
        let identity = self.load(name.as_str(), now)?;
        if *identity.subject() == expected {
            return Ok(identity);
        }
        Err(TlsError::OtherSubject {
            path: self.certificate(name.as_str()),
            found: identity.subject().clone(),
            expected: expected.to_string(),
        })
    }

    /// Reads the client's certificate and checks it as the nodes will.
    pub fn load_client(&self, now: WallMillis) -> Result<Identity, TlsError> {
        let identity = self.load(CLIENT, now)?;
        if identity.subject().role() == Role::Client {
            return Ok(identity);
        }
        Err(TlsError::OtherSubject {
            path: self.certificate(CLIENT),
            found: identity.subject().clone(),
            expected: "a client".to_owned(),
        })
    }

    fn load(&self, stem: &str, now: WallMillis) -> Result<Identity, TlsError> {
        let authority = self.authority_certificate()?;
        let path = self.certificate(stem);
        let certificate = parse::<CertificateDer<'static>>(&path, &self.read(&path)?)?;
        let key_path = self.key(stem);
        let key = parse::<PrivateKeyDer<'static>>(&key_path, &self.read(&key_path)?)?;
        let subject = Subject::of_certificate(&certificate).map_err(|why| invalid(&path, &why))?;
        self.check_cluster(&path, &subject)?;
        let identity = Identity { subject, certificate, key, authority };
        identity
            .check(UnixTime::since_unix_epoch(Duration::from_millis(now.0)))
            .map_err(|why| invalid(&path, &why))?;
        Ok(identity)
    }

    fn make_authority(&self, now: WallMillis) -> Result<(), TlsError> {
        self.store(AUTHORITY, &authority::authority(&self.authority, now)?)
    }

    fn make(&self, issue: Issue<'_>, now: WallMillis) -> Result<(), TlsError> {
        let cluster = self.authority.cluster();
        let (stem, subject, names) = match issue {
            Issue::Node { name, names } => (stem_of(name)?, Subject::node(cluster, name)?, names),
            Issue::Client { name } => (CLIENT, Subject::client(cluster, name)?, &[][..]),
        };
        self.authority_certificate()?;
        let certificate = self.read(&self.certificate(AUTHORITY))?;
        let key = self.authority_key()?;
        let pair = authority::issue(&subject, names, &Pair { certificate, key }, now)?;
        self.store(stem, &pair)
    }

    /// The CA's certificate, if it is this cluster's.
    fn authority_certificate(&self) -> Result<CertificateDer<'static>, TlsError> {
        let path = self.certificate(AUTHORITY);
        let certificate = parse::<CertificateDer<'static>>(&path, &self.read(&path)?)?;
        let found = Subject::of_certificate(&certificate).map_err(|why| invalid(&path, &why))?;
        self.check_cluster(&path, &found)?;
        Ok(certificate)
    }

    fn authority_key(&self) -> Result<String, TlsError> {
        self.read(&self.key(AUTHORITY)).map_err(|error| match error {
            TlsError::Missing { path, .. } => TlsError::Invalid {
                path,
                reason: "the CA's key is not here: run `henge tls issue` where `henge tls init` \
                         was run, and copy the certificate"
                    .to_owned(),
            },
            other => other,
        })
    }

    fn check_cluster(&self, path: &Path, found: &Subject) -> Result<(), TlsError> {
        if found.cluster() == self.authority.cluster() {
            return Ok(());
        }
        Err(TlsError::OtherCluster {
            path: path.to_owned(),
            found: found.cluster().to_owned(),
            expected: self.authority.cluster().to_owned(),
        })
    }

    fn certificate(&self, stem: &str) -> PathBuf {
        self.path.join(format!("{stem}.pem"))
    }

    fn key(&self, stem: &str) -> PathBuf {
        self.path.join(format!("{stem}.key"))
    }

    fn holds(&self, stem: &str) -> bool {
        self.certificate(stem).exists() && self.key(stem).exists()
    }

    fn read(&self, path: &Path) -> Result<String, TlsError> {
        fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                TlsError::Missing { path: path.to_owned(), remedy: self.remedy(path) }
            }
            _ => TlsError::File { path: path.to_owned(), source },
        })
    }

    /// The command that makes the file at `path`.
    fn remedy(&self, path: &Path) -> String {
        let (dir, cluster) = (self.path.display(), self.authority.cluster());
        let of = format!("--dir {dir} --cluster {cluster}");
        match path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default() {
            AUTHORITY => format!("henge tls init {of}"),
            CLIENT => format!("henge tls client {of}"),
            name => format!("henge tls issue {of} --node {name}"),
        }
    }

    /// The key first: a certificate that is there has its key.
    fn store(&self, stem: &str, pair: &Pair) -> Result<(), TlsError> {
        self.write(&self.key(stem), KEY_MODE, &pair.key)?;
        self.write(&self.certificate(stem), CERTIFICATE_MODE, &pair.certificate)
    }

    /// Whole or not at all, whenever the machine stops.
    fn write(&self, path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
        let temporary = path.with_extension("tmp");
        let attempt = || {
            let _ = fs::remove_file(&temporary);
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(mode).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            File::open(&self.path)?.sync_all()
        };
        attempt().map_err(|source| TlsError::File { path: path.to_owned(), source })
    }

    /// Makes the directory if need be, and holds it until the file is dropped.
    fn lock(&self) -> Result<File, TlsError> {
        let path = self.path.join(LOCK);
        let attempt = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        attempt().map_err(|source| TlsError::File { path: path.clone(), source })
    }
}

/// The file name of a node's certificate, which must not be that of another's.
fn stem_of(name: &NodeName) -> Result<&str, TlsError> {
    match name.as_str() {
        taken @ (AUTHORITY | CLIENT) => Err(TlsError::Unfit {
            name: taken.to_owned(),
            reason: "the files of that name are the CA's and the client's",
        }),
        stem => Ok(stem),
    }
}

fn parse<T: PemObject>(path: &Path, text: &str) -> Result<T, TlsError> {
    T::from_pem_slice(text.as_bytes())
        .map_err(|error| TlsError::Invalid { path: path.to_owned(), reason: error.to_string() })
}

fn invalid(path: &Path, why: &TlsError) -> TlsError {
    TlsError::Invalid { path: path.to_owned(), reason: why.to_string() }
}
