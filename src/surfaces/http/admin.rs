//! What operators ask of this one node.

use actix_web::HttpResponse;
use henge_kernel::{coordination::options::TIMEOUT_DEFAULT, id::NodeName, key::Key};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    body::Size,
    documents::Actors,
    headers,
    problem::Problem,
    routes::{Call, json},
};

/// The longest body of JSON, in bytes.
const JSON_BYTES_MAX: u64 = 64 * 1024;

/// `GET /v1/admin/replica/{bucket}/{key}`: this node's own record.
pub async fn replica(call: &Call<'_>, key: &Key) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&call.door.handle.replica(key).await?))
}

/// `GET /v1/admin/actors`: the actors of this node in numbers.
pub fn actors(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&Actors { actors: call.door.handle.actors() }))
}

/// `GET /v1/admin/anti-entropy`: how far this node's replicas and those of its peers are the same.
pub fn anti_entropy(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&call.door.handle.anti_entropy()))
}

/// `POST /v1/admin/anti-entropy`: compare them now. The answer does not wait for that.
pub fn compare_replicas(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    call.door.handle.compare_replicas();
    Ok(HttpResponse::Accepted().finish())
}

/// `GET /v1/admin/reap`: what was reaped, what is blocked by whom, what was set aside.
pub async fn reaping(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&call.door.handle.reaping().await?))
}

/// `POST /v1/admin/reap`: run the rounds of this node's partitions now, and say what came of them.
pub async fn reap(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&call.door.handle.reap().await?))
}

/// `GET /v1/admin/hints`: what this node keeps for homes that are away.
pub async fn hints(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&call.door.handle.hints().await?))
}

/// `POST /v1/admin/handoff`: delivers what is kept to all homes that are up, now.
pub fn hand_off(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    call.door.handle.hand_off();
    Ok(HttpResponse::NoContent().finish())
}

/// What the body of `POST /v1/admin/faults` must be.
const FAULTS: &str = r#"{"cut": [NODE, …], "one_way": true or false} or {"heal": true}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    cut: Option<Vec<String>>,
    one_way: Option<bool>,
    heal: Option<bool>,
}

/// `POST /v1/admin/faults`: cuts this node off from others, or ends all cuts.
pub async fn faults(mut call: Call<'_>) -> Result<HttpResponse, Problem> {
    if !headers::is_json(call.request)? {
        return Err(Problem::unsupported_media_type());
    }
    call.query(&[])?;
    let handle = &call.door.handle;
    match read_json(&mut call, FAULTS).await? {
        Faults { cut: Some(names), one_way, heal: None } if !names.is_empty() => {
            let peers: Vec<NodeName> =
                names.iter().map(|name| node(name)).collect::<Result<_, _>>()?;
            handle.cut(&peers, one_way.unwrap_or(false)).await?;
        }
        Faults { cut: None, one_way: None, heal: Some(true) } => handle.heal()?,
        Faults { .. } => return Err(Problem::bad_request("body", "something else", FAULTS)),
    }
    Ok(HttpResponse::NoContent().finish())
}

fn node(name: &str) -> Result<NodeName, Problem> {
    NodeName::new(name)
        .map_err(|invalid| Problem::bad_request("cut", invalid.name, "names of other nodes"))
}

/// Reads a body that is JSON of the form `expected`.
pub async fn read_json<T: DeserializeOwned>(
    call: &mut Call<'_>,
    expected: &'static str,
) -> Result<T, Problem> {
    let too_large = |size| {
        let (Size::Exactly(size) | Size::AtLeast(size)) = size;
        let (value, limit) = (format!("{size} bytes"), format!("at most {JSON_BYTES_MAX} bytes"));
        Problem::bad_request("body", value, limit)
    };
    let body = call.read(JSON_BYTES_MAX, TIMEOUT_DEFAULT, too_large).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request("body", error.to_string(), expected))
}
