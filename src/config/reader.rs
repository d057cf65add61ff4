//! Takes values key by key from where they may stand: command line, environment, file, default.

use std::{collections::BTreeMap, fmt::Display, path::PathBuf, time::Duration};

use henge_kernel::units::{Size, Span, parse_duration, parse_size};

use super::{
    Effective, Origin, Sources,
    error::{Finding, Place, Violation, line_and_column},
    file::{ConfigFile, Written, quoted},
    unknown::{not_a_section, unknown_key, unknown_variable},
};

/// Far beyond the range of any key, whose own rule then names its own limits.
const SPAN_MAX: Duration = Duration::from_hours(24 * 365);
const SIZE_MAX: u64 = 1 << 50;

/// A value, where it stands, and what to call that place.
pub(super) struct Given {
    pub written: Written,
    pub place: Place,
    pub origin: Origin,
}

/// What was taken so far, and what was wrong with it.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    file: &'a ConfigFile,
    overrides: BTreeMap<&'a str, &'a str>,
    pub effective: Vec<Effective>,
    pub findings: Vec<Finding>,
    /// Every key that was asked for.
    known: Vec<String>,
    /// Those among them that have a violation.
    broken: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(sources: &'a Sources, file: &'a ConfigFile) -> Self {
        let mut reader = Self {
            sources,
            file,
            overrides: BTreeMap::new(),
            effective: Vec::new(),
            findings: Vec::new(),
            known: Vec::new(),
            broken: Vec::new(),
        };
        for text in &sources.overrides {
            match text.split_once('=') {
                Some((key, value)) => drop(reader.overrides.insert(key, value)),
                None => reader.findings.push(Finding::new(
                    Violation::MalformedOverride { text: text.clone() },
                    override_place(text, 0),
                )),
            }
        }
        reader
    }

    /// The value of `key` as written, from the strongest place that has it.
    pub fn given(&mut self, key: &str) -> Option<Given> {
        self.known.push(key.to_owned());
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<Given> {
        let variable = variable_of(key);
        if let Some(value) = self.overrides.get(key) {
            let place = override_place(&format!("{key}={value}"), key.len() + 1);
            let written = Written::Text((*value).to_owned());
            return Some(Given { written, place, origin: Origin::CommandLine });
        }
        if let Some(value) = self.sources.environment.get(&variable) {
            let text = format!("{variable}={value}");
            let at = variable.len() + 1..text.len();
            let place = Place::Line { name: "environment", text, at };
            let written = Written::Text(value.clone());
            return Some(Given { written, place, origin: Origin::Environment(variable) });
        }
        let entry = self.file.entries.get(key)?;
        let (line, _) = line_and_column(&self.sources.text, entry.value_at.start);
        Some(Given {
            written: entry.value.clone(),
            place: Place::File(entry.value_at.clone()),
            origin: Origin::File { line },
        })
    }

    /// A key whose text `parse` understands; its error says what the text must be.
    pub fn word<T: Display>(
        &mut self,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.take(key, default, |given| parse(given.text()?), quoted)
    }

    /// A key that has no default.
    pub fn required<T: Display>(
        &mut self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let parse = |given: &Given| given.text().and_then(parse).map(Some);
        let value =
            self.take(key, None, parse, |value| value.as_ref().map_or_else(String::new, quoted));
        let missing = value.is_none() && !self.is_broken(key);
        if missing {
            self.effective.pop();
            self.missing(key, expected);
        }
        value
    }

    /// A path.
    pub fn path(&mut self, key: &str, default: PathBuf) -> PathBuf {
        let parse = |given: &Given| match given.text()? {
            "" => Err("a path".to_owned()),
            path => Ok(PathBuf::from(path)),
        };
        self.take(key, default, parse, |path| quoted(&path.display()))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        let parse = |given: &Given| match &given.written {
            Written::Flag(flag) => Ok(*flag),
            Written::Text(text) if given.is_bare() => {
                text.parse().map_err(|_| TRUE_OR_FALSE.into())
            }
            _ => Err(TRUE_OR_FALSE.to_owned()),
        };
        self.take(key, default, parse, bool::to_string)
    }

    /// A whole number that `parse` understands; its error says what the number must be.
    pub fn number<T: Display>(
        &mut self,
        key: &str,
        default: T,
        parse: impl FnOnce(u64) -> Result<T, String>,
    ) -> T {
        self.take(key, default, |given| parse(given.number()?), T::to_string)
    }

    /// A span of time.
    pub fn span(&mut self, key: &str, default: Duration) -> Duration {
        let parse = |given: &Given| {
            parse_duration(given.quantity("250ms")?, SPAN_MAX)
                .map_err(|refused| format!("{}, such as \"250ms\"", refused.expected()))
        };
        self.take(key, default, parse, |span| quoted(&Span(*span)))
    }

    /// A number of bytes.
    pub fn size(&mut self, key: &str, default: u64) -> u64 {
        let parse = |given: &Given| {
            parse_size(given.quantity("64MiB")?, SIZE_MAX)
                .map_err(|refused| format!("{}, such as \"64MiB\"", refused.expected()))
        };
        self.take(key, default, parse, |size| quoted(&Size(*size)))
    }

    /// How many tables the list `key` has; 0 if there is none.
    pub fn tables(&mut self, key: &str) -> usize {
        match self.given(key) {
            Some(Given { written: Written::Tables(count), .. }) => count,
            Some(given) => {
                self.refuse(key, &given, format!("a list of tables: write [[{key}]]"));
                0
            }
            None => 0,
        }
    }

    /// A key of any type: `parse` says what it must be, `show` writes it as TOML.
    pub fn take<T>(
        &mut self,
        key: &str,
        default: T,
        parse: impl FnOnce(&Given) -> Result<T, String>,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let Some(given) = self.given(key) else {
            self.note(key, show(&default), Origin::Default);
            return default;
        };
        match parse(&given) {
            Ok(value) => {
                self.note(key, show(&value), given.origin);
                value
            }
            Err(expected) => {
                self.refuse(key, &given, expected);
                default
            }
        }
    }

    /// Records the value that is in effect.
    pub fn note(&mut self, key: &str, value: String, origin: Origin) {
        self.effective.push(Effective { key: key.to_owned(), value, origin });
    }

    /// Records that `key` cannot be what it is.
    pub fn refuse(&mut self, key: &str, given: &Given, expected: String) {
        let (key, value) = (key.to_owned(), given.written.show());
        self.broken.push(key.clone());
        let violation = Violation::Unfit { key, value, expected };
        self.findings.push(Finding::new(violation, given.place.clone()));
    }

    /// Whether `key` has a violation of its own.
    pub fn is_broken(&self, key: &str) -> bool {
        self.broken.iter().any(|broken| broken == key)
    }

    /// Records a broken rule between `fields`, unless one of them is broken by itself.
    pub fn refuse_rule(&mut self, violation: impl Into<Violation>, fields: &[String]) {
        let tells = |broken: &String, field: &String| {
            broken == field || inside(broken, field) || inside(field, broken)
        };
        let known = fields.iter().any(|field| self.broken.iter().any(|key| tells(key, field)));
        if !known {
            self.findings.push(Finding::new(violation, self.place_of(fields)));
        }
    }

    /// Records that `key` must be set.
    pub fn missing(&mut self, key: &str, expected: &str) {
        self.broken.push(key.to_owned());
        let parent = key.rsplit_once('.').and_then(|(parent, _)| self.file.entries.get(parent));
        let place = parent.map_or(Place::Nowhere, |entry| Place::File(entry.key_at.clone()));
        let (key, expected) = (key.to_owned(), expected.to_owned());
        self.findings.push(Finding::new(Violation::Missing { key, expected }, place));
    }

    /// Where the first of `keys` stands that stands anywhere.
    pub fn place_of(&self, keys: &[String]) -> Place {
        keys.iter().find_map(|key| self.find(key)).map_or(Place::Nowhere, |given| given.place)
    }

    /// Reports what stands in the file, the environment or on the command line and was never asked
    /// for.
    pub fn refuse_unknown(&mut self) {
        let known = std::mem::take(&mut self.known);
        let file = self.file;
        // What lies inside a table that was reported needs no report of its own.
        let mut reported = self.broken.clone();
        for (key, entry) in &file.entries {
            let covered = reported.iter().any(|table| inside(key, table));
            let section = known.iter().any(|known| inside(known, key));
            if covered || known.contains(key) || section && entry.value == Written::Table {
                continue;
            }
            reported.push(key.clone());
            let finding = if section {
                not_a_section(key, entry)
            } else {
                unknown_key(key, &known, Place::File(entry.key_at.clone()))
            };
            self.findings.push(finding);
        }
        for (&key, &value) in &self.overrides {
            if !known.iter().any(|known| known == key) {
                let place = override_place(&format!("{key}={value}"), 0);
                self.findings.push(unknown_key(key, &known, place));
            }
        }
        for (variable, value) in &self.sources.environment {
            self.findings.extend(unknown_variable(variable, value, &known));
        }
    }
}

