//! Problems: every error of this surface as RFC 9457 wants it, and the one table from errors to
//! status codes.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
    },
};
use henge_kernel::{
    bucket::Violations,
    coordination::{Fate, RequestError},
    key::InvalidKey,
    time::whole_millis,
    units::Span,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::headers;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Identifies a kind of problem; nothing needs to be served there.
const TYPE_PREFIX: &str = "https://henge.dev/problems/";

/// An error on its way to the client.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    title: &'static str,
    detail: String,
    code: &'static str,
    fate: Fate,
    fields: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of which nothing is known but what is given; surely nothing was applied.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            title,
            detail: detail.into(),
            code,
            fate: Fate::NotApplied,
            fields: Map::new(),
            headers: Vec::new(),
        }))
    }

    /// A field that breaks its rule.
    pub fn bad_request(
        field: impl Into<String>,
        value: impl Into<String>,
        limit: impl Into<String>,
    ) -> Self {
        let (field, value, limit) = (field.into().into(), value.into(), limit.into());
        RequestError::BadRequest { field, value, limit }.into()
    }

    /// Nothing is served at this path.
    pub fn unknown_path() -> Self {
        let detail = "nothing is served here; '/' inside a key or bucket is written %2F";
        Self::new(StatusCode::NOT_FOUND, "unknown_path", "Unknown path", detail)
    }

    /// Something else can be done at this path.
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let (status, detail) =
            (StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {allowed}"));
        Self::new(status, "method_not_allowed", "Method not allowed", detail)
            .header(ALLOW, HeaderValue::from_static(allowed))
    }

    /// A POST that a foreign web page could have sent.
    pub fn unsupported_media_type() -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let detail = "a POST needs `Content-Type: application/json`";
        Self::new(status, "unsupported_media_type", "Unsupported media type", detail)
    }

    /// `what`, the head or the body, did not arrive in time.
    pub fn request_timeout(what: &'static str, limit: Duration) -> Self {
        let detail = format!("{what} was not complete after {}", Span(limit));
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "Request timeout", detail)
            .field("after_ms", whole_millis(limit))
    }

    /// A head, or a part of it named `field`, that is longer than `limit`.
    pub fn head_too_large(field: &str, limit: &str) -> Self {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let detail = format!("{field}: at most {limit}");
        Self::new(status, "head_too_large", "Request head too large", detail)
            .field("field", field)
            .field("limit", format!("at most {limit}"))
    }

    /// Another version of HTTP.
    pub fn version_not_supported() -> Self {
        let (status, detail) =
            (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 and HTTP/1.0 are spoken here");
        Self::new(status, "version_not_supported", "HTTP version not supported", detail)
    }

    /// A value of at least `size` bytes, which is all that was read of it.
    pub fn too_large_so_far(size: u64, max: u64) -> Self {
        let mut problem = Self::from(RequestError::TooLarge { size, max });
        problem.0.detail = format!("the value has at least {size} bytes; it may have {max}");
        problem.field("size_is_at_least", true)
    }

    /// A bucket or key of at least so many bytes, which is all that was read of it.
    pub fn name_so_far(InvalidKey { field, length, limit }: InvalidKey) -> Self {
        Self::bad_request(field, format!("at least {length} bytes"), format!("1 to {limit} bytes"))
    }

    /// The request was meant for somebody else.
    pub fn misdirected(host: &str) -> Self {
        let host: String = host.chars().take(100).collect();
        let detail = format!("this listener serves loopback names only, not {host:?}");
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected_request",
            "Misdirected request",
            detail,
        )
    }

    /// There is no such key.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", "there is no such key")
    }

    /// There was such a key.
    pub fn deleted() -> Self {
        let detail = "the key was deleted, or its value has expired";
        Self::new(StatusCode::NOT_FOUND, "deleted", "Deleted", detail)
    }

    /// Every rule that new properties of a bucket would break: the first in `field`, `value` and
    /// `limit`, all of them in `violations`.
    pub fn violations(violations: Violations) -> Self {
        let detail = violations.to_string();
        let all: Vec<Value> = violations
            .0
            .iter()
            .map(|one| json!({"field": one.field, "value": one.value, "limit": one.limit}))
            .collect();
        let mut problem = match violations.0.into_iter().next() {
            Some(first) => Self::from(RequestError::from(first)),
            None => Self::bad_request("properties", "", ""),
        };
        problem.0.detail = detail;
        problem.field("violations", all)
    }

    /// Adds a field of its own to the body.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Says that surely nothing was applied.
    #[must_use]
    pub fn before_anything_was_done(mut self) -> Self {
        self.0.fate = Fate::NotApplied;
        self
    }

    /// Its name.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What it says that is not the client's own word.
    #[cfg(feature = "fuzzing")]
    pub fn rule(&self) -> String {
        let limit = self.0.fields.get("limit").and_then(Value::as_str);
        format!("{} {}", self.0.code, limit.unwrap_or_default())
    }

    /// The answer.
    pub fn into_response(self) -> HttpResponse {
        let Parts { status, title, detail, code, fate, fields, headers } = *self.0;
        let kind = format!("{TYPE_PREFIX}{code}");
        let (numeric, fate) = (status.as_u16(), fate.as_str());
        let body = Body { kind, title, status: numeric, detail, code, fate, fields };
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, MEDIA_TYPE));
        for header in headers {
            response.append_header(header);
        }
        // Plain data under text keys always has a JSON form.
        response.body(serde_json::to_vec(&body).unwrap_or_default())
    }
}

