//! Listings of a bucket's keys: pages put together from partitions, and where the next one begins.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::future::join_all;
use henge_kernel::{
    coordination::RequestError,
    key::{PartitionId, Token, check_bucket},
};
use tokio::sync::oneshot;

use crate::{
    api::{KeyPage, KeyPosition, KeyQuery, KeyRange},
    handle::NodeHandle,
    messages::coordinator::BeginList,
    request_event::{Op, Watch},
    wire::ListedKeys,
};

/// Partitions that one page asks at a time.
const PARTITIONS_AT_ONCE: usize = 16;

impl NodeHandle {
    /// One page of the live keys of a bucket. Each partition is listed by one of its homes, so a
    /// key that is still in repair may be missing.
    pub async fn keys(&self, bucket: &Bytes, query: KeyQuery) -> Result<KeyPage, RequestError> {
        let watch = Watch::begin(&self.commons, Op::Keys, bucket);
        let answer = self.page(bucket, query).await;
        watch.end(&answer);
        answer
    }

    async fn page(&self, bucket: &Bytes, query: KeyQuery) -> Result<KeyPage, RequestError> {
        check_bucket(bucket)?;
        query.check()?;
        let mut after = query.after.as_deref().map(position_from_text).transpose()?;
        let partitions = self.commons.cluster.load().ring.partitions();
        let first =
            after.as_ref().map_or(PartitionId(0), |place| place.token.partition(partitions));
        let rest: Vec<PartitionId> = partitions.all().skip_while(|next| *next < first).collect();
        let mut page = KeyPage { keys: Vec::new(), next: None };
        for group in rest.chunks(PARTITIONS_AT_ONCE) {
            let ranges = group.iter().map(|partition| {
                let (bucket, prefix) = (bucket.clone(), query.prefix.clone());
                let range = KeyRange { bucket, prefix, after: after.take(), limit: query.limit };
                self.list(*partition, range)
            });
            for listed in join_all(ranges).await {
                if page.take_in(listed?, query.limit) {
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    async fn list(
        &self,
        partition: PartitionId,
        range: KeyRange,
    ) -> Result<ListedKeys, RequestError> {
        let shard = partition.shard(self.commons.shards);
        let permit = self.permit(shard, 0)?;
        let (outcome, answer) = oneshot::channel();
        self.front(shard)?.tell(BeginList { partition, range, outcome, permit });
        answer.await.unwrap_or(Err(RequestError::Interrupted))
    }
}

impl KeyPage {
    /// Takes in what one partition listed; says whether the page is finished.
    fn take_in(&mut self, listed: ListedKeys, limit: u16) -> bool {
        let ListedKeys { keys, resume } = listed;
        for place in keys {
            self.keys.push(place.key.clone());
            if self.keys.len() == usize::from(limit) {
                self.next = Some(text_from_position(&place));
                return true;
            }
        }
        self.next = resume.as_ref().map(text_from_position);
        self.next.is_some()
    }
}

fn text_from_position(place: &KeyPosition) -> String {
    let mut bytes = place.token.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&place.key);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn position_from_text(text: &str) -> Result<KeyPosition, RequestError> {
    let refused = || RequestError::BadRequest {
        field: "after".into(),
        value: text.chars().take(100).collect(),
        limit: "the `next` of an earlier page".to_owned(),
    };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
    let (token, key) = bytes.split_first_chunk::<8>().ok_or_else(refused)?;
    let token = Token(u64::from_be_bytes(*token));
    Ok(KeyPosition { token, key: Bytes::copy_from_slice(key) })
}
