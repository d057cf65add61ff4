//! One request over the nodes that can serve it: the next is asked when one refuses, is lost, or is
//! silent for too long, always under the same write id. The first answer that settles it counts.

use std::{rc::Rc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use henge_actors::{
    Fate, RequestError,
    client_protocol::{ClientReply, ClientRequest, ReportOf},
    transport::{PeerAddress, SendError},
};
use henge_kernel::{bucket::VALUE_BYTES_MAX, coordination::options::TIMEOUT_MAX, key::Token};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    error::ClientError,
    pool::{Broken, Connection},
    worker::Worker,
};

/// How many nodes one request is sent to at most.
const NODES_MAX: usize = 7;
/// How much longer than the node we wait for what it says when time is up.
const GRACE: Duration = Duration::from_millis(250);
/// How long a request that a link does not take waits before it tries again.
const SEND_AGAIN: Duration = Duration::from_millis(2);
/// With less time left no other node is asked.
const REMAINING_MIN: Duration = Duration::from_millis(10);
/// How long a request that should be quick may be silent before the next node is asked: a fifth of
/// its time, within these.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));
/// The same for what can take long.
const LONG_PATIENCE: Duration = Duration::from_secs(1);

/// What came of asking one node.
enum Attempt {
    /// It answered.
    Answered(ClientReply),
    /// It was not reached.
    Unreached { address: String, reason: String },
    /// It was asked, and no answer will come.
    Lost(ClientError),
    /// The request cannot be sent at all.
    Unfit(RequestError),
}

impl Worker {
    /// Carries `request` out within `timeout`.
    pub(super) async fn request(
        &self,
        request: ClientRequest,
        timeout: Duration,
    ) -> Result<ClientReply, ClientError> {
        let began = Instant::now();
        let deadline = began + timeout.min(TIMEOUT_MAX);
        let patience = patience(&request, timeout);
        let mut nodes = self.nodes_for(&request).into_iter().take(NODES_MAX);
        let mut failures = Failures { writes: request.writes(), ..Failures::default() };
        let mut attempts = FuturesUnordered::new();
        attempts.extend(nodes.next().map(|node| self.ask(node, request.clone(), patience)));
        let mut next_at = began + patience;
        loop {
            if attempts.is_empty() {
                return Err(failures.into_error());
            }
            let more = nodes.len() > 0 && remaining(deadline).is_some();
            let ask_next = tokio::select! {
                biased;
                Some(attempt) = attempts.next() => match attempt {
                    Attempt::Answered(ClientReply::Refused(error)) if is_for_another(&error) => {
                        failures.add(error.into());
                        true
                    }
                    Attempt::Answered(ClientReply::Refused(error)) | Attempt::Unfit(error) => {
                        failures.add(error.into());
                        return Err(failures.into_error());
                    }
                    Attempt::Answered(reply) => return Ok(reply),
                    Attempt::Unreached { address, reason } => {
                        failures.tried.push((address, reason));
                        true
                    }
                    Attempt::Lost(error) => {
                        failures.add(error);
                        true
                    }
                },
                () = sleep_until(next_at), if more => true,
                () = sleep_until(deadline + GRACE) => {
                    failures.add(ClientError::NoAnswer { after: began.elapsed() });
                    return Err(failures.into_error());
                }
            };
            // Asked anew: time has passed since.
            if ask_next
                && let Some(remaining) = remaining(deadline)
                && let Some(node) = nodes.next()
            {
                attempts.push(self.ask(node, within(&request, remaining), patience));
                next_at = Instant::now() + patience;
            }
        }
    }

    /// Asks one node.
    async fn ask(&self, node: PeerAddress, request: ClientRequest, patience: Duration) -> Attempt {
        let address = format!("{}:{}", node.host, node.port);
        let connection = match self.pool.connection(&node).await {
            Ok(connection) => connection,
            Err(reason) => return Attempt::Unreached { address, reason },
        };
        let question = loop {
            match connection.ask(&request) {
                Ok(question) => break question,
                // Much is under way to this node: wait for room, as long as the request may.
                Err(SendError::Busy { .. }) => sleep(SEND_AGAIN).await,
                Err(SendError::TooLarge { size, .. }) => {
                    return Attempt::Unfit(too_large(&request, size));
                }
                Err(error) => return Attempt::Unreached { address, reason: error.to_string() },
            }
        };
        let answer = question.answer();
        tokio::pin!(answer);
        let outcome = tokio::select! {
            biased;
            outcome = &mut answer => outcome,
            () = sleep(patience) => {
                connection.suspect();
                answer.await
            }
        };
        match outcome {
            Ok(answer) => {
                if matches!(request, ClientRequest::Report(ReportOf::Routing)) {
                    self.learn(&answer.reply);
                }
                self.on_epoch(answer.epoch, &connection);
                Attempt::Answered(answer.reply)
            }
            Err(Broken { reason, malformed: true }) => {
                Attempt::Lost(ClientError::Protocol { address, reason })
            }
            Err(Broken { reason, malformed: false }) => {
                Attempt::Lost(ClientError::Lost { address, reason })
            }
        }
    }

