//! `ClientLink`: the conversation of this shard with one native client.
//!
//! Parent: `NodeSupervisor`. It keeps nothing but the link. A restart closes that: the client
//! connects anew and asks again, under the same write ids.
//!
//! Each request is a task beside the actor, which leads through the same doors as every other
//! request of the node and answers when it ends; the actor never waits. What a client can make the
//! node hold is bounded: its requests here, what they may do by admission, its unread answers by
//! the link's outbox and a door for what does not fit there. Whoever lets that fill up is let go.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, ActorContext as _, Context, Handler, Supervised};
use henge_kernel::coordination::RequestError;
use serde::Serialize;
use tokio::time::sleep;
use tracing::{debug, info};

use crate::{
    actor_ref::{ActorRef, Told},
    events::TRANSPORT,
    handle::NodeHandle,
    messages::client_link::{ClientGone, RequestsArrived},
    meter::Meter,
    reports::RoutingReport,
    shard::Shard,
    transport::{Frame, Lane, Link, SendError},
    wire::{ClientQuestion, ClientReply, ClientRequest, ReportOf},
};

/// Requests of one client at a time; more are refused.
const REQUESTS_MAX: u32 = 4096;
/// When a client with too many may try again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How long an answer that the link does not take waits before it tries again, and how often.
const SEND_AGAIN: Duration = Duration::from_millis(5);
const SEND_AGAIN_MAX: u32 = 1000;

/// The actor.
pub struct ClientLink {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    link: Rc<dyn Link>,
    /// How many requests of the client are being served.
    asked: Rc<Cell<u32>>,
}

impl ClientLink {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "ClientLink";

    /// The actor for the client at the other end of `link`.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>, link: Rc<dyn Link>) -> Self {
        Self { me, shard, link, asked: Rc::default() }
    }

    /// The client broke the protocol.
    fn part(&self, reason: &str) {
        let client = self.link.peer().as_str();
        info!(target: TRANSPORT, node = self.shard.commons.name(), client, reason, "a client broke the protocol");
        self.me.meter().rejected();
        self.link.close(reason);
    }

    fn serve(&self, question: ClientQuestion) {
        let ClientQuestion { correlation, request } = question;
        let asked = Rc::clone(&self.asked);
        asked.set(asked.get() + 1);
        let (shard, link) = (Rc::clone(&self.shard), Rc::clone(&self.link));
        let meter = Arc::clone(self.me.meter());
        let question = Open { shard, link, meter, correlation, asked, answered: false };
        if self.asked.get() > REQUESTS_MAX {
            self.me.meter().rejected();
            return question.refuse(RequestError::Overloaded { retry_after: RETRY_AFTER });
        }
        actix_rt::spawn(async move {
            let reply = reply_to(&question.shard, request).await;
            question.answer(&reply.unwrap_or_else(ClientReply::Refused)).await;
        });
    }
}

/// A request that waits for its answer. If the task that serves it falls, the client is told.
struct Open {
    shard: Rc<Shard>,
    link: Rc<dyn Link>,
    meter: Arc<Meter>,
    correlation: u64,
    asked: Rc<Cell<u32>>,
    answered: bool,
}

impl Open {
    /// Answers, when the client has read enough of what it was answered before. One that reads too
    /// slowly, or lets the node hold too much for too many like it, is let go.
    async fn answer(mut self, reply: &ClientReply) {
        let frame = self.frame(reply);
        if self.takes(&frame) {
            return;
        }
        if let Ok(_place) = self.shard.unread.enter(frame.len()) {
            for _ in 0..SEND_AGAIN_MAX {
                sleep(SEND_AGAIN).await;
                if self.takes(&frame) {
                    return;
                }
            }
        }
        self.meter.rejected();
        self.link.close("the client does not read its answers");
    }

    fn refuse(mut self, error: RequestError) {
        let refused = self.frame(&ClientReply::Refused(error));
        // One that asks too much and reads too little hears no more of it.
        self.takes(&refused);
        self.answered = true;
    }