const TRUE_OR_FALSE: &str = "true or false";

impl Given {
    /// Whether it is a word without a type: it stands in no file.
    pub fn is_bare(&self) -> bool {
        !matches!(self.place, Place::File(_))
    }

    pub fn text(&self) -> Result<&str, String> {
        self.as_text().ok_or_else(|| "text in quotes".to_owned())
    }

    /// The text of a quantity, such as `example`.
    fn quantity(&self, example: &str) -> Result<&str, String> {
        self.as_text().ok_or_else(|| format!("text with a unit, such as {}", quoted(&example)))
    }

    fn as_text(&self) -> Option<&str> {
        if let Written::Text(text) = &self.written { Some(text) } else { None }
    }

    pub fn number(&self) -> Result<u64, String> {
        let number = match &self.written {
            Written::Number(number) => u64::try_from(*number).ok(),
            Written::Text(text) if self.is_bare() => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| "a whole number that is not negative".to_owned())
    }
}

/// `node.listen` is set by `HENGE_NODE_LISTEN`.
pub(super) fn variable_of(key: &str) -> String {
    format!("HENGE_{}", key.replace('.', "_").to_uppercase())
}

fn override_place(text: &str, value_at: usize) -> Place {
    let line = format!("--set {text}");
    let start = "--set ".len();
    Place::Line { name: "command line", at: start + value_at..line.len(), text: line }
}

/// Whether `key` lies in the table `section`.
fn inside(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.starts_with(['.', '[']))
}
