//! A web application with routes of its own, and a node of Henge in the same process: a guest
//! book that is one key.
//!
//! ```sh
//! cargo run -p henge-actors --example web            # alone, on temporary data
//! curl -X POST localhost:8080/guests/ada
//! curl localhost:8080/guests
//! ```
//!
//! The same program as one node of a cluster with two `henge serve`:
//!
//! ```sh
//! henge serve --config config/cluster/a.toml &
//! henge serve --config config/cluster/b.toml &
//! cargo run -p henge-actors --example web -- 127.0.0.1:8080 c \
//!     a=127.0.0.1:7400 b=127.0.0.1:7500 c=127.0.0.1:7600
//! ```
//!
//! Ctrl-C or SIGTERM ends it in order: first the application, then its node.

use std::{collections::BTreeSet, error::Error, fmt, net::UdpSocket};

use actix_web::{
    App, HttpResponse, HttpServer, ResponseError, get,
    http::StatusCode,
    post,
    web::{Data, Path},
};
use henge_actors::{
    Fate, Key, Node, NodeHandle, NodeName, ReadOptions, RequestError, Store as _, Value,
    environment::Environment,
    settings::{ClusterName, LayoutEntry, Settings},
};

/// Adds a guest. Two who sign at once, through any two nodes, are both in the book.
#[post("/guests/{name}")]
async fn sign(node: Data<NodeHandle>, name: Path<String>) -> Result<HttpResponse, Failed> {
    let merge = |books: Vec<Value>| {
        let mut all = names(&books);
        all.insert(name.clone());
        Value::text(all.into_iter().collect::<Vec<_>>().join("\n"))
    };
    node.update(&book()?, merge).await?;
    Ok(HttpResponse::Created().finish())
}

/// All guests, also while siblings are not merged yet.
#[get("/guests")]
async fn guests(node: Data<NodeHandle>) -> Result<String, Failed> {
    let got = node.get(&book()?, ReadOptions::default()).await?.body;
    Ok(names(&got.into_values()).into_iter().map(|name| name + "\n").collect())
}

fn book() -> Result<Key, RequestError> {
    Ok(Key::new("web", "guests")?)
}

fn names(books: &[Value]) -> BTreeSet<String> {
    let lines = books.iter().filter_map(Value::as_text).flat_map(str::lines);
    lines.map(str::to_owned).collect()
}

/// A failed request, as this application tells it.
#[derive(Debug)]
struct Failed(RequestError);

impl From<RequestError> for Failed {
    fn from(error: RequestError) -> Self {
        Self(error)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.fate() {
            Fate::NotApplied => writeln!(f, "{}; nothing was written", self.0),
            Fate::Unknown => writeln!(f, "{}; it may have been written: sign again", self.0),
        }
    }
}

impl ResponseError for Failed {
    fn status_code(&self) -> StatusCode {
        match self.0 {
            RequestError::BadRequest { .. } | RequestError::TooLarge { .. } => {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// `[HTTP-ADDRESS [NAME NAME=ADDRESS …]]`: where the application listens; then, to be part of a
/// cluster, which node this one is, and all of them.
#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let mut arguments = std::env::args().skip(1);
    let http = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let settings = if let Some(name) = arguments.next() {
        member(&name, arguments)?
    } else {
        // Whatever port is free; a node that others should find has one of its own.
        let listen = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        Settings::single(NodeName::new("web")?, listen, temporary.path().join("data"))
    };

    let environment = Environment::production(&settings)?;
    let node = Node::start(settings, environment).await?;
    let handle = Data::new(node.handle());
    let app = move || App::new().app_data(handle.clone()).service(sign).service(guests);
    let server = HttpServer::new(app).workers(1).bind(http)?;
    for address in server.addrs() {
        println!("http://{address}/guests");
    }
    server.run().await?;
    node.stop().await;
    Ok(())
}

/// A node of the cluster `henge`, with its data and certificates where the samples in
/// `config/cluster` have theirs.
fn member(name: &str, nodes: impl Iterator<Item = String>) -> Result<Settings, Box<dyn Error>> {
    let entry = |node: String| -> Result<LayoutEntry, Box<dyn Error>> {
        let (name, address) = node.split_once('=').ok_or("a node is NAME=ADDRESS")?;
        Ok(LayoutEntry::new(NodeName::new(name)?, address.parse()?))
    };
    let nodes = nodes.map(entry).collect::<Result<_, _>>()?;
    let data_dir = format!("./data/{name}").into();
    let mut settings =
        Settings::member(ClusterName::default(), nodes, NodeName::new(name)?, data_dir);
    settings.tls.generate = true;
    Ok(settings)
}
