//! A partial update of a bucket's properties, as a user wrote it.

use core::fmt;
use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::properties::{
    BucketProperties, Durability, InvalidDurability, TTL_MAX, VALUE_BYTES_MAX, Violations,
    check_quorums,
};
use crate::{
    causality::Conflict,
    units::{parse_duration, parse_size},
    violation::Violation,
};

/// Characters that are shown of a name or text that is refused.
const SHOWN_MAX: usize = 64;

/// Properties to set, by name: a JSON object, a TOML table, or `n=3 conflict=lww` on a command
/// line. What is not named stays as it is.
///
/// Nothing is checked until [`BucketChange::apply`], so that all mistakes are named at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BucketChange(BTreeMap<String, Setting>);

impl<'de> Deserialize<'de> for BucketChange {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Properties)
    }
}

/// Reads properties; a name that is given twice is refused, as nobody knows which was meant.
struct Properties;

impl<'de> Visitor<'de> for Properties {
    type Value = BucketChange;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BucketChange, A::Error> {
        let mut change = BucketChange::default();
        while let Some((name, setting)) = map.next_entry::<String, Setting>()? {
            if change.0.contains_key(&name) {
                let name: String = name.chars().take(SHOWN_MAX).collect();
                return Err(A::Error::custom(format_args!("{name:?} is given twice")));
            }
            change.0.insert(name, setting);
        }
        Ok(change)
    }
}

/// One value as written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Setting {
    /// `null`, or `none` on a command line: without.
    None,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Any other number.
    Fraction(f64),
    /// Text, durations and sizes among it.
    Text(String),
    /// Something that no property can be: a list, an object.
    Other(Unsuitable),
}

/// A value of a kind that no property has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsuitable;

impl Serialize for Unsuitable {
    /// As one of the kinds that it stands for, so that it is read as what it is.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq([(); 0])
    }
}

impl<'de> Deserialize<'de> for Unsuitable {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(from).map(|_| Self)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("null"),
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Fraction(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{:?}", text.chars().take(SHOWN_MAX).collect::<String>()),
            Self::Other(Unsuitable) => f.write_str("a list or an object"),
        }
    }
}

impl From<&str> for Setting {
    /// The value that `text` on a command line means.
    fn from(text: &str) -> Self {
        match text {
            "none" => Self::None,
            "true" => Self::Flag(true),
            "false" => Self::Flag(false),
            _ => text.parse().map_or_else(|_| Self::Text(text.to_owned()), Self::Number),
        }
    }
}

impl BucketChange {
    /// Sets one property, as written; the last one of a name counts.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Setting>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// Reads one `name=value`; `None` if there is no `=`.
    pub fn parse_pair(self, pair: &str) -> Option<Self> {
        pair.split_once('=').map(|(name, value)| self.set(name, value))
    }

    /// Whether it names no property.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `current` with this change, valid as a whole, or every rule that would be broken.
    pub fn apply(&self, current: &BucketProperties) -> Result<BucketProperties, Violations> {
        let mut draft = Draft {
            quorums: current.quorums().map(i64::from),
            properties: current.clone(),
            violations: Vec::new(),
        };
        for (name, setting) in &self.0 {
            draft.take(name, setting);
        }
        draft.finish()
    }
}

impl TryFrom<BucketChange> for BucketProperties {
    type Error = Violations;

    fn try_from(change: BucketChange) -> Result<Self, Violations> {
        change.apply(&Self::default())
    }
}

/// Properties in the making: numbers as they were written, until all rules were checked.
struct Draft {
    quorums: [i64; 5],
    properties: BucketProperties,
    violations: Vec<Violation>,
}

impl Draft {
    fn take(&mut self, name: &str, setting: &Setting) {
        let taken = match (name, setting) {
            ("n", Setting::Number(number)) => self.quorum(0, *number),
            ("r", Setting::Number(number)) => self.quorum(1, *number),
            ("w", Setting::Number(number)) => self.quorum(2, *number),
            ("pr", Setting::Number(number)) => self.quorum(3, *number),
            ("pw", Setting::Number(number)) => self.quorum(4, *number),
            ("n" | "r" | "w" | "pr" | "pw", _) => Err("a whole number".into()),
            ("sloppy", _) => self.sloppy(setting),
            ("conflict", _) => self.conflict(setting),
            ("ttl", _) => self.ttl(setting),
            ("durability", _) => self.durability(setting),
            ("value_bytes_max", _) => self.value_bytes_max(setting),
            _ => Err(format!("one of the properties {}", BucketProperties::NAMES.join(", "))),
        };
        if let Err(limit) = taken {
            let name = name.chars().take(64).collect::<String>();
            self.violations.push(Violation::new(name, setting, limit));
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "one shape for all properties")]
    fn quorum(&mut self, place: usize, number: i64) -> Result<(), String> {
        self.quorums[place] = number;
        Ok(())
    }

    fn sloppy(&mut self, setting: &Setting) -> Result<(), String> {
        let Setting::Flag(flag) = setting else {
            return Err("true or false".into());
        };
        self.properties.sloppy = *flag;
        Ok(())
    }

    fn conflict(&mut self, setting: &Setting) -> Result<(), String> {
        self.properties.conflict = match setting {
            Setting::Text(text) if text == "siblings" => Conflict::Siblings,
            Setting::Text(text) if text == "lww" => Conflict::Lww,
            _ => return Err("siblings or lww".into()),
        };
        Ok(())
    }

    fn ttl(&mut self, setting: &Setting) -> Result<(), String> {
        self.properties.ttl = match setting {
            Setting::None => None,
            Setting::Text(text) => {
                Some(parse_duration(text, TTL_MAX).map_err(|refused| refused.expected())?)
            }
            _ => return Err("a duration such as 30d, or null".into()),
        };
        Ok(())
    }

    fn durability(&mut self, setting: &Setting) -> Result<(), String> {
        let parsed = match setting {
            Setting::Text(text) => text.parse::<Durability>(),
            _ => Err(InvalidDurability::Unknown),
        };
        self.properties.durability = parsed.map_err(|refused| refused.expected().to_owned())?;
        Ok(())
    }

    fn value_bytes_max(&mut self, setting: &Setting) -> Result<(), String> {
        let Setting::Text(text) = setting else {
            return Err("a size such as 1MiB".into());
        };
        let bytes =
            parse_size(text, VALUE_BYTES_MAX.into()).map_err(|refused| refused.expected())?;
        self.properties.value_bytes_max = u32::try_from(bytes).unwrap_or(VALUE_BYTES_MAX);
        Ok(())
    }

    fn finish(mut self) -> Result<BucketProperties, Violations> {
        self.violations.extend(check_quorums(self.quorums));
        Violations::none_of(self.violations)?;
        // The rules have just been checked: every number fits.
        let [n, r, w, pr, pw] = self.quorums.map(|number| u8::try_from(number).unwrap_or(u8::MAX));
        Ok(BucketProperties { n, r, w, pr, pw, ..self.properties })
    }
}
