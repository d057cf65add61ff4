//! What a key holds, as `get` shows it: a value raw, siblings with what resolves them.

use henge_actors::{Answer, Context, Got, Key, Value};
use henge_kernel::{causality::Version, coordination::Replicas};
use serde::Serialize;

use super::{
    failure::{Exit, Failure},
    output,
    session::Session,
    table::Table,
    words::{printable, shown, shown_key},
};
use crate::surfaces::http::{date, siblings::Sibling};

/// The longest value that is shown whole in a table, in characters.
const SHOWN_MAX: usize = 40;

const CONCURRENT_DELETE: &str = "A delete is concurrent with it: it has not seen what is here.";

/// A key and what it holds.
pub struct Found<'a> {
    /// Who was asked.
    pub session: &'a Session,
    /// The key.
    pub key: &'a Key,
    /// What it holds.
    pub got: &'a Got,
    /// Who stood for it.
    pub replicas: Replicas,
}

impl<'a> Found<'a> {
    /// The answer to a get.
    pub fn of(session: &'a Session, key: &'a Key, answer: &'a Answer<Got>) -> Self {
        Self { session, key, got: &answer.body, replicas: answer.replicas }
    }

    /// Shows it in the way that fits who reads.
    pub fn show(&self, as_json: bool) -> Result<Exit, Failure> {
        if as_json {
            output::json(&self.document())?;
        } else {
            self.show_raw()?;
        }
        Ok(self.exit())
    }

    /// How a command ends that found this.
    pub fn exit(&self) -> Exit {
        match self.got {
            Got::Value { .. } => Exit::Ok,
            Got::Siblings { .. } => Exit::Siblings,
            Got::Deleted { .. } | Got::NotFound => Exit::NotFound,
        }
    }

    /// The context as text; `None` if nothing was found.
    pub fn token(&self) -> Option<String> {
        let context = Some(self.got.context()).filter(|context| !context.is_empty());
        context.map(|context| token(self.session, self.key, &context))
    }

    fn show_raw(&self) -> Result<(), Failure> {
        match self.got {
            Got::Value { version, concurrent_delete, .. } => {
                version.value().map(show_value).transpose()?;
                if *concurrent_delete {
                    output::message(CONCURRENT_DELETE);
                }
                self.show_token();
            }
            Got::Siblings { versions, concurrent_delete, .. } => {
                let mut text = self.siblings_text(versions);
                if *concurrent_delete {
                    text.extend([CONCURRENT_DELETE, "\n"]);
                }
                if output::is_terminal() {
                    output::text(&text)?;
                } else {
                    output::message(text.trim_end());
                }
            }
            Got::Deleted { .. } => {
                output::message(&format!("{} was deleted", shown_key(self.key)));
                self.show_token();
            }
            Got::NotFound => output::message(&format!("there is no {}", shown_key(self.key))),
        }
        Ok(())
    }

    fn show_token(&self) {
        output::aside(&format!("context: {}", self.token().unwrap_or_default()));
    }

    /// The siblings, and the lines that make one value of them.
    fn siblings_text(&self, versions: &[Version]) -> String {
        let token = self.token().unwrap_or_default();
        let mut table = Table::new(&["#>", "VALUE", "TYPE", "WRITTEN", "DOT"]);
        for (number, version) in (1..).zip(versions) {
            let Some(value) = version.value() else { continue };
            table.row([
                format!("{number}").into(),
                summary(value).into(),
                shown(value.content_type.as_deref().unwrap_or("-").as_bytes()).into(),
                date::rfc3339(version.stamp).unwrap_or_default().into(),
                version.dot.to_string().into(),
            ]);
        }
        let (what, count) = (shown_key(self.key), versions.len());
        let put = || self.session.line("put").option("--context", &token);
        let merge = put().operands(self.key, Some("WHAT THEY COME TO")).into_text();
        let keep = (1..).zip(versions).map(|(number, version)| {
            let line = put().option("--keep", &version.dot.to_string());
            format!("Or keep number {number}:\n  {}\n", line.operands(self.key, None).into_text())
        });
        format!(
            "{what} has {count} siblings: none of them has seen the other.\n\n{table}\n\
             Write one value in their place:\n  {merge}\n{}",
            keep.collect::<String>()
        )
    }

    fn document(&self) -> Document<'_> {
        let (found, concurrent_delete) = match self.got {
            Got::Value { concurrent_delete, .. } => ("value", *concurrent_delete),
            Got::Siblings { concurrent_delete, .. } => ("siblings", *concurrent_delete),
            Got::Deleted { .. } => ("deleted", false),
            Got::NotFound => ("not_found", false),
        };
        let each = || self.got.versions().iter().filter_map(Sibling::of);
        let is_conflict = self.got.is_conflict();
        Document {
            found,
            context: self.token(),
            value: each().next().filter(|_| !is_conflict),
            siblings: is_conflict.then(|| each().collect()),
            concurrent_delete,
            replicas: self.replicas.into(),
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    found: &'static str,
    context: Option<String>,
    #[serde(flatten)]
    value: Option<Sibling<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    siblings: Option<Vec<Sibling<'a>>>,
    concurrent_delete: bool,
    replicas: ReplicaCounts,
}

/// Who stood for an answer, in JSON.
#[derive(Serialize)]
pub struct ReplicaCounts {
    acks: u8,
    fallbacks: u8,
    homes: u8,
}

impl From<Replicas> for ReplicaCounts {
    fn from(Replicas { acks, fallbacks, homes }: Replicas) -> Self {
        Self { acks, fallbacks, homes }
    }
}

/// A context as text.
pub fn token(session: &Session, key: &Key, context: &Context) -> String {
    context.to_token(&session.client.context_key(), key)
}

/// The value's bytes on stdout. A terminal gets no bytes that would upset it.
pub fn show_value(value: &Value) -> Result<(), Failure> {
    if !output::is_terminal() {
        output::raw(&value.bytes)?;
        return Ok(());
    }
    let harmless = |letter: char| !letter.is_control() || "\n\t".contains(letter);
    match value.as_text().filter(|text| text.chars().all(harmless)) {
        Some(text) => {
            let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
            output::raw(format!("{text}{end}").as_bytes())?;
        }
        None => output::message(&format!(
            "{} bytes that are no text: send stdout to a file or a pipe to get them",
            value.bytes.len()
        )),
    }
    Ok(())
}

/// A value in a table.
fn summary(value: &Value) -> String {
    match printable(&value.bytes) {
        None | Some("") => format!("({} bytes)", value.bytes.len()),
        Some(text) if text.chars().count() <= SHOWN_MAX => text.to_owned(),
        Some(text) => text.chars().take(SHOWN_MAX).chain("…".chars()).collect(),
    }
}
