//! Log lines on stderr: which by `RUST_LOG`, how they look by `telemetry.format`.

use std::fmt;

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text an event, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

impl LogFormat {
    /// The rule in words.
    pub const RULE: &str = "text or json";

    /// Reads `text` or `json`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Sends the events of this process to stderr from now on. Without `RUST_LOG`, our own of
/// `default_level` and above, and at most warnings of the libraries; a part of `RUST_LOG` that
/// cannot be understood is left out and named on stderr.
///
/// Only the first call of a process has an effect: whoever embeds this may have a subscriber already.
pub fn start(format: LogFormat, colour: bool, default_level: LevelFilter) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV);
    let wanted = wanted.unwrap_or_else(|_| format!("henge={default_level}"));
    let others = default_level.min(LevelFilter::WARN);
    let filter = EnvFilter::builder().with_default_directive(others.into()).parse_lossy(wanted);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(colour).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(taken) = started {
        tracing::debug!(%taken, "log lines go to the subscriber that was there first");
    }
}

/// Makes one event of every panic, in place of the trace on stderr: whoever supervises the part that
/// fell reports what becomes of it.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let reason = panic.payload_as_str().unwrap_or("a panic without words");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        tracing::error!(target: "henge::panic", thread, place, reason, "panicked");
    }));
}
