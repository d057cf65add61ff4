//! The cluster as this node sees it.

use actix_web::HttpResponse;
use henge_actors::reports::Readiness;
use henge_kernel::{coordination::RequestError, key::Key};
use serde_json::json;

use super::{
    problem::Problem,
    routes::{Call, json},
};

/// `GET /v1/cluster`: members with liveness and self-health.
pub fn members(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&call.door.handle.cluster()))
}

/// `GET /v1/cluster/ring`: the ring, or with `bucket` and `key` the preference list of one key.
pub fn ring(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    let query = call.query(&["bucket", "key"])?;
    let (bucket, key) = match (query.bytes("bucket"), query.bytes("key")) {
        (None, None) => return Ok(json(&call.door.handle.ring())),
        (Some(bucket), Some(key)) => (bucket.to_vec(), key.to_vec()),
        (Some(_), None) => return Err(Problem::bad_request("key", "", "given, with bucket")),
        (None, Some(_)) => return Err(Problem::bad_request("bucket", "", "given, with key")),
    };
    Ok(json(&call.door.handle.preference_list(&Key::new(bucket, key)?)))
}

/// `GET /health`: the process answers.
pub fn health(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&json!({"status": "live"})))
}

/// `GET /ready`: the node serves.
pub fn ready(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    match call.door.handle.readiness() {
        Readiness::Ready => Ok(json(&json!({"status": "ready"}))),
        Readiness::NotReady { reason } => {
            Err(RequestError::NotReady { reason: reason.into() }.into())
        }
    }
}
