//! `/v1/kv/{bucket}/{key}`: put, get and delete. Every PUT begins its way here.

use actix_web::HttpResponse;
use henge_actors::api::{Answer, Got, Written};
use henge_kernel::{
    bucket::BucketProperties,
    causality::Value,
    coordination::{DeleteOptions, PutOptions, ReadOptions, RequestError},
    key::Key,
};

use super::{answers, body::Size, headers, problem::Problem, query::Query, routes::Call};

const READ_PARAMETERS: &[&str] = &["r", "pr", "sloppy", "timeout"];
/// What a PUT may say in its query.
pub const PUT_PARAMETERS: &[&str] =
    &["r", "w", "pr", "pw", "sloppy", "timeout", "ttl", "durability", "return_body"];
const DELETE_PARAMETERS: &[&str] = &["w", "pw", "sloppy", "timeout", "durability"];

/// GET and HEAD.
pub async fn get(call: &Call<'_>, key: &Key) -> Result<HttpResponse, Problem> {
    headers::refuse_match(call.request)?;
    let n = || Ok(properties(call, key)?.n);
    let options = read_options(&call.query(READ_PARAMETERS)?, n)?;
    let answer = call.node().get(key, options).await?;
    match &answer.body {
        Got::Value { version, .. } if headers::has_already(call.request, version.dot) => {
            Ok(answers::not_modified(version, answer.replicas))
        }
        _ => answers::found(call, key, answer),
    }
}

/// PUT. What can be refused is refused before a byte of the body is read.
pub async fn put(mut call: Call<'_>, key: &Key) -> Result<HttpResponse, Problem> {
    let properties = properties(&call, key)?;
    let query = call.query(PUT_PARAMETERS)?;
    let n = || Ok(properties.n);
    let read = read_options(&query, n)?;
    let write = put_options(&call, key, &query, n)?;
    read.resolve(&properties)?;
    let patience = write.resolve(&properties)?.timeout;
    let only_create = headers::only_create(call.request)?;
    let said = headers::description(call.request)?;
    let handle = &call.door.handle;
    let max = u64::from(properties.value_bytes_max).min(handle.value_bytes_max());
    let too_large = |size| match size {
        Size::Exactly(size) => RequestError::TooLarge { size, max }.into(),
        Size::AtLeast(size) => Problem::too_large_so_far(size, max),
    };
    let bytes = call.read(max, patience, too_large).await?;
    if only_create {
        refuse_if_there(call.node().get(key, read).await)?;
    }
    let value = Value { bytes, ..said };
    let Answer { body, replicas } = call.node().put(key, value, write).await?;
    match body {
        Written { got: Some(body @ (Got::Value { .. } | Got::Siblings { .. })), .. } => {
            answers::found(&call, key, Answer { body, replicas })
        }
        Written { context, .. } => Ok(answers::written(&call, key, &context, replicas)),
    }
}

/// DELETE.
pub async fn delete(call: &Call<'_>, key: &Key) -> Result<HttpResponse, Problem> {
    let n = || Ok(properties(call, key)?.n);
    let query = call.query(DELETE_PARAMETERS)?;
    headers::refuse_match(call.request)?;
    let options = DeleteOptions {
        context: headers::context(call.request, call.door.handle.context_key(), key)?,
        w: query.replicas("w", n)?,
        pw: query.replicas("pw", n)?,
        sloppy: query.flag("sloppy")?,
        timeout: query.timeout()?,
        durability: query.durability()?,
        write_id: headers::write_id(call.request)?,
    };
    let Answer { body, replicas } = call.node().delete(key, options).await?;
    Ok(answers::written(call, key, &body.context, replicas))
}

fn properties(call: &Call<'_>, key: &Key) -> Result<BucketProperties, Problem> {
    Ok(call.door.handle.bucket(key.bucket())?.properties)
}

fn read_options(
    query: &Query,
    n: impl Fn() -> Result<u8, Problem> + Copy,
) -> Result<ReadOptions, Problem> {
    Ok(ReadOptions {
        r: query.replicas("r", n)?,
        pr: query.replicas("pr", n)?,
        sloppy: query.flag("sloppy")?,
        timeout: query.timeout()?,
    })
}

fn put_options(
    call: &Call<'_>,
    key: &Key,
    query: &Query,
    n: impl Fn() -> Result<u8, Problem> + Copy,
) -> Result<PutOptions, Problem> {
    Ok(PutOptions {
        context: headers::context(call.request, call.door.handle.context_key(), key)?,
        w: query.replicas("w", n)?,
        pw: query.replicas("pw", n)?,
        sloppy: query.flag("sloppy")?,
        timeout: query.timeout()?,
        ttl: query.ttl()?,
        durability: query.durability()?,
        write_id: headers::write_id(call.request)?,
        return_body: query.flag("return_body")?.unwrap_or(false),
    })
}

/// Refuses a put that is only to create. This is advice, no lock: another put can come between.
fn refuse_if_there(read: Result<Answer<Got>, RequestError>) -> Result<(), Problem> {
    let Answer { body, replicas } =
        read.map_err(|error| Problem::from(error).before_anything_was_done())?;
    match body {
        Got::Value { .. } | Got::Siblings { .. } => {
            Err(answers::with_replicas(RequestError::PreconditionFailed.into(), replicas))
        }
        Got::Deleted { .. } | Got::NotFound => Ok(()),
    }
}