    /// Whether the link has taken `frame`, or is closed and takes nothing any more.
    fn takes(&mut self, frame: &Frame) -> bool {
        let sent = self.link.send(Lane::Request, frame.clone());
        self.answered |= !matches!(sent, Err(SendError::Busy { .. }));
        self.answered
    }

    /// What is too long to be sent is no answer.
    fn frame(&self, reply: &ClientReply) -> Frame {
        let epoch = self.shard.commons.cluster.load().ring.epoch();
        let interrupted = ClientReply::Refused(RequestError::Interrupted);
        let encoded = |reply: &ClientReply| reply.encode(self.correlation, epoch).ok();
        encoded(reply)
            .filter(|frame| frame.len() <= Lane::Request.frame_bytes_max())
            .or_else(|| encoded(&interrupted))
            .unwrap_or_default()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.asked.set(self.asked.get().saturating_sub(1));
        if !self.answered {
            let interrupted = self.frame(&ClientReply::Refused(RequestError::Interrupted));
            self.takes(&interrupted);
        }
    }
}

/// Carries a request out.
async fn reply_to(shard: &Rc<Shard>, request: ClientRequest) -> Result<ClientReply, RequestError> {
    let node = NodeHandle::new(Arc::clone(&shard.commons));
    Ok(match request {
        ClientRequest::Get { key, options } => {
            ClientReply::Got(node.get_by(shard, &key, options).await?)
        }
        ClientRequest::Put { key, value, options } => {
            ClientReply::Written(node.put_by(shard, &key, value, options).await?)
        }
        ClientRequest::Delete { key, options } => {
            ClientReply::Written(node.delete_by(shard, &key, options).await?)
        }
        ClientRequest::Keys { bucket, query } => {
            ClientReply::Keys(node.keys(&bucket, query).await?)
        }
        ClientRequest::Bucket { bucket } => ClientReply::Buckets(vec![node.bucket(&bucket)?]),
        ClientRequest::SetBucket { bucket, change } => {
            ClientReply::Buckets(vec![node.set_bucket(&bucket, change).await?])
        }
        ClientRequest::Buckets => ClientReply::Buckets(node.buckets().await?),
        ClientRequest::Report(of) => match of {
            ReportOf::Routing => json(&RoutingReport::of(&shard.commons))?,
            ReportOf::Cluster => json(&node.cluster())?,
            ReportOf::Ring => json(&node.ring())?,
            ReportOf::Preference(key) => json(&node.preference_list(&key))?,
            ReportOf::Replica(key) => json(&node.replica(&key).await?)?,
            ReportOf::Actors => json(&node.actors())?,
        },
    })
}

fn json(report: &impl Serialize) -> Result<ClientReply, RequestError> {
    let bytes = serde_json::to_vec(report).map_err(|_| RequestError::Interrupted)?;
    Ok(ClientReply::Report(bytes.into()))
}

impl Actor for ClientLink {
    type Context = Context<Self>;
}

impl Supervised for ClientLink {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.link.close("this node failed at the client's requests");
    }
}

impl Handler<Told<RequestsArrived>> for ClientLink {
    type Result = ();

    fn handle(&mut self, told: Told<RequestsArrived>, _: &mut Self::Context) {
        let (RequestsArrived { lane, frames }, _handling) = self.me.open(told);
        if lane == Lane::Control {
            return self.part("clients have nothing to say on the control lane");
        }
        for frame in &frames {
            match ClientQuestion::decode(frame) {
                Ok(question) => self.serve(question),
                Err(error) => return self.part(&error.to_string()),
            }
        }
    }
}

impl Handler<Told<ClientGone>> for ClientLink {
    type Result = ();

    fn handle(&mut self, told: Told<ClientGone>, context: &mut Self::Context) {
        let (ClientGone { reason }, _handling) = self.me.open(told);
        let client = self.link.peer().as_str();
        debug!(target: TRANSPORT, node = self.shard.commons.name(), client, reason, "a client is gone");
        context.stop();
    }
}
