//! Clients that write unique values as fast as they are answered, and note all that they are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{
    history::{Answer, Fate, History, Kind, Shown, Write, WriteId},
    processes::{PATIENCE, until},
    requests::{Request, Response},
};

/// Clients at a time, spread over the nodes.
const CLIENTS: u64 = 6;
/// Keys that all of them write.
const SHARED: usize = 12;
/// Keys that one of them writes, again and again.
const OWN: usize = 6;
/// Keys that one of them writes once.
const ONCE: u64 = 40;

/// Where the nodes listen now: another port after a restart.
pub type Addresses = Arc<Mutex<Vec<SocketAddr>>>;

/// The numbers of the homes of each key.
pub type Homes = Arc<BTreeMap<String, Vec<usize>>>;

/// Clients at work.
pub struct Clients {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<History>>,
}

impl Clients {
    pub fn start(addresses: &Addresses, homes: &Homes) -> Self {
        let (stop, acknowledged) = (Arc::default(), Arc::default());
        let clients = (1..=CLIENTS).map(|number| {
            let client = Client {
                number,
                addresses: Arc::clone(addresses),
                homes: Arc::clone(homes),
                acknowledged: Arc::clone(&acknowledged),
                random: fastrand::Rng::with_seed(number),
                writes: 0,
                seen: BTreeMap::new(),
                history: History::default(),
            };
            let stop = Arc::clone(&stop);
            thread::spawn(move || client.run(&stop))
        });
        let threads = clients.collect();
        Self { stop, acknowledged, threads }
    }

    /// Waits until so many further writes were acknowledged.
    #[track_caller]
    pub fn wait_for(&self, more: usize) {
        let enough = self.acknowledged() + more;
        until(PATIENCE, "writes go on", || (self.acknowledged() >= enough).then_some(()));
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends them all; what they saw.
    pub fn end(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = History::default();
        for thread in self.threads {
            all.add(thread.join().unwrap());
        }
        all
    }
}

/// What a client knows of a key: the context for its next write, and the writes below it.
#[derive(Clone, Default)]
struct Seen {
    context: String,
    covers: BTreeSet<WriteId>,
}

struct Client {
    number: u64,
    addresses: Addresses,
    homes: Homes,
    acknowledged: Arc<AtomicUsize>,
    random: fastrand::Rng,
    writes: u64,
    seen: BTreeMap<String, Seen>,
    history: History,
}

impl Client {
    fn run(mut self, stop: &AtomicBool) -> History {
        while !stop.load(Ordering::Relaxed) {
            let key = self.choose_key();
            // Most clients read before they write; who has seen nothing writes beside what is there.
            match self.random.u8(..10) {
                0..4 => self.get(&key),
                4 if self.seen.contains_key(&key) => self.write(Kind::Delete, &key),
                _ => self.write(Kind::Put, &key),
            }
        }
        self.history
    }

    fn choose_key(&mut self) -> String {
        match self.random.u8(..4) {
            0 if self.writes < ONCE => once(self.number, self.writes),
            1 => own(self.number, self.random.usize(..OWN)),
            _ => shared(self.random.usize(..SHARED)),
        }
    }

    /// Every client has a node that it likes best, and tries others now and then.
    fn choose_node(&mut self) -> (usize, SocketAddr) {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = addresses.len();
        let other = if self.random.u8(..4) == 0 { self.random.usize(..nodes) } else { 0 };
        let liked = usize::try_from(self.number).unwrap_or_default();
        let chosen = (liked + other) % nodes;
        (chosen, addresses[chosen])
    }

    fn get(&mut self, key: &str) {
        let query = if self.random.bool() { "?r=1" } else { "?r=2" };
        let (_, node) = self.choose_node();
        self.history.sent += 1;
        match Request::new("GET", node, path_of(key) + query).send() {
            Ok(response) if matches!(response.status, 200 | 300 | 404) => {
                self.history.served += 1;
                self.see(key, &response);
            }
            other => self.not_served("GET", other),
        }
    }