/// The members in the order in which they are shown.
#[derive(Serialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    fate: &'static str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl From<InvalidKey> for Problem {
    fn from(invalid: InvalidKey) -> Self {
        RequestError::from(invalid).into()
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let (status, title) = table(&error);
        let mut problem = Self::new(status, error.code(), title, error.to_string());
        problem.0.fate = error.fate();
        match &error {
            RequestError::Overloaded { retry_after } => {
                problem.0.headers.push((RETRY_AFTER, whole_seconds(*retry_after).into()));
            }
            // How many of them were homes is not known here.
            RequestError::QuorumNotMet { got, .. } | RequestError::TimedOut { got, .. } => {
                problem.0.headers.push((headers::REPLICAS, headers::value(format!("acks={got}"))));
            }
            _ => {}
        }
        if let Value::Object(fields) = fields_of(error) {
            problem.0.fields = fields;
        }
        problem
    }
}

/// The one table from errors to status codes and titles.
fn table(error: &RequestError) -> (StatusCode, &'static str) {
    match error {
        RequestError::BadRequest { .. } => (StatusCode::BAD_REQUEST, "Bad request"),
        RequestError::BadContext { .. } => (StatusCode::BAD_REQUEST, "Bad context"),
        RequestError::Forbidden { .. } => (StatusCode::FORBIDDEN, "Forbidden"),
        RequestError::TooManySiblings { .. } => (StatusCode::CONFLICT, "Too many siblings"),
        RequestError::BucketPropertyFixed { .. } => (StatusCode::CONFLICT, "Bucket property fixed"),
        RequestError::PreconditionFailed => {
            (StatusCode::PRECONDITION_FAILED, "Precondition failed")
        }
        RequestError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "Value too large"),
        RequestError::ContextRequired => (StatusCode::PRECONDITION_REQUIRED, "Context required"),
        RequestError::Interrupted => (StatusCode::INTERNAL_SERVER_ERROR, "Interrupted"),
        RequestError::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Overloaded"),
        RequestError::NotReady { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Not ready"),
        RequestError::StaleProperties { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "Stale bucket properties")
        }
        RequestError::QuorumNotMet { .. } => (StatusCode::SERVICE_UNAVAILABLE, "Quorum not met"),
        RequestError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "Timed out"),
        RequestError::StorageFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, "Storage full"),
    }
}

