//! Nodes, each on a thread of its own.

use std::{
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use henge::surfaces::http::HttpServer;
use henge_actors::{
    Node, NodeHandle,
    environment::Environment,
    reports::Readiness,
    settings::{ClusterName, LayoutEntry, Settings, ShardCount},
};
use henge_kernel::{bucket::BucketProperties, id::NodeName};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running node with its HTTP server.
pub struct TestNode {
    pub name: String,
    pub http: SocketAddr,
    pub handle: NodeHandle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestNode {
    /// Starts a node; its certificate is made in the directory `tls` of the settings.
    pub fn start(settings: Settings) -> Self {
        let name = settings.node.name.to_string();
        let (started, is_started) = mpsc::channel();
        let (stop, asked_to_stop) = oneshot::channel();
        let thread = thread::spawn(move || {
            actix::System::new().block_on(async move {
                let environment = Environment::production(&settings).unwrap();
                let node = Node::start(settings, environment).await.unwrap();
                let listen = SocketAddr::from(([127, 0, 0, 1], 0));
                let http = HttpServer::start(listen, node.handle()).unwrap();
                started.send((http.local_address(), node.handle())).unwrap();
                let _ = asked_to_stop.await;
                http.stop().await;
                node.stop().await;
            });
        });
        let (http, handle) = is_started.recv_timeout(PATIENCE).expect("the node starts");
        Self { name, http, handle, stop: Some(stop), thread: Some(thread) }
    }

    /// Asks the node to stop in order, without waiting.
    pub fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops the node in order.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.ask_to_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("node {} panicked", self.name);
        }
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.end();
    }
}

/// Settings for nodes called `names` that form a cluster on free ports, with data below `dir`.
pub fn settings(names: &[&str], dir: &Path) -> Vec<Settings> {
    // All are held until all are known, so that none is given twice.
    let sockets: Vec<UdpSocket> =
        names.iter().map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let layout: Vec<LayoutEntry> = names
        .iter()
        .zip(&sockets)
        .map(|(name, socket)| {
            LayoutEntry::new(NodeName::new(name).unwrap(), socket.local_addr().unwrap().into())
        })
        .collect();
    let member = |entry: &LayoutEntry| {
        let name = entry.name.clone();
        let data_dir = dir.join(name.as_str());
        let mut settings = Settings::member(ClusterName::default(), layout.clone(), name, data_dir);
        settings.node.shards = Some(ShardCount::ONE);
        settings.tls.dir = dir.join("tls");
        settings.tls.generate = true;
        settings
    };
    layout.iter().map(member).collect()
}

/// One node on its own, with n = r = w = 1.
pub struct Single {
    pub node: TestNode,
    _dir: TempDir,
}

impl Single {
    pub fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// Starts it with settings of which `change` changed some.
    pub fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(&["solo"], dir.path()).remove(0);
        settings.defaults = BucketProperties { n: 1, r: 1, w: 1, ..BucketProperties::default() };
        change(&mut settings);
        Self { node: TestNode::start(settings), _dir: dir }
    }

    pub fn http(&self) -> SocketAddr {
        self.node.http
    }
}

/// Nodes that form a cluster.
pub struct Cluster {
    pub nodes: Vec<TestNode>,
    _dir: TempDir,
}

impl Cluster {
    /// Starts three nodes with n = 3 and r = w = 2, and waits until all are ready and know each
    /// other as up.
    pub fn of_three() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(&["node-a", "node-b", "node-c"], dir.path());
        for settings in &mut settings {
            settings.allow_faults = true;
        }
        let nodes: Vec<_> = settings.into_iter().map(TestNode::start).collect();
        for node in &nodes {
            eventually("the node is ready", || node.handle.readiness() == Readiness::Ready);
            let all_up = || node.handle.cluster().members.iter().all(|one| one.liveness == "up");
            eventually("all members are up", all_up);
        }
        Self { nodes, _dir: dir }
    }

    /// The HTTP address of the node at `place`.
    pub fn http(&self, place: usize) -> SocketAddr {
        self.nodes[place].http
    }
}

/// Looks until `holds`; there is no event that a client could wait for.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}

/// Looks until there is something, and gives it.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
