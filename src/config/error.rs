//! What can be wrong with a configuration: one variant a rule, shown with file, line and caret.

use std::{fmt, net::SocketAddr, ops::Range, path::PathBuf};

use henge_actors::settings;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};

/// One broken rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The file is not TOML.
    #[error("not TOML: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// No such key.
    #[error("unknown key {key}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key that is nearest, or the known keys of its section.
        hint: String,
    },
    /// An environment variable that is nearly the name of a key.
    #[error("unknown variable {variable}")]
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The variable that was probably meant.
        nearest: String,
    },
    /// A `--set` without `=`.
    #[error("--set {text} is not KEY=VALUE")]
    MalformedOverride {
        /// What was given.
        text: String,
    },
    /// A key that has no default is not set.
    #[error("{key} is not set, and has no default")]
    Missing {
        /// The key.
        key: String,
        /// What it should be.
        expected: String,
    },
    /// A value that its key does not take.
    #[error("{key} is {value}")]
    Unfit {
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// A rule of the node's settings.
    #[error(transparent)]
    Rule(#[from] settings::Violation),
    /// HTTP has no authentication yet.
    #[error("http.listen {listen} is not on loopback, and HTTP has no authentication yet")]
    RemoteHttp {
        /// Where HTTP would listen.
        listen: SocketAddr,
    },
    /// Generated certificates are for one machine only.
    #[error("tls.generate is true, but http.listen {listen} is not on loopback")]
    GenerateRemoteHttp {
        /// Where HTTP would listen.
        listen: SocketAddr,
    },
}

impl Violation {
    /// What would be right.
    pub fn remedy(&self) -> String {
        match self {
            Self::Syntax { .. } => "see https://toml.io for the syntax".to_owned(),
            Self::UnknownKey { hint, .. } => hint.clone(),
            Self::UnknownVariable { nearest, .. } => format!("did you mean {nearest}?"),
            Self::MalformedOverride { .. } => "for example --set defaults.w=3".to_owned(),
            Self::Missing { expected, .. } => format!("set it to {expected}"),
            Self::Unfit { expected, .. } => format!("it must be {expected}"),
            Self::Rule(violation) => violation.remedy(),
            Self::RemoteHttp { .. } => "listen on 127.0.0.1, or set \
                http.allow_remote_without_auth = true if the network itself is guarded"
                .to_owned(),
            Self::GenerateRemoteHttp { .. } => {
                "listen on 127.0.0.1, or set tls.generate = false".to_owned()
            }
        }
    }
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file, at these bytes.
    File(Range<usize>),
    /// In a line that stands elsewhere: an environment variable, an option.
    Line {
        /// `environment` or `command line`.
        name: &'static str,
        /// The whole line.
        text: String,
        /// The value's bytes in it.
        at: Range<usize>,
    },
    /// Nowhere: the value is a default, or missing.
    Nowhere,
}

/// A violation and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The broken rule.
    pub violation: Violation,
    /// Where.
    pub place: Place,
}

impl Finding {
    pub(super) fn new(violation: impl Into<Violation>, place: Place) -> Self {
        Self { violation: violation.into(), place }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Rules are broken.
    #[error("{0}")]
    Invalid(Invalid),
}

/// Every violation of one configuration, with the text that they point into.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// Name of the file, as given.
    pub file: String,
    /// Its text.
    pub text: String,
    /// All that is wrong; never empty.
    pub findings: Vec<Finding>,
}

impl Invalid {
    /// All violations as pictures for people, and one line that counts them.
    pub fn render(&self, colour: bool) -> String {
        let theme =
            if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
        let mut out = String::new();
        for finding in &self.findings {
            // Writing into a string fails only if the diagnostic itself does.
            if handler.render_report(&mut out, &self.picture(finding)).is_err() {
                out.push_str(&finding.violation.to_string());
            }
            out.push('\n');
        }
        out + &self.to_string() + "\n"
    }

    /// Line and column of a finding in the file, both from 1.
    pub fn position(&self, finding: &Finding) -> Option<(usize, usize)> {
        let Place::File(at) = &finding.place else { return None };
        Some(line_and_column(&self.text, at.start))
    }

    fn picture(&self, finding: &Finding) -> Picture {
        let (name, text, at) = match finding.place.clone() {
            Place::File(at) => (self.file.as_str(), self.text.clone(), at),
            Place::Line { name, text, at } => (name, text, at),
            Place::Nowhere => (self.file.as_str(), String::new(), 0..0),
        };
        let known = finding.place != Place::Nowhere;
        Picture {
            message: finding.violation.to_string(),
            help: finding.violation.remedy(),
            label: known.then(|| LabeledSpan::new_primary_with_span(None, at)),
            code: known.then(|| NamedSource::new(name, text)),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.findings.len();
        write!(f, "{}: {count} {}", self.file, if count == 1 { "violation" } else { "violations" })
    }
}

/// Line and column of a byte, both from 1; the column counts characters.
pub(super) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// One finding as miette draws it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Picture {
    message: String,
    help: String,
    label: Option<LabeledSpan>,
    code: Option<NamedSource<String>>,
}

impl Diagnostic for Picture {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.code.as_ref().map(|code| code as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.label.iter().cloned()))
    }
}
