//! Query strings: every parameter known, given once, and within its rule.

use std::time::Duration;

use henge_kernel::{
    bucket::{Durability, InvalidDurability, TTL_MAX},
    coordination::options::TIMEOUT_MAX,
    units::parse_duration,
};

use super::{
    problem::Problem,
    text::{decode_query, shorten},
};

/// The parameters of a request.
#[derive(Debug)]
pub struct Query {
    given: Vec<(&'static str, Vec<u8>)>,
}

impl Query {
    /// Reads a raw query; one that holds anything but `known` parameters is refused.
    pub fn parse(raw: Option<&str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut given: Vec<(&'static str, Vec<u8>)> = Vec::new();
        for pair in raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode_query("query", name)?;
            let name = known
                .iter()
                .copied()
                .find(|known| known.as_bytes() == decoded)
                .ok_or_else(|| unknown(&decoded, value, known))?;
            if given.iter().any(|(before, _)| *before == name) {
                return Err(Problem::bad_request(name, shorten(value), "given once"));
            }
            given.push((name, decode_query(name, value)?));
        }
        Ok(Self { given })
    }

    /// The bytes of a parameter.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_slice())
    }

    /// The text of a parameter.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let text = self.bytes(name).map(std::str::from_utf8).transpose();
        text.map_err(|_| Problem::bad_request(name, "not UTF-8", "UTF-8"))
    }

    fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let refuse = |limit| Problem::bad_request(name, shorten(text), limit);
        read(text).map(Some).map_err(refuse)
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.read(name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("true or false".to_owned()),
        })
    }

    /// A number of replicas; `n` only explains what would be right, the request itself knows the
    /// rules between the numbers.
    pub fn replicas(
        &self,
        name: &str,
        n: impl FnOnce() -> Result<u8, Problem>,
    ) -> Result<Option<u8>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if let Some(count) = whole_number(text) {
            return Ok(Some(count));
        }
        Err(Problem::bad_request(name, shorten(text), format!("1 to {} (n)", n()?)))
    }

    /// A number from 1 to `max`.
    pub fn count(&self, name: &str, max: u16) -> Result<Option<u16>, Problem> {
        let within = |count: &u16| (1..=max).contains(count);
        self.read(name, |text| {
            whole_number(text).filter(within).ok_or_else(|| format!("1 to {max}"))
        })
    }

    /// How long the request waits.
    pub fn timeout(&self) -> Result<Option<Duration>, Problem> {
        self.duration("timeout", TIMEOUT_MAX)
    }

    /// How long the value lives.
    pub fn ttl(&self) -> Result<Option<Duration>, Problem> {
        self.duration("ttl", TTL_MAX)
    }

    fn duration(&self, name: &str, max: Duration) -> Result<Option<Duration>, Problem> {
        self.read(name, |text| parse_duration(text, max).map_err(|refused| refused.expected()))
    }

    /// When a replica may acknowledge.
    pub fn durability(&self) -> Result<Option<Durability>, Problem> {
        self.read("durability", |text| {
            text.parse().map_err(|refused: InvalidDurability| refused.expected().to_owned())
        })
    }
}

/// Digits only: `+1`, which Rust would read, is not a number here.
fn whole_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn unknown(name: &[u8], value: &str, known: &[&str]) -> Problem {
    let limit = match known {
        [] => "left out: there are no parameters here".to_owned(),
        known => format!("one of the parameters {}", known.join(", ")),
    };
    Problem::bad_request(shorten(&String::from_utf8_lossy(name)), shorten(value), limit)
}