    /// Takes in what a key looks like; the context covers what was shown.
    fn see(&mut self, key: &str, response: &Response) {
        let shown = self.history.note(shown_by(response));
        if let Some(context) = response.header("henge-context") {
            let covers = shown.iter().copied().collect();
            self.seen.insert(key.to_owned(), Seen { context: context.to_owned(), covers });
        }
        self.history.answers.push(Answer { key: key.to_owned(), shown });
    }

    fn write(&mut self, kind: Kind, key: &str) {
        self.writes += 1;
        let id = WriteId(self.number * 1_000_000 + self.writes);
        let seen = self.seen.get(key).cloned().unwrap_or_default();
        let (number, node) = self.choose_node();
        let mut path = path_of(key) + if self.random.bool() { "?w=1" } else { "?w=2" };
        // Of a put that is forwarded the dot is to be known: see the judge, on twins.
        if kind == Kind::Put && !self.homes[key].contains(&number) {
            path += "&return_body=true";
        }
        let method = if kind == Kind::Put { "PUT" } else { "DELETE" };
        let mut request = Request::new(method, node, path).header("Henge-Write-Id", id.uuid());
        if kind == Kind::Put {
            request = request.body("text/plain", &id.to_string());
        }
        if !seen.context.is_empty() {
            request = request.context(&seen.context);
        }
        self.history.sent += 1;
        let answer = request.send();
        let (fate, covers) = (fate_of(&answer), seen.covers.clone());
        self.history.writes.insert(id, Write { key: key.to_owned(), kind, fate, covers });
        match answer {
            Ok(response) if fate == Fate::Acknowledged => {
                self.history.served += 1;
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.after(id, key, seen, &response);
            }
            other => self.not_served(method, other),
        }
    }

    /// What the client knows of a key now that its write was acknowledged.
    fn after(&mut self, id: WriteId, key: &str, mut seen: Seen, response: &Response) {
        if response.status == 204 {
            response.context().clone_into(&mut seen.context);
            seen.covers.insert(id);
            self.seen.insert(key.to_owned(), seen);
        } else {
            self.see(key, response);
        }
    }

    fn not_served(&mut self, method: &str, answer: io::Result<Response>) {
        let why = match answer {
            Ok(response) => {
                let code = &response.json()["code"];
                format!("{method} {}", code.as_str().unwrap_or_default())
            }
            Err(_) => format!("{method} no answer"),
        };
        *self.history.refusals.entry(why).or_default() += 1;
    }
}

fn shared(number: usize) -> String {
    format!("shared-{number}")
}

fn own(client: u64, number: usize) -> String {
    format!("own-{client}-{number}")
}

fn once(client: u64, number: u64) -> String {
    format!("once-{client}-{number}")
}

/// Every key that clients may write.
pub fn keys() -> impl Iterator<Item = String> {
    let clients = 1..=CLIENTS;
    let own = clients.clone().flat_map(|client| (0..OWN).map(move |number| own(client, number)));
    let once = clients.flat_map(|client| (0..ONCE).map(move |number| once(client, number)));
    (0..SHARED).map(shared).chain(own).chain(once)
}

/// Where a key lies.
pub fn path_of(key: &str) -> String {
    format!("/v1/kv/survival/{key}")
}

/// The values that an answer shows.
pub fn shown_by(response: &Response) -> Vec<Shown> {
    // Anything that no client wrote is write 0, which is none.
    let write = |value: &str| WriteId::of_value(value).unwrap_or(WriteId(0));
    match response.status {
        200 => {
            let dot = response.header("etag").unwrap_or_default().trim_matches('"');
            vec![(write(&response.body), dot.to_owned())]
        }
        300 => {
            let json = response.json();
            let siblings = json["siblings"].as_array().into_iter().flatten();
            let text = |one: &serde_json::Value| one.as_str().unwrap_or_default().to_owned();
            siblings.map(|one| (write(&text(&one["value"])), text(&one["dot"]))).collect()
        }
        _ => Vec::new(),
    }
}

fn fate_of(answer: &io::Result<Response>) -> Fate {
    match answer {
        Ok(response) if matches!(response.status, 200 | 204 | 300) => Fate::Acknowledged,
        Ok(response) if response.json()["fate"] == "not_applied" => Fate::NotApplied,
        _ => Fate::Unknown,
    }
}
