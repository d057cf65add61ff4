//! What a get found and what a put left, as answers.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{
        Method, StatusCode,
        header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED},
    },
};
use henge_actors::api::{Answer, Got};
use henge_kernel::{
    causality::{Context, Version},
    coordination::Replicas,
    key::Key,
};

use super::{date, headers, problem::Problem, routes::Call, siblings::Siblings};

/// What a value without `Content-Type` is said to be.
pub const CONTENT_TYPE_DEFAULT: &str = "application/octet-stream";

/// The answer to a get, or to a put that wants the body in return.
///
/// A context is given only with the values that it covers, so HEAD gets none.
pub fn found(call: &Call<'_>, key: &Key, answer: Answer<Got>) -> Result<HttpResponse, Problem> {
    let Answer { body, replicas } = answer;
    let head = *call.request.method() == Method::HEAD;
    let answer = |status, token: &str, concurrent_delete| {
        let mut answer = HttpResponse::build(status);
        answer.insert_header((headers::REPLICAS, text_of(replicas)));
        if !head {
            answer.insert_header((headers::CONTEXT, headers::value(token)));
        }
        if concurrent_delete {
            answer.insert_header((headers::CONCURRENT_DELETE, HeaderValue::from_static("true")));
        }
        answer
    };
    match body {
        Got::Value { version, context, concurrent_delete } => {
            let token = token(call, key, &context);
            Ok(value(answer(StatusCode::OK, &token, concurrent_delete), &version))
        }
        Got::Siblings { versions, context, concurrent_delete } => {
            let token = token(call, key, &context);
            let siblings = Siblings::new(&token, &versions, concurrent_delete);
            Ok(siblings.fill(call, answer(StatusCode::MULTIPLE_CHOICES, &token, concurrent_delete)))
        }
        Got::Deleted { .. } if head => Err(with_replicas(Problem::deleted(), replicas)),
        Got::Deleted { context } => Err(with_replicas(Problem::deleted(), replicas)
            .header(headers::CONTEXT, headers::value(token(call, key, &context)))),
        Got::NotFound => Err(with_replicas(Problem::not_found(), replicas)),
    }
}

fn value(mut answer: HttpResponseBuilder, version: &Version) -> HttpResponse {
    let Some(value) = version.value() else { return answer.finish() };
    for header in headers_of(version) {
        answer.append_header(header);
    }
    answer.body(value.bytes.clone())
}

/// What is said of a version in headers, be it of an answer or of a part of one.
pub fn headers_of(version: &Version) -> Vec<(HeaderName, HeaderValue)> {
    let Some(value) = version.value() else { return Vec::new() };
    let content_type = value.content_type.as_deref().unwrap_or(CONTENT_TYPE_DEFAULT);
    let mut headers = vec![
        (CONTENT_TYPE, headers::value(content_type)),
        (ETAG, headers::value(headers::etag(version.dot))),
    ];
    headers.extend(date::http_date(version.stamp).map(|date| (LAST_MODIFIED, date)));
    headers.extend(value.meta.iter().filter_map(|(name, value)| {
        let name = format!("{}{name}", headers::META_PREFIX);
        Some((HeaderName::try_from(name).ok()?, headers::value(value.as_bytes())))
    }));
    headers
}

/// The client has the value already.
pub fn not_modified(version: &Version, replicas: Replicas) -> HttpResponse {
    let mut answer = HttpResponse::NotModified();
    answer.insert_header((headers::REPLICAS, text_of(replicas)));
    answer.insert_header((ETAG, headers::value(headers::etag(version.dot))));
    answer.finish()
}

/// The answer to a put or delete.
pub fn written(call: &Call<'_>, key: &Key, context: &Context, replicas: Replicas) -> HttpResponse {
    let mut answer = HttpResponse::NoContent();
    answer.insert_header((headers::CONTEXT, headers::value(token(call, key, context))));
    answer.insert_header((headers::REPLICAS, text_of(replicas)));
    answer.finish()
}

/// Says who stood for a problem's finding.
pub fn with_replicas(problem: Problem, replicas: Replicas) -> Problem {
    problem.header(headers::REPLICAS, text_of(replicas))
}

fn token(call: &Call<'_>, key: &Key, context: &Context) -> String {
    context.to_token(call.door.handle.context_key(), key)
}

fn text_of(Replicas { acks, fallbacks, homes }: Replicas) -> HeaderValue {
    headers::value(format!("acks={acks},fallbacks={fallbacks},homes={homes}"))
}
