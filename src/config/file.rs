//! A TOML file as a flat list of keys, each with the place where it was written.
//!
//! Deserialising into structs would stop at the first mistake. Here every key is at hand at once,
//! so that [`super::Config`] can take what it knows and report all that is left over.

use std::{collections::BTreeMap, fmt::Display, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::{Finding, Place, Violation};

/// A configuration file, parsed but not understood.
#[derive(Debug)]
pub(super) struct ConfigFile {
    /// Keys in the notation of messages: `node.listen`, `cluster.nodes[0].name`.
    pub entries: BTreeMap<String, Entry>,
}

/// One key of the file, a table or list of tables included.
#[derive(Debug)]
pub(super) struct Entry {
    /// What stands there.
    pub value: Written,
    /// Where the key stands, in bytes.
    pub key_at: Range<usize>,
    /// Where the value stands, in bytes; for a table its header.
    pub value_at: Range<usize>,
}

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// Text in quotes, or any word of the environment or the command line.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// A table.
    Table,
    /// A list of this many tables.
    Tables(usize),
    /// Something that no key can be: a date, a fraction, a list of values.
    Other(&'static str),
}

impl Written {
    /// As messages show it.
    pub fn show(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Table => "a table".to_owned(),
            Self::Tables(_) => "a list of tables".to_owned(),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

/// As TOML writes text.
pub(super) fn quoted(text: &impl Display) -> String {
    toml::Value::String(text.to_string()).to_string()
}

impl ConfigFile {
    /// Parses `text`; the error has every mistake of syntax.
    pub fn parse(text: &str) -> Result<Self, Vec<Finding>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(errors.iter().map(syntax).collect());
        }
        let mut entries = BTreeMap::new();
        flatten("", table.get_ref(), &mut entries);
        Ok(Self { entries })
    }
}

fn syntax(error: &toml::de::Error) -> Finding {
    let message = error.message().trim().replace('\n', ", ");
    let place = error.span().map_or(Place::Nowhere, Place::File);
    Finding::new(Violation::Syntax { message }, place)
}

fn flatten(prefix: &str, table: &DeTable<'_>, entries: &mut BTreeMap<String, Entry>) {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{prefix}.{}", key.get_ref())
        };
        take(&path, &key.span(), value, entries);
    }
}

fn take(
    path: &str,
    key_at: &Range<usize>,
    value: &Spanned<DeValue<'_>>,
    entries: &mut BTreeMap<String, Entry>,
) {
    let written = match value.get_ref() {
        DeValue::String(text) => Written::Text(text.to_string()),
        DeValue::Boolean(flag) => Written::Flag(*flag),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Written::Other("a number beyond all limits"), Written::Number),
        DeValue::Table(table) => {
            flatten(path, table, entries);
            Written::Table
        }
        DeValue::Array(list) if list.iter().all(|item| item.get_ref().is_table()) => {
            for (position, item) in list.iter().enumerate() {
                take(&format!("{path}[{position}]"), &item.span(), item, entries);
            }
            Written::Tables(list.len())
        }
        DeValue::Array(_) => Written::Other("a list of values"),
        DeValue::Float(_) => Written::Other("a fraction"),
        DeValue::Datetime(_) => Written::Other("a date"),
    };
    let header = matches!(written, Written::Table | Written::Tables(_));
    let value_at = if header { key_at.clone() } else { value.span() };
    let entry = Entry { value: written, key_at: key_at.clone(), value_at };
    entries.insert(path.to_owned(), entry);
}
