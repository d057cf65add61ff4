//! One request: from its raw path to its answer.

use std::{cell::Cell, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::Method,
    web::{Data, Payload},
};
use bytes::Bytes;
use henge_actors::{NodeHandle, events::REQUEST};
use henge_kernel::{
    key::{BUCKET_BYTES_MAX, InvalidKey, KEY_BYTES_MAX, Key},
    time::whole_micros,
};
use serde::Serialize;
use tracing::{Level, debug, enabled};

use super::{
    Door, admin,
    body::{Incoming, Size},
    buckets, cluster, gate, headers, host, objects,
    problem::Problem,
    query::Query,
    text::decode_segment,
};

/// A request and what it needs to be answered.
pub struct Call<'a> {
    /// The worker's door to the node.
    pub door: &'a Door,
    /// Method and headers.
    pub request: &'a HttpRequest,
    /// The query, as it was sent.
    query: Option<&'a str>,
    /// The body.
    pub body: &'a mut Incoming,
    /// Whether the node has been asked something of which it tells itself.
    asked: &'a Cell<bool>,
}

impl Call<'_> {
    /// The node, to be asked for what the request is about: it tells of that itself.
    pub fn node(&self) -> &NodeHandle {
        self.asked.set(true);
        &self.door.handle
    }

    /// The query, which may hold `known` parameters only.
    pub fn query(&self, known: &[&'static str]) -> Result<Query, Problem> {
        Query::parse(self.query, known)
    }

    /// Reads the body, within `patience`: at most `max` bytes, a longer one is what `too_large`
    /// says.
    pub async fn read(
        &mut self,
        max: u64,
        patience: Duration,
        too_large: impl Fn(Size) -> Problem,
    ) -> Result<Bytes, Problem> {
        self.body.read(max, patience, &self.door.bodies, too_large).await
    }
}

/// Answers one request.
pub async fn serve(request: HttpRequest, payload: Payload, door: Data<Door>) -> HttpResponse {
    let began = enabled!(target: REQUEST, Level::DEBUG).then(|| door.handle.now());
    let (target, refused) = match gate::note_of(&request) {
        Some(Ok(target)) => (Some(target), None),
        Some(Err(problem)) => (None, Some(problem)),
        None => (None, None),
    };
    let uri = (request.uri().path(), request.uri().query());
    let (path, query) = target.as_deref().map_or(uri, split);
    let route = Route::find(path);
    let mut body = Incoming::new(&request, payload.into_inner());
    let asked = Cell::new(false);
    let answer = if let Some(problem) = refused {
        Err(problem)
    } else {
        let (door, request, body, asked) = (&door, &request, &mut body, &asked);
        answer(route, Call { door, request, query, body, asked }).await
    };
    // One event a request: of what reached the node, the node has told.
    if let Some(began) = began.filter(|_| !asked.get()) {
        let elapsed_us = whole_micros(door.handle.now().since(began));
        let (op, outcome) = (route.op(request.method()), outcome(&answer));
        debug!(target: REQUEST, op, bucket = route.bucket(), outcome, elapsed_us, "request");
    }
    let mut response = answer.unwrap_or_else(Problem::into_response);
    response.headers_mut().insert(headers::REQUEST_ID, headers::value(door.request_id()));
    body.answer(response).await
}

/// A raw target as path and query.
fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

fn outcome(answer: &Result<HttpResponse, Problem>) -> &'static str {
    match answer {
        Ok(response) if response.status().as_u16() == 300 => "siblings",
        Ok(_) => "ok",
        Err(problem) => problem.code(),
    }
}

