//! How commands fail: three lines for people, one object for programs, an exit code for scripts.

use std::process::ExitCode;

use henge_actors::{Fate, RequestError, transport::tls::TlsError};
use henge_kernel::units::Span;
use serde_json::json;

use super::output;
use crate::{ClientError, config::ConfigError};

/// How a command ends; a contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it should.
    Ok,
    /// It failed, and surely changed nothing that it did not report.
    Failed,
    /// It was called wrongly, or the configuration is wrong.
    Usage,
    /// The key has siblings.
    Siblings,
    /// There is no such key, or it was deleted.
    NotFound,
    /// A write failed that may have been applied.
    Unknown,
    /// Nobody can serve it now; surely not applied.
    Unavailable,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Siblings => 3,
            Self::NotFound => 4,
            Self::Unknown => 5,
            Self::Unavailable => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed, in three lines.
#[derive(Debug)]
pub struct Failure {
    /// What was not done.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do now.
    pub remedy: String,
    /// How the process ends.
    pub exit: Exit,
    /// The error's name, the same as over HTTP, if it came of a request.
    pub code: Option<&'static str>,
}

impl Failure {
    /// A failure that is nobody's request.
    pub fn new(
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
        exit: Exit,
    ) -> Self {
        Self { what: what.into(), why: why.into(), remedy: remedy.into(), exit, code: None }
    }

    /// The command was called wrongly.
    pub fn usage(
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(what, why, remedy, Exit::Usage)
    }

    /// Says it on stderr.
    pub fn report(&self, as_json: bool) {
        let Self { what, why, remedy, exit, code } = self;
        if !as_json {
            return output::message(&format!("error: {what}\n  why: {why}\n  try: {remedy}"));
        }
        let fate = if *exit == Exit::Unknown { Fate::Unknown } else { Fate::NotApplied };
        let (exit, fate) = (exit.code(), fate.as_str());
        let document = json!({
            "error": what, "why": why, "try": remedy, "exit": exit, "code": code, "fate": fate,
        });
        output::message(&document.to_string());
    }
}

/// What a command asked of the cluster, so that its failure can be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// What it was about: `carts/ada`.
    pub object: &'a str,
    /// What should have been done to it: `written`.
    pub done: &'a str,
    /// Whether it would have changed something.
    pub writes: bool,
    /// What to do if nobody knows whether it did.
    pub again: &'a str,
    /// The command that shows the data, if there is one.
    pub look: &'a str,
    /// The command that shows what the bucket allows, if there is one.
    pub bucket: &'a str,
    /// The option with which fewer replicas do, if there is one: `--w`.
    pub fewer: &'a str,
}

impl Asked<'_> {
    /// Tells why the cluster did not do it.
    pub fn failed(self, error: &ClientError) -> Failure {
        let exit = self.exit_of(error);
        let what = match exit {
            Exit::Unknown => format!("{} may or may not have been {}", self.object, self.done),
            _ => format!("{} was not {}", self.object, self.done),
        };
        let failure = Failure::new(what, error.to_string(), self.remedy(error, exit), exit);
        Failure { code: Some(error.code()), ..failure }
    }

    fn exit_of(self, error: &ClientError) -> Exit {
        if self.writes && error.fate() == Fate::Unknown {
            return Exit::Unknown;
        }
        match error {
            ClientError::Request(error) => exit_of_refusal(error),
            ClientError::BadAddress { .. } | ClientError::Tls(_) => Exit::Usage,
            ClientError::Unreachable { .. }
            | ClientError::Lost { .. }
            | ClientError::NoAnswer { .. } => Exit::Unavailable,
            _ => Exit::Failed,
        }
    }

    fn remedy(self, error: &ClientError, exit: Exit) -> String {
        if exit == Exit::Unknown {
            return self.again.to_owned();
        }
        match error {
            ClientError::Request(error) => self.remedy_of_refusal(error),
            ClientError::Unreachable { .. } => UNREACHABLE.to_owned(),
            ClientError::BadAddress { .. } => "--node 127.0.0.1:7400, for one".to_owned(),
            ClientError::Tls(error) => remedy_of_tls(error),
            ClientError::Lost { .. } | ClientError::NoAnswer { .. } => {
                "run it again, with a longer --timeout if the cluster is busy; `henge status` shows \
                 how it is"
                    .to_owned()
            }
            _ => "run it again".to_owned(),
        }
    }

    fn remedy_of_refusal(self, error: &RequestError) -> String {
        match error {
            RequestError::BadContext { .. } | RequestError::TooManySiblings { .. } => {
                format!("{} shows the context that fits", self.look)
            }
            RequestError::BadRequest { .. } | RequestError::TooLarge { .. }
                if !self.bucket.is_empty() =>
            {
                format!("{} shows what the bucket allows", self.bucket)
            }
            RequestError::BadRequest { .. } => "--help tells what is taken".to_owned(),
            RequestError::BucketPropertyFixed { .. } => "choose another bucket".to_owned(),
            RequestError::Overloaded { retry_after } => format!("wait {}", Span(*retry_after)),
            RequestError::StorageFull { .. } => "make room on that node's disk".to_owned(),
            RequestError::QuorumNotMet { .. } if self.fewer.is_empty() => {
                "`henge status` shows who is down".to_owned()
            }
            RequestError::QuorumNotMet { .. } => {
                format!("`henge status` shows who is down; fewer replicas may do ({})", self.fewer)
            }
            RequestError::NotReady { .. } | RequestError::StaleProperties { .. } => {
                "wait a moment; `henge status` shows how the cluster is".to_owned()
            }
            _ => "run it again; `henge status` shows how the cluster is".to_owned(),
        }
    }
}

/// What to do if no node is reached.
pub const UNREACHABLE: &str = "start a node (henge serve --dev), or name others: --node HOST:PORT, or \
                           export HENGE_NODES=HOST:PORT,HOST:PORT";

fn exit_of_refusal(error: &RequestError) -> Exit {
    match error {
        RequestError::BadRequest { .. }
        | RequestError::BadContext { .. }
        | RequestError::ContextRequired => Exit::Usage,
        RequestError::StaleProperties { .. }
        | RequestError::Overloaded { .. }
        | RequestError::NotReady { .. }
        | RequestError::QuorumNotMet { .. }
        | RequestError::TimedOut { .. }
        | RequestError::Interrupted => Exit::Unavailable,
        RequestError::PreconditionFailed
        | RequestError::TooLarge { .. }
        | RequestError::TooManySiblings { .. }
        | RequestError::Forbidden { .. }
        | RequestError::BucketPropertyFixed { .. }
        | RequestError::StorageFull { .. } => Exit::Failed,
    }
}

fn remedy_of_tls(error: &TlsError) -> String {
    match error {
        TlsError::Missing { .. } => "name the cluster's directory of certificates: --tls-dir DIR, \
                                     or the export line that `henge demo` and `henge serve --dev` \
                                     print"
            .to_owned(),
        _ => "henge tls client --help tells how to make client.pem and client.key".to_owned(),
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Unreadable { path, source } => Self::usage(
                format!("cannot read the configuration {}", path.display()),
                source.to_string(),
                "name a file such as config/cluster/a.toml; config/henge.toml explains every key",
            ),
            ConfigError::Invalid(invalid) => Self::usage(
                "the configuration cannot be used",
                invalid.to_string(),
                format!("henge check-config {} shows each", invalid.file),
            ),
        }
    }
}
