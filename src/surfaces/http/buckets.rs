//! Buckets: the keys in them, and their properties.

use actix_web::HttpResponse;
use bytes::Bytes;
use henge_actors::api::{KEYS_PER_PAGE_MAX, KeyQuery};
use henge_kernel::{
    bucket::{BucketChange, BucketProperties, BucketRegister},
    key::check_bucket,
};
use serde::Serialize;

use super::{
    admin::read_json,
    problem::Problem,
    routes::{Call, json},
    text::Name,
};

/// `GET /v1/kv/{bucket}`: one page of keys.
pub async fn keys(call: &Call<'_>, bucket: Bytes) -> Result<HttpResponse, Problem> {
    #[derive(Serialize)]
    struct Page {
        keys: Vec<Name>,
        next: Option<String>,
    }
    let query = call.query(&["prefix", "after", "limit"])?;
    let query = KeyQuery {
        prefix: Bytes::copy_from_slice(query.bytes("prefix").unwrap_or_default()),
        after: query.text("after")?.map(str::to_owned),
        limit: query.count("limit", KEYS_PER_PAGE_MAX)?.unwrap_or(KEYS_PER_PAGE_MAX),
    };
    let page = call.door.handle.keys(&bucket, query).await?;
    Ok(json(&Page { keys: page.keys.into_iter().map(Name).collect(), next: page.next }))
}

/// `GET /v1/buckets`: the buckets that this node knows of, with their properties.
pub async fn list(call: &Call<'_>) -> Result<HttpResponse, Problem> {
    #[derive(Serialize)]
    struct Buckets {
        buckets: Vec<Bucket>,
    }
    #[derive(Serialize)]
    struct Bucket {
        #[serde(rename = "bucket")]
        name: Name,
        /// Whether it can be used: its own `n` or `conflict` has reached every member.
        established: bool,
        #[serde(flatten)]
        properties: BucketProperties,
    }
    call.query(&[])?;
    let registers = call.door.handle.buckets().await?.into_iter();
    let buckets = registers
        .map(|register| {
            let BucketRegister { name, properties, established, version: _ } = register;
            Bucket { name: Name(name), established, properties }
        })
        .collect();
    Ok(json(&Buckets { buckets }))
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
    Ok(json(&call.door.handle.set_bucket(&bucket, change).await?.properties))
}