async fn answer(route: Route<'_>, call: Call<'_>) -> Result<HttpResponse, Problem> {
    host::check(call.request, call.door.loopback)?;
    let method = call.request.method();
    match route {
        Route::Unknown => Err(Problem::unknown_path()),
        _ if !route.takes(method) => Err(Problem::method_not_allowed(route.methods())),
        Route::Object { bucket, key } => {
            let key = decode_key(bucket, key)?;
            match *method {
                Method::PUT => objects::put(call, &key).await,
                Method::DELETE => objects::delete(&call, &key).await,
                _ => objects::get(&call, &key).await,
            }
        }
        Route::Keys { bucket } => buckets::keys(&call, decode_segment("bucket", bucket)?).await,
        Route::Buckets => buckets::list(&call).await,
        Route::Bucket { bucket } => {
            let bucket = decode_segment("bucket", bucket)?;
            match *method {
                Method::PUT => buckets::set(call, bucket).await,
                _ => buckets::get(&call, &bucket),
            }
        }
        Route::Cluster => cluster::members(&call),
        Route::Ring => cluster::ring(&call),
        Route::Replica { bucket, key } => admin::replica(&call, &decode_key(bucket, key)?).await,
        Route::Actors => admin::actors(&call),
        Route::AntiEntropy => match *method {
            Method::POST => admin::compare_replicas(&call),
            _ => admin::anti_entropy(&call),
        },
        Route::Reap => match *method {
            Method::POST => admin::reap(&call).await,
            _ => admin::reaping(&call).await,
        },
        Route::Hints => admin::hints(&call).await,
        Route::Handoff => admin::hand_off(&call),
        Route::Faults => admin::faults(call).await,
        Route::Health => cluster::health(&call),
        Route::Ready => cluster::ready(&call),
    }
}

fn decode_key(bucket: &str, key: &str) -> Result<Key, Problem> {
    Ok(Key::new(decode_segment("bucket", bucket)?, decode_segment("key", key)?)?)
}

