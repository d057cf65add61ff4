//! What may be said of a value beside its bytes: little, and nothing that some door cannot show.

use std::collections::BTreeSet;

use super::Value;
use crate::violation::Violation;

/// Names and their texts, as a value carries them.
pub type Meta = Vec<(Box<str>, Box<str>)>;

/// The longest media type of a value, in bytes.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// The most names in the metadata of a value.
pub const META_COUNT_MAX: usize = 32;
/// The most bytes of metadata of a value, names and texts together.
pub const META_BYTES_MAX: usize = 4096;

/// Characters that are shown of what is refused.
const SHOWN_MAX: usize = 64;

impl Value {
    /// Checks the media type and the metadata, and orders the metadata by name: the order in which
    /// a client said them means nothing, and one order for all makes equal values equal. Every door
    /// does this to what it takes. How long the body may be is up to its bucket.
    pub fn describe(&mut self) -> Result<(), Violation> {
        self.content_type.as_deref().map_or(Ok(()), check_content_type)?;
        check_meta(&self.meta)?;
        self.meta.sort_unstable();
        Ok(())
    }
}

/// Checks a media type.
fn check_content_type(text: &str) -> Result<(), Violation> {
    let refuse = |value, limit| Err(Violation { field: "content_type".into(), value, limit });
    if text.len() > CONTENT_TYPE_BYTES_MAX {
        let limit = format!("at most {CONTENT_TYPE_BYTES_MAX} bytes");
        return refuse(format!("{} bytes", text.len()), limit);
    }
    if !is_media_type(text) {
        let limit = "a media type such as text/plain; charset=utf-8";
        return refuse(shorten(text), limit.to_owned());
    }
    Ok(())
}

/// Checks metadata: names as HTTP knows them, in lower case and each once, and texts of one line.
fn check_meta(meta: &[(Box<str>, Box<str>)]) -> Result<(), Violation> {
    let refuse = |value, limit| Err(Violation { field: "meta".into(), value, limit });
    if meta.len() > META_COUNT_MAX {
        return refuse(format!("{} names", meta.len()), format!("at most {META_COUNT_MAX}"));
    }
    let bytes: usize = meta.iter().map(|(name, text)| name.len() + text.len()).sum();
    if bytes > META_BYTES_MAX {
        return refuse(format!("{bytes} bytes"), format!("at most {META_BYTES_MAX} bytes"));
    }
    let mut names = BTreeSet::new();
    for (name, text) in meta {
        let limit = if !is_token(name) || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            "of names in lower case, of the characters of an HTTP header's name"
        } else if text.chars().any(|c| c.is_control() && c != '\t') {
            "of texts without control characters"
        } else if !names.insert(name) {
            "of names that are given once"
        } else {
            continue;
        };
        return refuse(shorten(name), limit.to_owned());
    }
    Ok(())
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let halves = essence.split_once('/');
    visible && halves.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// A token of HTTP (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(legal)
}

fn shorten(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(names: &[(&str, &str)]) -> Meta {
        names.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect()
    }

    #[test]
    fn media_types_have_two_halves_and_a_limit() {
        let longest = format!("text/{}", "x".repeat(250));
        for good in ["text/plain", "text/html; charset=\"utf-8\"", &longest] {
            assert_eq!(check_content_type(good), Ok(()));
        }
        for bad in ["", "text", "text/", "/plain", "te xt/plain", "text/plain/x", "text/plän"] {
            assert!(check_content_type(bad).is_err(), "{bad}");
        }
        let refused = check_content_type(&format!("{longest}x")).unwrap_err();
        assert_eq!(refused.to_string(), "content_type is 256 bytes; it must be at most 255 bytes");
    }

    #[test]
    fn values_that_say_the_same_are_equal_in_whatever_order() {
        let described = |names| {
            let mut value = Value { meta: meta(names), ..Value::text("x") };
            value.describe().map(|()| value)
        };
        let ordered = described(&[("a", "2"), ("b", "1")]).unwrap();
        assert_eq!(ordered.meta, meta(&[("a", "2"), ("b", "1")]));
        assert_eq!(described(&[("b", "1"), ("a", "2")]), Ok(ordered));
        assert_eq!(described(&[("b", ""), ("a", ""), ("b", "")]).unwrap_err().field, "meta");
        let mut untyped = Value { content_type: Some("text".into()), ..Value::default() };
        assert_eq!(untyped.describe().unwrap_err().field, "content_type");
    }

    #[test]
    fn metadata_is_bounded_in_count_and_bytes() {
        let names: Vec<String> = (0..33).map(|number| format!("n{number}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(check_meta(&meta(&many[..32])), Ok(()));
        let refused = check_meta(&meta(&many)).unwrap_err();
        assert_eq!(refused.to_string(), "meta is 33 names; it must be at most 32");
        let long = "x".repeat(4096);
        assert_eq!(check_meta(&meta(&[("a", &long[1..])])), Ok(()));
        let refused = check_meta(&meta(&[("a", &long)])).unwrap_err();
        assert_eq!(refused.to_string(), "meta is 4097 bytes; it must be at most 4096 bytes");
    }

    #[test]
    fn metadata_that_no_header_could_show_is_refused() {
        assert_eq!(check_meta(&meta(&[("colour", "grün\t1"), ("x-y", "")])), Ok(()));
        for bad in [("", "x"), ("A", "x"), ("a b", "x"), ("ä", "x"), ("a", "x\ny"), ("a", "\0")] {
            assert!(check_meta(&meta(&[bad])).is_err(), "{bad:?}");
        }
        assert!(check_meta(&meta(&[("a", "1"), ("a", "2")])).is_err());
    }
}
