//! Real `henge serve` processes: a cluster of them on loopback, in a directory of its own.
//!
//! Every process is ended by its own id when its node is dropped. Waits are bounded and look at an
//! observed state; nothing sleeps for a time that is hoped to be enough.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::requests::{Request, Response};

/// How long anything may take that has no bound of its own, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Within this three nodes form a cluster, and a node starts or stops.
pub const PROMPTLY: Duration = Duration::from_secs(10);

const HENGE: &str = env!("CARGO_BIN_EXE_henge");
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Looks again and again until there is something to see.
#[track_caller]
pub fn until<T>(bound: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < bound, "{what}: not within {bound:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How a cluster is configured, where it differs from the samples.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Shards of each node.
    pub shards: u16,
    /// Lines for the end of each file.
    pub more: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self { shards: 1, more: "" }
    }
}

/// Where one node runs.
#[derive(Clone, Debug)]
pub struct Site {
    pub listen: SocketAddr,
    pub http: SocketAddr,
    /// Its network namespace, if it is not the one of the test.
    pub namespace: Option<String>,
}

impl Site {
    /// Free ports on loopback; HTTP takes another one at every start.
    pub fn loopback(shards: u16) -> Self {
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen: free_udp_ports(shards), http, namespace: None }
    }
}

/// Some nodes: their files, and the processes that run.
pub struct Cluster {
    pub nodes: Vec<ServeNode>,
    directory: TempDir,
}

/// One node: its file, its log lines, and its process while it runs.
pub struct ServeNode {
    pub name: &'static str,
    /// Where HTTP listens; another port after every start.
    pub http: SocketAddr,
    pub config: PathBuf,
    /// Variables of the process beside those of the test.
    pub environment: Vec<(&'static str, PathBuf)>,
    log: PathBuf,
    namespace: Option<String>,
    child: Option<Child>,
}

impl Cluster {
    /// Files for the nodes a, b and c on loopback.
    pub fn planned(plan: &Plan) -> Self {
        let sites: Vec<_> = (0..3).map(|_| Site::loopback(plan.shards)).collect();
        Self::planned_at(plan, &sites)
    }

    /// Files for nodes at these places: a, b, c, …
    pub fn planned_at(plan: &Plan, sites: &[Site]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sites: Vec<_> = NAMES.iter().copied().zip(sites).collect();
        let layout = sites.iter().map(|(name, Site { listen, .. })| {
            format!("[[cluster.nodes]]\nname = \"{name}\"\naddress = \"{listen}\"\n")
        });
        let layout: String = layout.collect();
        let nodes = sites.iter().map(|(name, site)| {
            let mut node = ServeNode::planned(name, directory.path());
            node.namespace.clone_from(&site.namespace);
            let text = config(directory.path(), name, site, &layout, plan);
            fs::write(&node.config, text).unwrap();
            node
        });
        let nodes = nodes.collect();
        if sites.iter().any(|(_, site)| !site.listen.ip().is_loopback()) {
            issue_certificates(directory.path(), &sites);
        }
        Self { nodes, directory }
    }

    /// All three run and are ready.
    pub fn started(plan: &Plan) -> Self {
        let mut cluster = Self::planned(plan);
        cluster.start();
        cluster
    }

    /// Starts all at the same instant and waits until all are ready.
    pub fn start(&mut self) {
        for node in &mut self.nodes {
            node.spawn();
        }
        for node in &mut self.nodes {
            node.learn_address();
        }
        self.wait_ready();
    }

    /// Where the certificates are.
    pub fn tls_dir(&self) -> PathBuf {
        self.directory.path().join("tls")
    }

    pub fn wait_ready(&self) {
        for node in &self.nodes {
            node.wait_ready();
        }
    }

    /// Waits until every node that `judges` holds the others of `of` for `liveness`.
    #[track_caller]
    pub fn wait_judged(&self, judges: &[usize], of: usize, liveness: &str) {
        let of = self.nodes[of].name;
        for judge in judges.iter().map(|judge| &self.nodes[*judge]) {
            until(PATIENCE, &format!("{} holds {of} for {liveness}", judge.name), || {
                let report = judge.get("/v1/cluster").send().ok()?.json();
                let members = report["members"].as_array()?.clone();
                let member = members.into_iter().find(|member| member["name"] == of)?;
                (member["liveness"] == liveness).then_some(())
            });
        }
    }
}

impl ServeNode {
    /// Starts the process and learns where it listens.
    pub fn start(&mut self) {
        self.spawn();
        self.learn_address();
    }

    /// Runs another command that tells its addresses as `serve --json` does.
    pub fn run(name: &'static str, directory: &Path, command: Command) -> Self {
        let mut node = Self::planned(name, directory);
        node.spawn_as(command);
        node.learn_address();
        node
    }

    fn planned(name: &'static str, directory: &Path) -> Self {
        Self {
            name,
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            config: directory.join(format!("{name}.toml")),
            log: directory.join(format!("{name}.log")),
            environment: Vec::new(),
            namespace: None,
            child: None,
        }
    }

