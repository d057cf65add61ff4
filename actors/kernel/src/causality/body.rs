//! The body of a value: media type, metadata, and to the end the client's bytes.

use bytes::Bytes;

use super::{
    DecodeError, Value,
    encoding::{Reader, malformed, put_count},
};

pub(super) fn put_body(out: &mut Vec<u8>, value: &Value) {
    out.push(u8::from(value.content_type.is_some()));
    if let Some(content_type) = &value.content_type {
        put_text(out, content_type);
    }
    put_count(out, value.meta.len());
    for (name, value) in &value.meta {
        put_text(out, name);
        put_text(out, value);
    }
    out.extend_from_slice(&value.bytes);
}

/// How many bytes [`put_body`] appends.
pub(super) fn body_bytes(value: &Value) -> usize {
    let content_type = value.content_type.as_ref().map_or(0, |text| text_bytes(text));
    let meta: usize =
        value.meta.iter().map(|(name, value)| text_bytes(name) + text_bytes(value)).sum();
    1 + content_type + count_bytes(value.meta.len()) + meta + value.bytes.len()
}

/// Reads all of `body`, which lies in `whole`.
pub(super) fn read_body(body: &[u8], whole: &Bytes) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(body);
    let content_type = match reader.byte()? {
        0 => None,
        1 => Some(reader.text()?),
        _ => return Err(malformed("neither a media type nor none")),
    };
    let mut meta = Vec::new();
    for _ in 0..reader.count()? {
        meta.push((reader.text()?, reader.text()?));
    }
    Ok(Value { bytes: whole.slice_ref(reader.rest()), content_type, meta })
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn text_bytes(text: &str) -> usize {
    count_bytes(text.len()) + text.len()
}

/// Bytes of a varint: one for each seven bits begun.
fn count_bytes(count: usize) -> usize {
    let bits = usize::BITS - count.leading_zeros();
    usize::try_from(bits.div_ceil(7).max(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_length_that_was_announced() {
        for length in [0, 1, 127, 128, 16_383, 16_384] {
            let text: Box<str> = "x".repeat(length).into();
            let value = Value {
                bytes: Bytes::from_static(b"bytes"),
                content_type: Some(text.clone()),
                meta: vec![(text, "y".into())],
            };
            let mut body = Vec::new();
            put_body(&mut body, &value);
            assert_eq!(body.len(), body_bytes(&value));
            let whole = Bytes::from(body);
            assert_eq!(read_body(&whole, &whole), Ok(value));
        }
    }
}
