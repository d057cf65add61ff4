//! Heads, paths, queries and headers of requests, for fuzzing.

use std::fmt::Debug;

use actix_codec::Decoder as _;
use actix_http::{
    ServiceConfig,
    h1::{Codec, Message},
};
use actix_web::{HttpRequest, http::header::HeaderMap, test::TestRequest};
use bytes::{Buf as _, BytesMut};
use henge_actors::fuzzing::{Allocates, Features, Target};
use henge_kernel::{
    causality::{Actor, ContextKey, Dot},
    id::{ClusterId, ShardUid},
    key::Key,
};
use tokio::task::LocalSet;

use super::{
    buckets, gate, headers, host, objects,
    problem::Problem,
    query::Query,
    routes::Route,
    text::{decode_escapes, decode_segment},
};

/// The targets of this surface.
pub fn targets() -> Vec<Target> {
    let words: &'static [&'static [u8]] = &[
        b"\r\n",
        b"\r\n\r\n",
        b" HTTP/1.1\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked",
        b"Host: x\r\n",
        b"Expect: 100-continue",
        b"Connection: close",
        b"0\r\n\r\n",
        b"/-",
        b"%",
        b"%00",
        b"%2F",
        b"?",
        b"&",
        b"=",
        b"#",
        b"Henge-Context: ",
        b"Henge-Meta-A: ",
        b"; q=0.5",
    ];
    vec![
        Target {
            name: "http-streams",
            seeds: stream_seeds,
            words,
            mend: None,
            run: run_stream,
            // Each decoder of actix-http begins with buffers of its own.
            allocates: Allocates { floor: 512 << 10, each: 256 },
        },
        Target {
            name: "http-targets",
            seeds: target_seeds,
            words,
            mend: None,
            run: run_target,
            allocates: Allocates::LITTLE,
        },
    ]
}

const STREAMS: [&str; 6] = [
    "GET /v1/kv/b/k?r=1&timeout=100ms HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
    "PUT /v1/kv/b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nvalueGET / HTTP/1.1\r\n",
    "PUT /v1/kv/b/%ff HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nvalue\r\n\
     0\r\nTrailer: x\r\n\r\n",
    "PUT /v1/kv/b/k HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nHenge-Meta-A: 1\r\n\
     Henge-Write-Id: 123e4567-e89b-12d3-a456-426614174000\r\nIf-None-Match: *, W/\"a.1.2\"\r\n\r\n",
    "\r\n\r\nDELETE /v1/kv/b/\u{fc} HTTP/1.0\r\nHenge-Context: AAAA\r\n\r\n",
    "GET /- HTTP/1.1\r\nHost: [::1]:80\r\nAccept: multipart/mixed;q=0.5, application/json\r\n\r\n",
];

/// The first byte says how long the pieces are in which the rest comes.
fn stream_seeds() -> Vec<Vec<u8>> {
    let sizes = [0, 1, 40, 200].into_iter().cycle();
    let seeds = sizes.zip(STREAMS);
    seeds.map(|(size, stream)| [&[size], stream.as_bytes()].concat()).collect()
}

thread_local! {
    /// Its dates are kept right by a task that has no need to run here.
    static CONFIG: Option<(ServiceConfig, LocalSet, tokio::runtime::Runtime)> = {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().ok().map(|runtime| {
            let tasks = LocalSet::new();
            let config = tasks.block_on(&runtime, async { ServiceConfig::default() });
            (config, tasks, runtime)
        })
    };
}

/// The requests of a connection are the same however its bytes were cut into pieces, and each head
/// that passes is read to the end.
fn run_stream(input: &[u8], features: &mut Features) {
    let Some((size, stream)) = input.split_first() else { return };
    CONFIG.with(|config| {
        let Some((config, ..)) = config else { return };
        let at_once = requests_of(stream, stream.len().max(1), config, features);
        let in_pieces = requests_of(stream, usize::from(*size).max(1), config, features);
        assert_eq!(at_once, in_pieces, "what is asked depends on how the bytes come");
    });
}

/// What is asked when a stream comes in pieces of this size.
fn requests_of(
    stream: &[u8],
    size: usize,
    config: &ServiceConfig,
    features: &mut Features,
) -> Vec<String> {
    let (held, body) = (BytesMut::new(), gate::Body::Done);
    let mut connection = Connection { held, body, asked: Vec::new(), config, features };
    for piece in stream.chunks(size) {
        connection.held.extend_from_slice(piece);
        while connection.step() {}
    }
    connection.asked
}

/// A connection as the gate judges it.
struct Connection<'a> {
    held: BytesMut,
    body: gate::Body,
    /// What it is taken to ask so far.
    asked: Vec<String>,
    config: &'a ServiceConfig,
    features: &'a mut Features,
}

