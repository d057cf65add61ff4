//! The links of a client: one to each shard that it talks to, made when first wanted and kept.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use henge_actors::{
    client_protocol::{ClientAnswer, ClientHello, ClientRequest, Hello},
    transport::{DialId, Endpoint, Lane, Link, LinkId, PeerAddress, SendError, TransportEvent},
};
use tokio::{sync::oneshot, time::Instant};

/// How long a node that was not reached is left alone.
const REDIAL: Duration = Duration::from_millis(300);
/// How long a node that did not answer in time is asked last; doubled each time until it answers.
const SUSPICION: Duration = Duration::from_secs(1);
const SUSPICION_MAX: Duration = Duration::from_secs(8);

/// Where a shard is: host and port.
type Place = (String, u16);

fn place_of(address: &PeerAddress) -> Place {
    (address.host.clone(), address.port)
}

/// What came of a question: the answer, or why there will be none.
pub(super) type Outcome = Result<ClientAnswer, Broken>;

/// A link ended under a question.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    /// Why, for people.
    pub(super) reason: String,
    /// Whether the node broke the protocol.
    pub(super) malformed: bool,
}

/// The links.
pub(super) struct Pool {
    hello: ClientHello,
    endpoint: OnceCell<Rc<dyn Endpoint>>,
    places: RefCell<BTreeMap<Place, State>>,
    dials: RefCell<BTreeMap<DialId, Place>>,
    up: RefCell<BTreeMap<LinkId, Rc<Connection>>>,
}

enum State {
    Dialling { again: bool, waiting: Vec<oneshot::Sender<Result<Rc<Connection>, String>>> },
    Up(Rc<Connection>),
    Failed { since: Instant },
}

impl Pool {
    pub(super) fn new(hello: ClientHello) -> Self {
        Self {
            hello,
            endpoint: OnceCell::new(),
            places: RefCell::default(),
            dials: RefCell::default(),
            up: RefCell::default(),
        }
    }

    /// The endpoint that dials, once.
    pub(super) fn open(&self, endpoint: Rc<dyn Endpoint>) {
        let _ = self.endpoint.set(endpoint);
    }

    /// Says goodbye on all links; resolves when it is sent.
    pub(super) async fn close(&self) {
        if let Some(endpoint) = self.endpoint.get() {
            endpoint.close("the client is done");
            endpoint.closed().await;
        }
    }

    /// A link to `address`: the one that is up, or one that is made now.
    pub(super) async fn connection(&self, address: &PeerAddress) -> Result<Rc<Connection>, String> {
        let place = place_of(address);
        let dialled = {
            let mut places = self.places.borrow_mut();
            match places.get_mut(&place) {
                Some(State::Up(connection)) => return Ok(Rc::clone(connection)),
                Some(State::Dialling { waiting, .. }) => {
                    let (tell, outcome) = oneshot::channel();
                    waiting.push(tell);
                    outcome
                }
                failed => {
                    let again = failed.is_some();
                    let (tell, outcome) = oneshot::channel();
                    places.insert(place.clone(), State::Dialling { again, waiting: vec![tell] });
                    drop(places);
                    self.dial(address, place);
                    outcome
                }
            }
        };
        dialled.await.unwrap_or_else(|_| Err("the client is closed".to_owned()))
    }

    fn dial(&self, address: &PeerAddress, place: Place) {
        if let Some(endpoint) = self.endpoint.get() {
            let dial = endpoint.dial(address);
            self.dials.borrow_mut().insert(dial, place);
        }
    }

    /// Whether `address` is better asked last: it was not reached, or does not answer. Looks now
    /// and then whether that is still so.
    pub(super) fn is_doubtful(&self, address: &PeerAddress) -> bool {
        let place = place_of(address);
        let mut places = self.places.borrow_mut();
        match places.get_mut(&place) {
            None | Some(State::Dialling { again: false, .. }) => false,
            Some(State::Up(connection)) => connection.is_suspect(),
            Some(State::Dialling { again: true, .. }) => true,
            Some(State::Failed { since }) => {
                if since.elapsed() >= REDIAL {
                    let probing = State::Dialling { again: true, waiting: Vec::new() };
                    places.insert(place.clone(), probing);
                    drop(places);
                    self.dial(address, place);
                }
                true
            }
        }
    }

