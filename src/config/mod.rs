//! The configuration: where values come from, what each key means, what is wrong with it.
//!
//! A value is taken from the first of: `--set KEY=VALUE`, the environment (`HENGE_NODE_LISTEN` for
//! `node.listen`), the file, the default. All violations are reported at once.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod.rs` | [`Config`], its sources, the origin of its values |
//! | `keys.rs` | every key: its type, its default, its rule |
//! | `file.rs` | TOML to a flat list of keys with their places |
//! | `reader.rs` | one key at a time, from the strongest source |
//! | `unknown.rs` | what nobody asked for, and what was probably meant |
//! | `error.rs` | one [`Violation`] variant a rule, drawn with file, line and caret |

mod error;
mod file;
mod keys;
mod reader;
mod unknown;

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use henge_actors::settings::Settings;

pub use error::{ConfigError, Finding, Invalid, Place, Violation};
use file::ConfigFile;
use reader::Reader;

use crate::telemetry::LogFormat;

/// Everything that `serve` needs: valid, and no longer text.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What the node is told.
    pub settings: Settings,
    /// Where HTTP listens.
    pub http: HttpConfig,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// `[http]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// TCP address. Default `127.0.0.1:7480`; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Whether it may be other than loopback although HTTP has no authentication yet.
    pub allow_remote_without_auth: bool,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Name of the file, for messages.
    pub file: String,
    /// Its text; may be empty.
    pub text: String,
    /// Variables that begin with `HENGE_`.
    pub environment: BTreeMap<String, String>,
    /// `KEY=VALUE`, each from one `--set`; the last one of a key counts.
    pub overrides: Vec<String>,
    /// Whether `--allow-faults` was given.
    pub allow_faults: bool,
}

/// A valid configuration and the origin of each value.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Every key with the value that is in effect, in the order of the reference file.
    pub effective: Vec<Effective>,
}

/// One key as it is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The key, such as `node.listen` or `cluster.nodes[0].name`.
    pub key: String,
    /// Its value as TOML writes it.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command line.
    CommandLine,
    /// This variable of the environment.
    Environment(String),
    /// The file, at this line from 1.
    File {
        /// The line.
        line: usize,
    },
    /// Nobody set it.
    Default,
}

impl Sources {
    /// The file at `path` and this process's environment.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self::of(&path.display().to_string(), &text, overrides))
    }

    /// The configuration of `serve --dev`: one node on loopback that needs nothing but a directory.
    pub fn dev(overrides: &[String]) -> Self {
        Self::of("--dev", include_str!("dev.toml"), overrides)
    }

    fn of(file: &str, text: &str, overrides: &[String]) -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("HENGE_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            environment: variables.collect(),
            overrides: overrides.to_vec(),
            allow_faults: false,
        }
    }
}

impl Config {
    /// Takes every key, checks every rule; the error has all violations.
    pub fn load(sources: &Sources) -> Result<Loaded, Invalid> {
        let invalid =
            |findings| Invalid { file: sources.file.clone(), text: sources.text.clone(), findings };
        let file = ConfigFile::parse(&sources.text).map_err(invalid)?;
        let mut reader = Reader::new(sources, &file);
        let config = keys::read(&mut reader, sources.allow_faults);
        reader.refuse_unknown();
        match config {
            Some(config) if reader.findings.is_empty() => {
                Ok(Loaded { config, effective: reader.effective })
            }
            _ => Err(invalid(in_order(reader.findings))),
        }
    }
}

/// Findings in the order of the file; those from elsewhere first.
fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| match &finding.place {
        Place::File(at) => Some(at.start),
        _ => None,
    });
    findings
}
