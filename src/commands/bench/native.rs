//! The native client as a door.

use bytes::Bytes;
use henge_actors::{Context, Key, PutOptions, ReadOptions, Store as _, Value, api::Got};

use super::load::Door;
use crate::Client;

/// One of many clients that share the connections of a process, as the users of [`Client`] do.
pub struct NativeDoor {
    client: Client,
    reading: ReadOptions,
    w: Option<u8>,
}

impl NativeDoor {
    pub fn new(client: Client, r: Option<u8>, w: Option<u8>) -> Self {
        Self { client, reading: ReadOptions { r, ..ReadOptions::default() }, w }
    }
}

impl Door for NativeDoor {
    type Context = Context;

    async fn get(&mut self, key: &Key) -> Result<Option<Context>, String> {
        let got = self.client.get(key, self.reading.clone()).await;
        let got = got.map_err(|error| error.to_string())?;
        Ok(match &*got {
            Got::Value { .. } | Got::Siblings { .. } => Some(got.context()),
            Got::Deleted { .. } | Got::NotFound => None,
        })
    }

    async fn put(&mut self, key: &Key, value: Bytes, context: Context) -> Result<Context, String> {
        let value = Value { bytes: value, content_type: None, meta: Vec::new() };
        let options = PutOptions { context, w: self.w, ..PutOptions::default() };
        let written = self.client.put(key, value, options).await;
        Ok(written.map_err(|error| error.to_string())?.context.clone())
    }
}