/// JSON as an answer.
pub fn json(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

/// Where a path leads; buckets and keys as they stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    Object { bucket: &'a str, key: &'a str },
    Keys { bucket: &'a str },
    Buckets,
    Bucket { bucket: &'a str },
    Cluster,
    Ring,
    Replica { bucket: &'a str, key: &'a str },
    Actors,
    AntiEntropy,
    Reap,
    Hints,
    Handoff,
    Faults,
    Health,
    Ready,
    Unknown,
}

/// Segments of the longest path, and one that no path has.
const SEGMENTS_MAX: usize = 6;

impl<'a> Route<'a> {
    /// Where `path`, exactly as it was sent, leads.
    pub fn find(path: &'a str) -> Self {
        let mut segments = [""; SEGMENTS_MAX];
        let mut count = 0;
        for segment in path.strip_prefix('/').unwrap_or_default().splitn(SEGMENTS_MAX, '/') {
            segments[count] = segment;
            count += 1;
        }
        match segments[..count] {
            ["v1", "kv", bucket, key] => Self::Object { bucket, key },
            ["v1", "kv", bucket] => Self::Keys { bucket },
            ["v1", "buckets"] => Self::Buckets,
            ["v1", "buckets", bucket] => Self::Bucket { bucket },
            ["v1", "cluster"] => Self::Cluster,
            ["v1", "cluster", "ring"] => Self::Ring,
            ["v1", "admin", "replica", bucket, key] => Self::Replica { bucket, key },
            ["v1", "admin", "actors"] => Self::Actors,
            ["v1", "admin", "anti-entropy"] => Self::AntiEntropy,
            ["v1", "admin", "reap"] => Self::Reap,
            ["v1", "admin", "hints"] => Self::Hints,
            ["v1", "admin", "handoff"] => Self::Handoff,
            ["v1", "admin", "faults"] => Self::Faults,
            ["health"] => Self::Health,
            ["ready"] => Self::Ready,
            _ => Self::Unknown,
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Object { .. } => "GET, HEAD, PUT, DELETE",
            Self::Bucket { .. } => "GET, HEAD, PUT",
            Self::AntiEntropy | Self::Reap => "GET, HEAD, POST",
            Self::Faults | Self::Handoff => "POST",
            _ => "GET, HEAD",
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|taken| taken == method.as_str())
    }

    /// The name in the path that is too long however it goes on, with the least length it has.
    pub fn long_name(self) -> Option<InvalidKey> {
        let key = match self {
            Self::Object { key, .. } | Self::Replica { key, .. } => key,
            _ => "",
        };
        let names = [("bucket", self.bucket(), BUCKET_BYTES_MAX), ("key", key, KEY_BYTES_MAX)];
        let mut names = names.into_iter().map(|(field, raw, limit)| {
            // An escape is three bytes of the path and one of the name.
            let length = raw.len().saturating_sub(2 * raw.matches('%').count());
            InvalidKey { field, length, limit }
        });
        names.find(|name| name.length > name.limit)
    }

    fn bucket(self) -> &'a str {
        match self {
            Self::Object { bucket, .. }
            | Self::Keys { bucket }
            | Self::Bucket { bucket }
            | Self::Replica { bucket, .. } => bucket,
            _ => "",
        }
    }

    /// The name of the operation, for whoever watches.
    fn op(self, method: &Method) -> &'static str {
        match self {
            Self::Object { .. } if *method == Method::PUT => "put",
            Self::Object { .. } if *method == Method::DELETE => "delete",
            Self::Object { .. } => "get",
            Self::Keys { .. } => "keys",
            Self::Bucket { .. } if *method == Method::PUT => "set_bucket",
            Self::Bucket { .. } => "bucket",
            Self::Buckets => "buckets",
            Self::Cluster => "cluster",
            Self::Ring => "ring",
            Self::Replica { .. } => "replica",
            Self::Actors => "actors",
            Self::AntiEntropy => "anti_entropy",
            Self::Reap => "reap",
            Self::Hints => "hints",
            Self::Handoff => "handoff",
            Self::Faults => "faults",
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_are() {
        let object = |bucket, key| Route::Object { bucket, key };
        assert_eq!(Route::find("/v1/kv/b/k"), object("b", "k"));
        assert_eq!(Route::find("/v1/kv/b/a%2Fb"), object("b", "a%2Fb"));
        assert_eq!(Route::find("/v1/kv/b/.."), object("b", ".."));
        assert_eq!(Route::find("/v1/kv//"), object("", ""));
        assert_eq!(Route::find("/v1/kv/b"), Route::Keys { bucket: "b" });
        for unknown in [
            "",
            "*",
            "/",
            "v1/kv/b/k",
            "/v1",
            "/v1/kv",
            "/v1/kv/b/k/x",
            "//v1/kv/b/k",
            "/v1/admin/replica/b/k/x",
            "/v1/admin/replica/b/k/x/y/z",
            "/health/",
            "/V1/kv/b/k",
        ] {
            assert_eq!(Route::find(unknown), Route::Unknown, "{unknown}");
        }
    }

    #[test]
    fn a_name_is_too_long_if_no_end_could_mend_it() {
        let long = |path: &str| Route::find(path).long_name().map(|name| (name.field, name.length));
        let (key, bucket) = ("k".repeat(1025), "b".repeat(257));
        for path in [format!("/v1/kv/b/{key}"), format!("/v1/admin/replica/b/{key}")] {
            assert_eq!(long(&path), Some(("key", 1025)));
            assert_eq!(long(&path[..path.len() - 1]), None);
        }
        for path in ["/v1/kv/", "/v1/buckets/", "/v1/admin/replica/"] {
            let rest = if path == "/v1/buckets/" { "" } else { "/k" };
            assert_eq!(long(&format!("{path}{bucket}{rest}")), Some(("bucket", 257)));
        }
        assert_eq!(long(&format!("/v1/kv/{bucket}/{key}")), Some(("bucket", 257)));
        assert_eq!(long(&format!("/v1/kv/b/{}", "%6b".repeat(1024))), None);
        assert_eq!(long(&format!("/v1/kv/b/{}%6", "%6b".repeat(1025))), Some(("key", 1025)));
        assert_eq!(long(&format!("/v1/kv/b/{key}/x")), None);
    }
}