    /// Whom to ask, best first; those in doubt last.
    fn nodes_for(&self, request: &ClientRequest) -> Vec<PeerAddress> {
        let routes = self.routes.borrow();
        // What the ring knows and what we were told; a node that both name is asked once.
        let (mut nodes, more) = match token(request) {
            Some(token) => (routes.nodes_for(token), self.seeds.clone()),
            None => (self.seeds.clone(), routes.all()),
        };
        for more in more {
            let same = |one: &PeerAddress| {
                (&one.host, one.port) == (&more.host, more.port)
                    || (one.name.is_some() && one.name == more.name)
            };
            if !nodes.iter().any(same) {
                nodes.push(more);
            }
        }
        nodes.sort_by_cached_key(|node| self.pool.is_doubtful(node));
        nodes
    }

    /// A node knows the ring of this epoch: a newer one than ours is asked for.
    fn on_epoch(&self, epoch: u64, connection: &Rc<Connection>) {
        if epoch > self.routes.borrow().epoch() {
            self.refresh(connection);
        }
    }
}

/// What went wrong so far.
#[derive(Default)]
struct Failures {
    /// Whether the request writes.
    writes: bool,
    tried: Vec<(String, String)>,
    worst: Option<ClientError>,
}

impl Failures {
    /// Of two errors the one that leaves more open is told; then the one that a node gave.
    fn add(&mut self, error: ClientError) {
        let rank = |error: &ClientError| {
            let open = self.writes && error.fate() == Fate::Unknown;
            (open, matches!(error, ClientError::Request(_)))
        };
        if self.worst.as_ref().is_none_or(|worst| rank(&error) >= rank(worst)) {
            self.worst = Some(error);
        }
    }

    fn into_error(self) -> ClientError {
        self.worst.unwrap_or(ClientError::Unreachable { tried: self.tried })
    }
}

/// Whether another node may do better.
fn is_for_another(error: &RequestError) -> bool {
    let here = matches!(error, RequestError::Interrupted | RequestError::QuorumNotMet { .. });
    here || error.is_of_the_node()
}

/// Where the key of a request lies; `None` if any node does.
fn token(request: &ClientRequest) -> Option<Token> {
    match request {
        ClientRequest::Get { key, .. }
        | ClientRequest::Put { key, .. }
        | ClientRequest::Delete { key, .. } => Some(key.token()),
        _ => None,
    }
}

fn patience(request: &ClientRequest, timeout: Duration) -> Duration {
    let quick = token(request).is_some()
        || matches!(
            request,
            ClientRequest::Bucket { .. } | ClientRequest::Report(ReportOf::Routing)
        );
    if quick { (timeout / 5).clamp(PATIENCE.0, PATIENCE.1) } else { LONG_PATIENCE }
}

/// The time until `deadline`, if another node can do something with it.
fn remaining(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (left > REMAINING_MIN).then_some(left)
}

/// The same request for a node that is asked later.
fn within(request: &ClientRequest, remaining: Duration) -> ClientRequest {
    let mut request = request.clone();
    let timeout = match &mut request {
        ClientRequest::Get { options, .. } => &mut options.timeout,
        ClientRequest::Put { options, .. } => &mut options.timeout,
        ClientRequest::Delete { options, .. } => &mut options.timeout,
        _ => return request,
    };
    *timeout = Some(remaining);
    request
}

/// The part of a request that makes it too large.
fn too_large(request: &ClientRequest, size: usize) -> RequestError {
    match request {
        ClientRequest::Put { value, .. } if value.bytes.len() as u64 > VALUE_BYTES_MAX.into() => {
            RequestError::TooLarge { size: value.bytes.len() as u64, max: VALUE_BYTES_MAX.into() }
        }
        _ => RequestError::BadRequest {
            field: "request".into(),
            value: format!("at least {size} bytes"),
            limit: "short enough for a frame: less metadata, a shorter context".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_with_a_time_that_nodes_refuse() {
        let deadline = Instant::now() + Duration::from_millis(100);
        assert_eq!(remaining(deadline), Some(Duration::from_millis(100)));
        sleep(Duration::from_millis(90)).await;
        assert_eq!(remaining(deadline), None, "ten milliseconds are too few");
        sleep(Duration::from_millis(20)).await;
        assert_eq!(remaining(deadline), None);
    }
}
