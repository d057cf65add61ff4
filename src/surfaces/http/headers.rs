//! Headers of requests: each given once, bounded, and read as what it is.

use actix_web::{
    HttpRequest,
    http::header::{
        ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
        IF_UNMODIFIED_SINCE,
    },
};
use bytes::Bytes;
use henge_kernel::{
    causality::{Context, ContextKey, Dot, Meta, Value},
    coordination::RequestError,
    id::{InvalidWriteId, WriteId},
    key::Key,
    violation::Violation,
};

use super::{problem::Problem, text::shorten};

/// What a client has seen of a key.
pub const CONTEXT: HeaderName = HeaderName::from_static("henge-context");
/// The client's name of a write.
pub const WRITE_ID: HeaderName = HeaderName::from_static("henge-write-id");
/// Who stood for an answer.
pub const REPLICAS: HeaderName = HeaderName::from_static("henge-replicas");
/// Names a request in answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("henge-request-id");
/// Whether a delete is concurrent with the value.
pub const CONCURRENT_DELETE: HeaderName = HeaderName::from_static("henge-concurrent-delete");
/// How names of metadata begin.
pub const META_PREFIX: &str = "henge-meta-";

/// The one value of a header as text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad_request(name.as_str(), "given twice", "given once"));
    }
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| Problem::bad_request(name.as_str(), "not UTF-8", "UTF-8"))
}

/// The context of a request on `key`; empty if it has none.
pub fn context(request: &HttpRequest, guard: &ContextKey, key: &Key) -> Result<Context, Problem> {
    let Some(token) = single(request.headers(), &CONTEXT)? else { return Ok(Context::default()) };
    Context::from_token(guard, key, token).map_err(|refused| RequestError::from(refused).into())
}

/// The client's name of a write.
pub fn write_id(request: &HttpRequest) -> Result<Option<WriteId>, Problem> {
    let Some(text) = single(request.headers(), &WRITE_ID)? else { return Ok(None) };
    let refused = |InvalidWriteId| {
        let limit = "a UUID such as 123e4567-e89b-12d3-a456-426614174000";
        Problem::bad_request(WRITE_ID.as_str(), shorten(text), limit)
    };
    text.parse().map(Some).map_err(refused)
}

/// What the client says of a value, whose bytes are still to come.
pub fn description(request: &HttpRequest) -> Result<Value, Problem> {
    let content_type = single(request.headers(), &CONTENT_TYPE)?.map(Into::into);
    let mut said = Value { bytes: Bytes::new(), content_type, meta: meta(request)? };
    said.describe().map_err(|Violation { field, value, limit }| {
        let header = if field == "meta" { "henge-meta-*" } else { "content-type" };
        Problem::bad_request(header, value, limit)
    })?;
    Ok(said)
}

/// The client's metadata: names without their prefix, in lower case.
fn meta(request: &HttpRequest) -> Result<Meta, Problem> {
    let mut meta = Vec::new();
    for name in request.headers().keys() {
        let Some(short) = name.as_str().strip_prefix(META_PREFIX) else { continue };
        if short.is_empty() {
            return Err(Problem::bad_request(name.as_str(), "no name", "henge-meta-NAME"));
        }
        let value = single(request.headers(), name)?.unwrap_or_default();
        meta.push((short.into(), value.into()));
    }
    Ok(meta)
}

/// Whether a put is only to create: `If-None-Match: *`. Other preconditions on a write would give
/// a promise that nothing here can keep, so they are refused.
pub fn only_create(request: &HttpRequest) -> Result<bool, Problem> {
    refuse_match(request)?;
    match single(request.headers(), &IF_NONE_MATCH)?.map(str::trim) {
        None => Ok(false),
        Some("*") => Ok(true),
        Some(other) => Err(Problem::bad_request("if-none-match", shorten(other), "*, on a put")),
    }
}

/// Refuses `If-Match` and its like, of reads too, which would only seem to heed them: the context
/// says what a write has seen.
pub fn refuse_match(request: &HttpRequest) -> Result<(), Problem> {
    for name in [IF_MATCH, IF_UNMODIFIED_SINCE] {
        if let Some(value) = request.headers().get(&name) {
            let value = shorten(&String::from_utf8_lossy(value.as_bytes()));
            return Err(Problem::bad_request(
                name.as_str(),
                value,
                "left out; a write says in Henge-Context what it has seen",
            ));
        }
    }
    Ok(())
}

/// The entity tag of a version: its dot, which never names anything else.
pub fn etag(dot: Dot) -> String {
    format!("\"{dot}\"")
}

/// Whether the client has the value called `dot` already.
pub fn has_already(request: &HttpRequest, dot: Dot) -> bool {
    if !request.headers().contains_key(IF_NONE_MATCH) {
        return false;
    }
    let etag = etag(dot);
    let given = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Whether the client would rather have siblings as `multipart/mixed` than as JSON: if it names
/// that type, and JSON by name not with a greater weight.
pub fn wants_multipart(request: &HttpRequest) -> bool {
    let weight_of = |wanted: &str| {
        let given = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
        let ranges = given.flat_map(|list| list.split(','));
        ranges.filter_map(|range| weight_in(range, wanted)).max()
    };
    let multipart = weight_of("multipart/mixed").or_else(|| weight_of("multipart/*"));
    multipart
        .is_some_and(|weight| weight > 0 && weight >= weight_of("application/json").unwrap_or(0))
}

/// The weight of `range`, in thousandths, if it is the media range `wanted`.
fn weight_in(range: &str, wanted: &str) -> Option<u16> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let Some(weight) = weight else { return Some(1000) };
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let thousandths = format!("{decimals:0<3}").get(..3).and_then(|digits| digits.parse().ok());
    Some(if whole == "0" { thousandths.unwrap_or(0) } else { 1000 })
}

/// Whether the body is JSON by its own word.
pub fn is_json(request: &HttpRequest) -> Result<bool, Problem> {
    let text = single(request.headers(), &CONTENT_TYPE)?.unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    Ok(essence.eq_ignore_ascii_case("application/json"))
}

/// A text as the value of a header; control characters, which no text that came in a header can
/// hold, would make it empty.
pub fn value(text: impl AsRef<[u8]>) -> HeaderValue {
    HeaderValue::from_bytes(text.as_ref()).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use henge_kernel::{causality::Actor, id::ShardUid};

    use actix_web::test::TestRequest;

    #[test]
    fn multipart_is_sent_to_who_asks_for_it() {
        let wants = |accept: &str| {
            wants_multipart(
                &TestRequest::default().insert_header((ACCEPT, accept)).to_http_request(),
            )
        };
        assert!(wants("multipart/mixed") && wants("application/json, Multipart/Mixed"));
        assert!(wants("application/json;q=0.5, multipart/*;q=0.75"));
        assert!(!wants("*/*") && !wants("application/json") && !wants("multipart/mixed;q=0"));
        assert!(
            !wants("application/json, multipart/mixed;q=0.9") && !wants("multipart/mixed;q=0.é")
        );
    }

    #[test]
    fn an_entity_tag_is_found_in_a_list() {
        let dot = Dot { actor: Actor { uid: ShardUid(10), epoch: 1 }, counter: 2 };
        let has = |tags: &str| {
            let request = TestRequest::default().insert_header((IF_NONE_MATCH, tags));
            has_already(&request.to_http_request(), dot)
        };
        assert!(has("\"000000000000000a.1.2\"") && has("*"));
        assert!(has("\"b\", W/\"000000000000000a.1.2\""));
        assert!(!has("000000000000000a.1.2") && !has("\"b\"") && !has(""));
    }
}
