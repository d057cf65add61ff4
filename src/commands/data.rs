//! Where the nodes that a command starts keep their files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// Names of nodes, as in the samples.
pub const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

/// A directory.
pub enum Data {
    /// Removed at the end.
    Temporary(TempDir),
    /// The user's.
    Kept(PathBuf),
}

impl Data {
    /// A temporary directory whose name begins with `prefix`, or the one that the user wants.
    pub fn new(dir: Option<&Path>, prefix: &str) -> io::Result<Self> {
        match dir {
            Some(dir) => fs::create_dir_all(dir).map(|()| Self::Kept(dir.to_owned())),
            None => tempfile::Builder::new().prefix(prefix).tempdir().map(Self::Temporary),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path) => path,
        }
    }

    /// Where it is, if it is to be removed at the end.
    pub fn temporary(&self) -> Option<PathBuf> {
        match self {
            Self::Temporary(directory) => Some(directory.path().to_owned()),
            Self::Kept(_) => None,
        }
    }

    /// The directory of the cluster's certificates.
    pub fn tls_dir(&self) -> PathBuf {
        self.path().join("tls")
    }

    /// Leaves it where it is, also if it was to be removed.
    pub fn keep(self) -> PathBuf {
        match self {
            Self::Temporary(directory) => directory.keep(),
            Self::Kept(path) => path,
        }
    }
}
