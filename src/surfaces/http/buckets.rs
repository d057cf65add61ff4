//! Buckets: the keys in them, and their properties.

use actix_web::HttpResponse;
use bytes::Bytes;
use henge_actors::api::{KEYS_PER_PAGE_MAX, KeyQuery};
use henge_kernel::{bucket::BucketChange, key::check_bucket};

use super::{
    admin::read_json,
    documents::{Buckets, Keys},
    problem::Problem,
    routes::{Call, json},
};

/// What a listing of keys may say in its query.
pub const KEYS_PARAMETERS: &[&str] = &["prefix", "after", "limit"];

/// `GET /v1/kv/{bucket}`: one page of keys.
pub async fn keys(call: &Call<'_>, bucket: Bytes) -> Result<HttpResponse, Problem> {
    let query = call.query(KEYS_PARAMETERS)?;
    let query = KeyQuery {
        prefix: Bytes::copy_from_slice(query.bytes("prefix").unwrap_or_default()),
        after: query.text("after")?.map(str::to_owned),
        limit: query.count("limit", KEYS_PER_PAGE_MAX)?.unwrap_or(KEYS_PER_PAGE_MAX),
    };
    let page = call.node().keys(&bucket, query).await?;
    Ok(json(&Keys::new(page.keys, page.next)))
}

/// `GET /v1/buckets`: the buckets that this node knows of, with their properties.
pub async fn list(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&Buckets::from(call.door.handle.buckets().await?)))
}

/// `GET /v1/buckets/{bucket}`: its properties, in the form in which they can be set.
pub fn get(call: &Call<'_>, bucket: &Bytes) -> Result<HttpResponse, Problem> {
    call.query(&[])?;
    Ok(json(&call.door.handle.bucket(bucket)?.properties))
}

/// `PUT /v1/buckets/{bucket}`: sets the properties that the body names, all or none.
pub async fn set(mut call: Call<'_>, bucket: Bytes) -> Result<HttpResponse, Problem> {
    check_bucket(&bucket)?;
    call.query(&[])?;
    let change: BucketChange = read_json(&mut call, "an object of properties").await?;
    // Asked here first because a problem has room for every violation, not for the first only.
    change.apply(&call.door.handle.bucket(&bucket)?.properties).map_err(Problem::violations)?;
    Ok(json(&call.node().set_bucket(&bucket, change).await?.properties))
}