    fn spawn(&mut self) {
        let mut command = match &self.namespace {
            None => Command::new(HENGE),
            Some(namespace) => {
                // Becomes the node, under the same process id.
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, HENGE]);
                command
            }
        };
        command.args(["serve", "--allow-faults", "--json", "--config"]).arg(&self.config);
        self.spawn_as(command);
    }

    fn spawn_as(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        command.envs(self.environment.iter().cloned());
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// The first line on stdout says where HTTP listens.
    fn learn_address(&mut self) {
        let stdout = self.child.as_mut().unwrap().stdout.as_mut().unwrap();
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let listening: serde_json::Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("{} does not start:\n{}", self.name, self.log()));
        let http = listening["http"].as_str().unwrap().trim_start_matches("http://");
        self.http = http.parse().unwrap();
    }

    #[track_caller]
    pub fn wait_ready(&self) {
        until(PROMPTLY, &format!("{} is ready", self.name), || {
            (self.get("/ready").send().ok()?.status == 200).then_some(())
        });
    }

    /// What the node said on stderr so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends the signal of that name.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let signalled = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(signalled.success(), "kill -s {name}");
    }

    /// How the process ends, which it must within `bound`.
    #[track_caller]
    pub fn wait_end(&mut self, bound: Duration) -> ExitStatus {
        let child = self.child.as_mut().unwrap();
        let status = until(bound, "the process ends", || child.try_wait().unwrap());
        self.child = None;
        status
    }

    pub fn get(&self, path: impl Into<String>) -> Request {
        Request::new("GET", self.http, path)
    }

    pub fn put(&self, path: impl Into<String>, value: &str) -> Request {
        Request::new("PUT", self.http, path).body("text/plain", value)
    }

    pub fn delete(&self, path: impl Into<String>) -> Request {
        Request::new("DELETE", self.http, path)
    }

    /// Cuts this node off from `peers`, both ways.
    #[track_caller]
    pub fn cut(&self, peers: &[&str]) {
        let cut = serde_json::json!({ "cut": peers, "one_way": false });
        self.faults(&cut);
    }

    /// Lets nothing go from this node to `peers`; what they send still arrives.
    #[track_caller]
    pub fn cut_one_way(&self, peers: &[&str]) {
        let cut = serde_json::json!({ "cut": peers, "one_way": true });
        self.faults(&cut);
    }

    #[track_caller]
    pub fn heal(&self) {
        self.faults(&serde_json::json!({ "heal": true }));
    }

    #[track_caller]
    fn faults(&self, json: &serde_json::Value) {
        let request = Request::new("POST", self.http, "/v1/admin/faults")
            .body("application/json", &json.to_string());
        let response = request.send().unwrap();
        assert!((200..300).contains(&response.status), "{response:?}");
    }
}

impl Drop for ServeNode {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- {} said:\n{}", self.name, self.log());
        }
    }
}

/// An answer that must have this status.
#[track_caller]
pub fn expect(request: &Request, status: u16) -> Response {
    let response = request.send().unwrap();
    assert_eq!(response.status, status, "{request:?}\n{response:?}");
    response
}

fn config(directory: &Path, name: &str, site: &Site, layout: &str, plan: &Plan) -> String {
    let Plan { shards, more } = plan;
    let Site { listen, http, .. } = site;
    let (directory, on_loopback) = (directory.display(), listen.ip().is_loopback());
    format!(
        "[node]\nname = \"{name}\"\nlisten = \"{listen}\"\nshards = {shards}\n\
         data_dir = \"{directory}/{name}\"\n\
         [http]\nlisten = \"{http}\"\nallow_remote_without_auth = {remote}\n\
         [tls]\ndir = \"{directory}/tls\"\ngenerate = {on_loopback}\n\
         [cluster]\nname = \"test\"\n{layout}{more}",
        remote = !on_loopback,
    )
}

/// As an operator makes them for nodes on hosts of their own.
fn issue_certificates(directory: &Path, sites: &[(&str, &Site)]) {
    let tls = |arguments: &[&str]| {
        let mut command = Command::new(HENGE);
        command.args(["tls", arguments[0], "--cluster", "test", "--dir"]);
        command.arg(directory.join("tls")).args(&arguments[1..]);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    };
    tls(&["init"]);
    for (name, site) in sites {
        tls(&["issue", "--node", name, "--san", &site.listen.ip().to_string()]);
    }
}

/// A run of free ports that no other cluster of this process was given.
pub fn free_udp_ports(count: u16) -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    until(PATIENCE, "free ports", || {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let run: Option<Vec<u16>> =
            (0..count).map(|offset| first.port().checked_add(offset)).collect();
        let run = run?;
        let free =
            |port: &u16| !given.contains(port) && UdpSocket::bind(("127.0.0.1", *port)).is_ok();
        run.iter().all(free).then(|| {
            given.extend(run);
            first
        })
    })
}
