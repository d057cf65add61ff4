//! `ClientLink`: the conversation of this shard with one native client.
//!
//! Parent: `NodeSupervisor`. It keeps nothing but the link. A restart closes that: the client
//! connects anew and asks again, under the same write ids.
//!
//! Each request is a task beside the actor, which leads through the same doors as every other
//! request of the node and answers when it ends; the actor never waits. What a client can make the
//! node hold is bounded: its requests here, what they may do by admission, what it does not read in
//! `answers.rs`.

mod answers;

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, ActorContext as _, Context, Handler, Supervised};
use henge_kernel::coordination::RequestError;
use serde::Serialize;
use tracing::{debug, info};

use crate::{
    actor_ref::{ActorRef, Told},
    events::TRANSPORT,
    handle::NodeHandle,
    messages::client_link::{ClientGone, RequestsArrived},
    reports::RoutingReport,
    shard::Shard,
    transport::{Frame, Lane, Link},
    wire::{ClientQuestion, ClientReply, ClientRequest, ReportOf},
};
use answers::Answers;

/// Requests of one client at a time; more are refused.
const REQUESTS_MAX: u32 = 4096;
/// When a client with too many may try again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
const OVERLOADED: RequestError = RequestError::Overloaded { retry_after: RETRY_AFTER };
const INTERRUPTED: RequestError = RequestError::Interrupted;

/// The actor.
pub struct ClientLink {
    pub(crate) me: ActorRef<Self>,
    shard: Rc<Shard>,
    link: Rc<dyn Link>,
    answers: Rc<Answers>,
    /// How many requests of the client are being served.
    asked: Rc<Cell<u32>>,
}

impl ClientLink {
    /// The actor's name in events and reports.
    pub const NAME: &'static str = "ClientLink";

    /// The actor for the client at the other end of `link`.
    pub fn new(me: ActorRef<Self>, shard: Rc<Shard>, link: Rc<dyn Link>) -> Self {
        let (door, meter) = (Arc::clone(&shard.unread), Arc::clone(me.meter()));
        let answers = Answers::new(Rc::clone(&link), door, meter);
        Self { me, shard, link, answers, asked: Rc::default() }
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
        let (shard, answers) = (Rc::clone(&self.shard), Rc::clone(&self.answers));
        let open = Open::new(shard, answers, Rc::clone(&self.asked), correlation, &request);
        if self.asked.get() > REQUESTS_MAX || self.answers.are_behind() {
            return open.refuse();
        }
        actix_rt::spawn(async move {
            let reply = reply_to(&open.shard, request).await;
            open.answer(&reply.unwrap_or_else(ClientReply::Refused));
        });
    }
}

/// A request that waits for its answer. If the task that serves it falls, the client is told.
struct Open {
    shard: Rc<Shard>,
    answers: Rc<Answers>,
    asked: Rc<Cell<u32>>,
    correlation: u64,
    writes: bool,
    answered: bool,
}

impl Open {
    fn new(
        shard: Rc<Shard>,
        answers: Rc<Answers>,
        asked: Rc<Cell<u32>>,
        correlation: u64,
        request: &ClientRequest,
    ) -> Self {
        asked.set(asked.get() + 1);
        Self { shard, answers, asked, correlation, writes: request.writes(), answered: false }
    }

    fn answer(mut self, reply: &ClientReply) {
        self.answered = true;
        // Of an answer for which there is no room a read was in vain; a write was not.
        let instead = || self.refusal(if self.writes { INTERRUPTED } else { OVERLOADED });
        self.answers.send(self.frame(reply), instead);
    }

    /// Nothing is done for the request.
    fn refuse(mut self) {
        self.answered = true;
        self.answers.refuse(self.refusal(OVERLOADED));
    }

    fn refusal(&self, error: RequestError) -> Frame {
        self.frame(&ClientReply::Refused(error))
    }

    /// What is too long to be sent is no answer.
    fn frame(&self, reply: &ClientReply) -> Frame {
        let epoch = self.shard.commons.cluster.load().ring.epoch();
        let encoded = |reply: &ClientReply| reply.encode(self.correlation, epoch).ok();
        encoded(reply)
            .filter(|frame| frame.len() <= Lane::Request.frame_bytes_max())
            .or_else(|| encoded(&ClientReply::Refused(INTERRUPTED)))
            .unwrap_or_default()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.asked.set(self.asked.get().saturating_sub(1));
        if !self.answered {
            self.answers.refuse(self.refusal(INTERRUPTED));
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
            ReportOf::Hints => json(&node.hints().await?)?,
            ReportOf::AntiEntropy => json(&node.anti_entropy())?,
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
