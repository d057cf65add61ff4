//! Bytes in texts: percent-encoding in paths and queries, keys in JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::problem::Problem;

/// Decodes a segment of a raw path. Every escape is decoded once: `%2F` is a slash of the name,
/// never of the path, and a `+` is a `+`.
pub fn decode_segment(field: &'static str, raw: &str) -> Result<Bytes, Problem> {
    if !raw.contains('%') {
        return Ok(Bytes::copy_from_slice(raw.as_bytes()));
    }
    decode_escapes(raw.as_bytes()).map(Bytes::from).ok_or_else(|| bad_escape(field, raw))
}

/// Decodes a name or value of a query as forms write it: a `+` is a space.
pub fn decode_query(field: &str, raw: &str) -> Result<Vec<u8>, Problem> {
    let spaced: Vec<u8> = raw.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    decode_escapes(&spaced).ok_or_else(|| bad_escape(field, raw))
}

fn bad_escape(field: &str, raw: &str) -> Problem {
    Problem::bad_request(field, shorten(raw), "percent-encoded: each % followed by two hex digits")
}

/// Decodes every escape once; `None` if one is not two hex digits.
pub fn decode_escapes(raw: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            _ => byte,
        });
    }
    Some(decoded)
}

/// The value of a digit of either case.
fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// As much of a refused text as a problem repeats.
pub fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Bytes of a client in JSON: a string if they are UTF-8, else `{"base64": …}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub Bytes);

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return to.serialize_str(text);
        }
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry("base64", &STANDARD.encode(&self.0))?;
        map.end()
    }
}

/// A value in JSON, as base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_is_decoded_once() {
        let decode = |raw| decode_segment("key", raw).map_err(|problem| problem.code());
        assert_eq!(decode("a%2Fb").unwrap(), "a/b");
        assert_eq!(decode("%252F+").unwrap(), "%2F+");
        assert_eq!(decode("%ff%00%2e").unwrap(), &b"\xff\0."[..]);
        for bad in ["%", "%2", "%zz", "a%2", "%%32"] {
            assert_eq!(decode(bad), Err("bad_request"), "{bad}");
        }
        assert_eq!(decode_query("prefix", "a+b%2B").unwrap(), b"a b+");
    }
}