impl Connection<'_> {
    /// Takes a body or a head from what is held; whether another step may be possible.
    fn step(&mut self) -> bool {
        if !self.body.is_done() {
            let Ok(taken) = self.body.take(&self.held) else { return self.end("ill-framed") };
            self.held.advance(taken);
            return self.body.is_done();
        }
        let blank = self.held.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        self.held.advance(blank);
        if self.held.is_empty() {
            return false;
        }
        match gate::judge(&self.held, self.config) {
            Ok(None) => false,
            Ok(Some(head)) => {
                let passed = head.changed.map_or_else(|| self.held.clone(), |(_, bytes)| bytes);
                self.asked.push(read_head(&passed, head.length, self.config, self.features));
                self.held = passed;
                self.held.advance(head.length);
                self.body = head.body;
                true
            }
            Err(problem) => {
                self.features.tell(&problem.rule());
                let code = problem.code();
                let _ = problem.into_response();
                self.end(code)
            }
        }
    }

    /// Nothing that follows is looked at.
    fn end(&mut self, why: &str) -> bool {
        self.asked.push(why.to_owned());
        self.held.clear();
        self.body = gate::Body::Endless;
        false
    }
}

/// Reads a head as actix-http does, which must take what passed, and then what it says.
fn read_head(
    passed: &BytesMut,
    length: usize,
    config: &ServiceConfig,
    features: &mut Features,
) -> String {
    let mut bytes = passed.clone();
    let decoded = Codec::new(config.clone()).decode(&mut bytes);
    let Ok(Some(Message::Item(head))) = decoded else { panic!("it passed and is no head") };
    assert_eq!(passed.len() - bytes.len(), length, "both see it end at the same byte");
    let request = request_with(&head.head().headers);
    let loopback = host::check(&request, true);
    let said = headers::description(&request).map(|value| value.meta.len());
    note(features, loopback);
    note(features, said);
    note(features, headers::write_id(&request));
    note(features, headers::only_create(&request));
    note(features, headers::is_json(&request));
    features.note(&(headers::wants_multipart(&request), headers::has_already(&request, dot())));
    if let Ok(key) = Key::new("b", "k") {
        let guard = ContextKey::of(ClusterId(1));
        note(features, headers::context(&request, &guard, &key));
    }
    format!("{} {}", head.method(), head.path())
}

fn request_with(headers: &HeaderMap) -> HttpRequest {
    let mut request = TestRequest::default();
    for header in headers {
        request = request.append_header(header);
    }
    request.to_http_request()
}

const fn dot() -> Dot {
    Dot { actor: Actor { uid: ShardUid(10), epoch: 1 }, counter: 2 }
}

/// Notes an outcome; a refusal must have a form.
fn note<T: Debug>(features: &mut Features, outcome: Result<T, Problem>) {
    match outcome {
        Ok(read) => features.note(&read),
        Err(problem) => {
            features.tell(&problem.rule());
            let _ = problem.into_response();
        }
    }
}

fn target_seeds() -> Vec<Vec<u8>> {
    let targets = [
        "/v1/kv/b/k?r=1&pr=1&w=2&pw=1&sloppy=true&timeout=100ms&ttl=30d&durability=os",
        "/v1/kv/%62/%ff%00?return_body=false",
        "/v1/kv/b?prefix=a+b%2B&after=x&limit=1000",
        "/v1/admin/replica/b/k",
        "/v1/buckets/b",
        "/v1/cluster/ring?bucket=b&key=k",
    ];
    targets.map(|target| target.as_bytes().to_vec()).into()
}

/// Whatever a target says is taken or refused with a code; what is decoded was written in no fewer
/// bytes.
fn run_target(input: &[u8], features: &mut Features) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (path, query) =
        text.split_once('?').map_or((text, None), |(path, rest)| (path, Some(rest)));
    let route = Route::find(path);
    features.note(&route);
    if let Route::Object { bucket, key } | Route::Replica { bucket, key } = route {
        let names = decode_segment("bucket", bucket)
            .and_then(|bucket| Ok(Key::new(bucket, decode_segment("key", key)?)?));
        // A name that is too long however it goes on is refused when it is whole, too.
        assert!(route.long_name().is_none() || names.is_err(), "only a part of it was too long");
        note(features, names);
    }
    for known in [objects::PUT_PARAMETERS, buckets::KEYS_PARAMETERS, &[]] {
        match Query::parse(query, known) {
            Ok(query) => read_query(&query, known, features),
            Err(problem) => note::<()>(features, Err(problem)),
        }
    }
    if let Some(decoded) = decode_escapes(input) {
        assert!(decoded.len() <= input.len(), "an escape is longer than what it means");
    }
}

fn read_query(query: &Query, known: &[&'static str], features: &mut Features) {
    for name in known {
        note(features, query.replicas(name, || Ok(3)));
        note(features, query.flag(name));
        note(features, query.text(name));
        note(features, query.count(name, 1000));
    }
    note(features, query.timeout());
    note(features, query.ttl());
    note(features, query.durability());
}