    /// Takes in what the endpoint reports; tells of a node that was met now.
    pub(super) fn on_event(&self, event: TransportEvent) -> Option<Hello> {
        match event {
            TransportEvent::Connected { link, hello, dial } => {
                let place = self.dials.borrow_mut().remove(&dial?)?;
                return self.on_connected(place, link, &hello);
            }
            TransportEvent::Frames { link, lane, frames } => {
                let connection = self.up.borrow().get(&link).cloned();
                if let Some(connection) = connection {
                    connection.on_frames(lane, &frames);
                }
            }
            TransportEvent::Closed { link, reason } => {
                let connection = self.up.borrow_mut().remove(&link)?;
                self.set(connection.place.clone(), State::Failed { since: Instant::now() });
                connection.fail(&Broken { reason, malformed: false });
            }
            TransportEvent::DialFailed { dial, reason } => {
                let place = self.dials.borrow_mut().remove(&dial)?;
                self.settle(place, State::Failed { since: Instant::now() }, &Err(reason));
            }
        }
        None
    }

    fn on_connected(&self, place: Place, link: Rc<dyn Link>, hello: &Bytes) -> Option<Hello> {
        let met = Hello::decode(hello)
            .map_err(|error| error.to_string())
            .and_then(|theirs| self.hello.check(&theirs).map(|()| theirs));
        match met {
            Ok(theirs) => {
                let connection = Rc::new(Connection::new(place.clone(), link));
                self.up.borrow_mut().insert(connection.link.id(), Rc::clone(&connection));
                self.settle(place, State::Up(Rc::clone(&connection)), &Ok(connection));
                Some(theirs)
            }
            Err(reason) => {
                link.close(&reason);
                self.settle(place, State::Failed { since: Instant::now() }, &Err(reason));
                None
            }
        }
    }

    /// A dial has ended.
    fn settle(&self, place: Place, state: State, outcome: &Result<Rc<Connection>, String>) {
        if let Some(State::Dialling { waiting, .. }) = self.set(place, state) {
            for waiter in waiting {
                let _ = waiter.send(outcome.clone());
            }
        }
    }

    fn set(&self, place: Place, state: State) -> Option<State> {
        self.places.borrow_mut().insert(place, state)
    }
}

/// A link to one shard of a node, and the questions that wait for their answers on it.
pub(super) struct Connection {
    place: Place,
    link: Rc<dyn Link>,
    correlation: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, oneshot::Sender<Outcome>>>,
    /// Until when it is asked last, and for how long it was the last time.
    suspect: Cell<Option<(Instant, Duration)>>,
}

impl Connection {
    fn new(place: Place, link: Rc<dyn Link>) -> Self {
        Self {
            place,
            link,
            correlation: Cell::new(0),
            waiting: RefCell::default(),
            suspect: Cell::new(None),
        }
    }

    /// Asks. The answer comes through what is returned; dropping that forgets the question.
    pub(super) fn ask(self: &Rc<Self>, request: &ClientRequest) -> Result<Question, SendError> {
        let correlation = self.correlation.get() + 1;
        self.correlation.set(correlation);
        let max = henge_actors::transport::CLIENT_FRAME_BYTES_MAX;
        let frame =
            request.encode(correlation).map_err(|_| SendError::TooLarge { size: max, max })?;
        if frame.len() > max {
            return Err(SendError::TooLarge { size: frame.len(), max });
        }
        self.link.send(Lane::Request, frame)?;
        let (tell, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(correlation, tell);
        Ok(Question { connection: Rc::clone(self), correlation, answer })
    }

    /// It did not answer in time.
    pub(super) fn suspect(&self) {
        let last = self.suspect.get().map_or(SUSPICION / 2, |(_, last)| last);
        let next = (last * 2).min(SUSPICION_MAX);
        self.suspect.set(Some((Instant::now() + next, next)));
    }

    fn is_suspect(&self) -> bool {
        self.suspect.get().is_some_and(|(until, _)| Instant::now() < until)
    }

    fn on_frames(&self, lane: Lane, frames: &[Bytes]) {
        self.suspect.set(None);
        if lane == Lane::Control {
            return;
        }
        for frame in frames {
            match ClientAnswer::decode(frame) {
                Ok(answer) => {
                    let waiter = self.waiting.borrow_mut().remove(&answer.correlation);
                    if let Some(waiter) = waiter {
                        let _ = waiter.send(Ok(answer));
                    }
                }
                Err(error) => {
                    let reason = error.to_string();
                    self.link.close(&reason);
                    return self.fail(&Broken { reason, malformed: true });
                }
            }
        }
    }

    fn fail(&self, broken: &Broken) {
        for (_, waiter) in std::mem::take(&mut *self.waiting.borrow_mut()) {
            let _ = waiter.send(Err(broken.clone()));
        }
    }
}

/// A question that waits for its answer.
pub(super) struct Question {
    connection: Rc<Connection>,
    correlation: u64,
    answer: oneshot::Receiver<Outcome>,
}

impl Question {
    /// The answer, or why there is none.
    pub(super) async fn answer(mut self) -> Outcome {
        let lost = || Broken { reason: "the client is closed".to_owned(), malformed: false };
        (&mut self.answer).await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.connection.waiting.borrow_mut().remove(&self.correlation);
    }
}