/// The numbers of an error, under their names.
fn fields_of(error: RequestError) -> Value {
    match error {
        RequestError::BadRequest { field, value, limit } => {
            json!({"field": field, "value": value, "limit": limit})
        }
        RequestError::TooLarge { size, max } => json!({"size": size, "max": max}),
        RequestError::TooManySiblings {
            versions,
            versions_max,
            record_bytes,
            record_bytes_max,
        } => {
            json!({
                "versions": versions,
                "versions_max": versions_max,
                "record_bytes": record_bytes,
                "record_bytes_max": record_bytes_max,
            })
        }
        RequestError::Forbidden { action } => json!({"action": action}),
        RequestError::BucketPropertyFixed { field, fixed, value } => {
            json!({"field": field, "fixed": fixed, "value": value})
        }
        RequestError::StaleProperties { used, newest } => json!({"used": used, "newest": newest}),
        RequestError::Overloaded { retry_after } => {
            json!({"retry_after_ms": whole_millis(retry_after)})
        }
        RequestError::NotReady { reason } | RequestError::BadContext { reason } => {
            json!({"reason": reason})
        }
        RequestError::StorageFull { free, needed } => json!({"free": free, "needed": needed}),
        RequestError::QuorumNotMet { needed, got, homes_down, fate: _ } => {
            json!({"needed": needed, "got": got, "homes_down": homes_down})
        }
        RequestError::TimedOut { needed, got, after } => {
            json!({"needed": needed, "got": got, "after_ms": whole_millis(after)})
        }
        RequestError::ContextRequired
        | RequestError::PreconditionFailed
        | RequestError::Interrupted => Value::Null,
    }
}

/// `Retry-After` counts in seconds: the next whole one.
fn whole_seconds(span: Duration) -> u64 {
    whole_millis(span).div_ceil(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overloaded_node_says_when_to_come_back() {
        let error = RequestError::Overloaded { retry_after: Duration::from_millis(1100) };
        let response = Problem::from(error).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "2");
    }

    #[test]
    fn who_has_answered_is_said_though_it_was_not_enough() {
        let (fate, after) = (Fate::Unknown, Duration::from_secs(2));
        let acks = |error: RequestError| {
            let response = Problem::from(error).into_response();
            response.headers().get(headers::REPLICAS).map(|acks| acks.to_str().unwrap().to_owned())
        };
        let late = RequestError::TimedOut { needed: 2, got: 1, after };
        let missed = RequestError::QuorumNotMet { needed: 2, got: 0, homes_down: 2, fate };
        assert_eq!((acks(late), acks(missed)), (Some("acks=1".into()), Some("acks=0".into())));
        assert_eq!(acks(RequestError::ContextRequired), None);
    }

    #[test]
    fn every_error_of_a_request_has_the_status_of_its_code() {
        let bad = |field: &'static str| RequestError::BadRequest {
            field: field.into(),
            value: "0".into(),
            limit: "1".into(),
        };
        let (fate, after) = (Fate::Unknown, Duration::from_secs(2));
        let expected = [
            (bad("r"), 400),
            (RequestError::BadContext { reason: "damaged".into() }, 400),
            (RequestError::Forbidden { action: "faults".into() }, 403),
            (RequestError::PreconditionFailed, 412),
            (RequestError::TooLarge { size: 2, max: 1 }, 413),
            (RequestError::ContextRequired, 428),
            (RequestError::Interrupted, 500),
            (RequestError::NotReady { reason: "starting".into() }, 503),
            (RequestError::QuorumNotMet { needed: 2, got: 1, homes_down: 2, fate }, 503),
            (RequestError::TimedOut { needed: 2, got: 1, after }, 504),
            (RequestError::StorageFull { free: 1, needed: 2 }, 507),
        ];
        for (error, status) in expected {
            let code = error.code();
            assert_eq!(Problem::from(error).into_response().status(), status, "{code}");
        }
    }
}
