//! Siblings: all of them at once, as JSON or, for clients that ask for it, as `multipart/mixed`.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::header::{CONTENT_TYPE, VARY},
};
use bytes::{Bytes, BytesMut};
use henge_kernel::causality::{Value, Version};
use serde::Serialize;

use super::{answers::headers_of, date, headers, routes::Call, text::base64};

/// Values none of which has seen the other.
pub struct Siblings<'a> {
    token: &'a str,
    versions: &'a [Version],
    concurrent_delete: bool,
}

impl<'a> Siblings<'a> {
    /// The siblings that the context `token` covers.
    pub fn new(token: &'a str, versions: &'a [Version], concurrent_delete: bool) -> Self {
        Self { token, versions, concurrent_delete }
    }

    /// Gives `answer` its body, in the form that the client wants.
    pub fn fill(&self, call: &Call<'_>, mut answer: HttpResponseBuilder) -> HttpResponse {
        answer.insert_header((VARY, "Accept"));
        if headers::wants_multipart(call.request) {
            let boundary =
                format!("{:016x}{:016x}", call.door.handle.draw(), call.door.handle.draw());
            answer.insert_header((CONTENT_TYPE, format!("multipart/mixed; boundary={boundary}")));
            return answer.body(self.multipart(&boundary));
        }
        answer.json(Document {
            context: self.token,
            siblings: self.versions.iter().filter_map(Sibling::of).collect(),
            concurrent_delete: self.concurrent_delete,
        })
    }

    /// One part a sibling (RFC 2046, section 5.1), with the headers that it would have alone. The
    /// boundary is random, so no value holds it but by a chance of one in 2^128.
    fn multipart(&self, boundary: &str) -> Bytes {
        let mut body = BytesMut::new();
        for version in self.versions {
            let Some(value) = version.value() else { continue };
            body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            for (name, value) in headers_of(version) {
                body.extend_from_slice(name.as_str().as_bytes());
                body.extend_from_slice(b": ");
                body.extend_from_slice(value.as_bytes());
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"\r\n");
            body.extend_from_slice(&value.bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        body.freeze()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    context: &'a str,
    siblings: Vec<Sibling<'a>>,
    concurrent_delete: bool,
}

/// A live version in JSON.
#[derive(Serialize)]
pub struct Sibling<'a> {
    #[serde(flatten)]
    body: Body<'a>,
    content_type: Option<&'a str>,
    meta: BTreeMap<&'a str, &'a str>,
    dot: String,
    /// `None` if its stamp is no date.
    last_modified: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Body<'a> {
    Value(&'a str),
    ValueBase64(String),
}

impl<'a> Sibling<'a> {
    /// The version, if it is a value.
    pub fn of(version: &'a Version) -> Option<Self> {
        let Value { bytes, content_type, meta } = version.value()?;
        let body = std::str::from_utf8(bytes)
            .map_or_else(|_| Body::ValueBase64(base64(bytes)), Body::Value);
        Some(Self {
            body,
            content_type: content_type.as_deref(),
            meta: meta.iter().map(|(name, value)| (&**name, &**value)).collect(),
            dot: version.dot.to_string(),
            last_modified: date::rfc3339(version.stamp),
        })
    }
}
