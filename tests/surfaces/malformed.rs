//! What is no request, or one that nobody could serve, as raw bytes: the answer is a problem all
//! the same, nothing is written, and the node goes on.

use serde_json::json;

use crate::support::{
    http::{Connection, Reply, get},
    node::Single,
};

const HEAD: &str = " HTTP/1.1\r\nHost: localhost\r\n";

/// Who ends the connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    Goes,
    Closes,
}

/// Bytes that are sent, and how they are answered.
struct Case {
    bytes: Vec<u8>,
    status: u16,
    code: &'static str,
    field: &'static str,
    after: After,
}

fn case(
    bytes: impl AsRef<[u8]>,
    status: u16,
    code: &'static str,
    field: &'static str,
    after: After,
) -> Case {
    Case { bytes: bytes.as_ref().to_vec(), status, code, field, after }
}

fn closes(bytes: impl AsRef<[u8]>, field: &'static str) -> Case {
    case(bytes, 400, "bad_request", field, After::Closes)
}

fn goes_on(bytes: impl AsRef<[u8]>, field: &'static str) -> Case {
    case(bytes, 400, "bad_request", field, After::Goes)
}

fn too_large(bytes: impl AsRef<[u8]>, field: &'static str) -> Case {
    case(bytes, 431, "head_too_large", field, After::Closes)
}

/// Sends one case on a connection of its own and checks everything about its answer.
fn check(single: &Single, case: &Case) -> Reply {
    let shown = String::from_utf8_lossy(&case.bytes[..case.bytes.len().min(200)]).into_owned();
    let mut connection = Connection::open(single.http());
    connection.try_send(&case.bytes);
    let reply = connection.receive(false);
    let body = reply.problem(case.status, case.code);
    assert_eq!(body["fate"], "not_applied", "{shown:?}");
    let field = body["field"].as_str().unwrap_or_default();
    assert_eq!(field, case.field, "{shown:?}: {body}");
    if case.code == "bad_request" {
        assert!(body["value"].is_string() && body["limit"].is_string(), "{shown:?}: {body}");
    }
    match case.after {
        After::Closes => {
            assert_eq!(reply.header("connection"), Some("close"), "{shown:?}");
            connection.finish();
            assert!(connection.is_closed(), "{shown:?}");
        }
        After::Goes => {
            assert_eq!(reply.header("connection"), None, "{shown:?}");
            assert_eq!(connection.call("GET", "/health", &[], b"").status, 200, "{shown:?}");
        }
    }
    assert_untouched(single, &shown);
    reply
}

fn assert_untouched(single: &Single, after: &str) {
    assert_eq!(get(single.http(), "/v1/kv/b").json()["keys"], json!([]), "{after:?}");
    assert_eq!(get(single.http(), "/v1/buckets").json()["buckets"], json!([]), "{after:?}");
}

fn check_all(cases: &[Case]) {
    let single = Single::start();
    for case in cases {
        check(&single, case);
    }
}

/// A put of one byte to `target`.
fn put_to(target: impl AsRef<[u8]>) -> Vec<u8> {
    let rest = format!("{HEAD}Content-Length: 1\r\n\r\nx");
    [b"PUT ", target.as_ref(), rest.as_bytes()].concat()
}

#[test]
fn a_name_is_empty_or_too_long_whatever_its_length() {
    let single = Single::start();
    for length in [0, 1025, 2000, 65_000, 65_534, 65_535, 70_000, 100_000, 130_000] {
        let target = format!("/v1/kv/b/{}", "k".repeat(length));
        let body = check(&single, &goes_on(put_to(target), "key")).json();
        assert_eq!(body["value"], format!("{length} bytes"));
        assert_eq!(body["limit"], "1 to 1024 bytes");
    }
    for length in [0, 257, 65_535, 100_000] {
        let target = format!("/v1/kv/{}/k?w=1", "b".repeat(length));
        let body = check(&single, &goes_on(put_to(target), "bucket")).json();
        assert_eq!(
            (&body["value"], &body["limit"]),
            (&json!(format!("{length} bytes")), &json!("1 to 256 bytes"))
        );
    }
    let escaped = format!("/v1/kv/b/{}", "%6b".repeat(40_000));
    let body = check(&single, &goes_on(put_to(escaped), "key")).json();
    assert_eq!(body["value"], "40000 bytes");
    let query = format!("/v1/kv/b/k?x={}", "y".repeat(100_000));
    check(&single, &goes_on(put_to(query), "x"));
    let nowhere = format!("GET /{}{HEAD}\r\n", "x".repeat(100_000));
    check(&single, &case(nowhere, 404, "unknown_path", "", After::Goes));
    let method = format!("BREW /v1/kv/b/{}{HEAD}\r\n", "k".repeat(100_000));
    check(&single, &case(method, 405, "method_not_allowed", "", After::Goes));
}

#[test]
fn a_name_that_alone_is_longer_than_a_head_is_still_refused_by_name() {
    let single = Single::start();
    let (key, bucket) = ("k".repeat(1 << 20), "b".repeat(1 << 20));
    for (target, field, limit, least) in [
        (format!("/v1/kv/b/{key}"), "key", 1024, 131_000),
        (format!("/v1/admin/replica/b/{key}"), "key", 1024, 131_000),
        (format!("/v1/kv/b/{}?w=1", "%6b".repeat(1 << 20)), "key", 1024, 43_000),
        (format!("/v1/kv/{bucket}/k"), "bucket", 256, 131_000),
        (format!("/v1/kv/{bucket}"), "bucket", 256, 131_000),
        (format!("/v1/buckets/{bucket}"), "bucket", 256, 131_000),
    ] {
        let body = check(&single, &closes(put_to(target), field)).json();
        assert_eq!(body["limit"], format!("1 to {limit} bytes"));
        let value = body["value"].as_str().unwrap();
        let length = value.strip_prefix("at least ").and_then(|rest| rest.strip_suffix(" bytes"));
        let length: usize = length.unwrap().parse().unwrap();
        assert!((least..=1 << 20).contains(&length), "{value}");
    }
}

#[test]
fn a_target_is_taken_whole_or_not_at_all() {
    let targets: [&[u8]; 13] = [
        b"/v1/kv/b/k#fragment",
        b"/v1/kv/b/k#",
        b"/v1/kv/b/k?w=1#x",
        "/v1/kv/b/ü".as_bytes(),
        b"/v1/kv/b/\xff",
        b"/v1/kv/b/k\x80?w=1",
        b"/v1/kv/b/a\x01b",
        b"/v1/kv/b/a\tb",
        b"/v1/kv/b/a\x7f",
        b"/v1/kv/b/a\0b",
        b"v1/kv/b/k",
        b"http:///v1/kv/b/k",
        b"/v1/kv/b/k<",
    ];
    let single = Single::start();
    for target in targets {
        let mut connection = Connection::open(single.http());
        connection.send(&put_to(target));
        connection.receive(false).refuses("target");
        assert_untouched(&single, &String::from_utf8_lossy(target));
    }
    let long = format!("/v1/kv/b/{}#", "k".repeat(100_000));
    check(&single, &goes_on(put_to(long), "target"));
    check(&single, &goes_on(put_to("#"), "target"));
    check(&single, &case(put_to("*"), 404, "unknown_path", "", After::Goes));
    check(&single, &closes(put_to("/v1/kv/b/a b"), "request line"));
    check(&single, &case(put_to("/-"), 404, "unknown_path", "", After::Goes));
}

#[test]
fn a_head_has_its_limits() {
    let (many, just) = ("X: 1\r\n".repeat(96), "X: 1\r\n".repeat(95));
    let endless = format!("GET /health{HEAD}X: {}", "x".repeat(200_000));
    let name = |length| format!("GET /health{HEAD}{}: 1\r\n\r\n", "X".repeat(length));
    check_all(&[
        too_large(format!("GET /health{HEAD}X: {}\r\n\r\n", "x".repeat(200_000)), "head"),
        too_large(&endless, "head"),
        too_large(put_to(format!("/v1/kv/b/k?x={}", "y".repeat(1 << 20))), "head"),
        too_large(put_to(format!("/nowhere/{}", "k".repeat(1 << 20))), "head"),
        too_large(format!("GET /health{HEAD}{many}\r\n"), "headers"),
        too_large(name(65_536), "headers"),
        too_large(name(70_000), "headers"),
        case(format!("GET /nowhere{HEAD}{just}\r\n"), 404, "unknown_path", "", After::Goes),
    ]);
    let single = Single::start();
    let body = check(&single, &too_large(endless, "head")).json();
    assert_eq!(body["limit"], "at most 131072 bytes");
    let start = format!("GET /nowhere{HEAD}X: ");
    let of_length = |length| format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4));
    check(&single, &case(of_length(131_072), 404, "unknown_path", "", After::Goes));
    check(&single, &too_large(of_length(131_073), "head"));
}

#[test]
fn empty_lines_before_a_head_cost_nothing() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    for round in 0..3 {
        // Together more than a head may have.
        for _ in 0..20_000 {
            connection.send(if round == 1 { b"\r\n\r\n\r\n\r\n" } else { b"\n\n\n\n\n\n\n\n" });
        }
        assert_eq!(connection.call("GET", "/health", &[], b"").status, 200);
    }
    connection.send(b"\r\n\r\n");
    connection.finish();
    assert!(connection.is_closed(), "empty lines alone are no request that was cut off");
}

#[test]
fn what_is_no_request_is_answered_as_one() {
    let version = |bytes: &str| case(bytes, 505, "version_not_supported", "", After::Closes);
    check_all(&[
        closes("GARBAGE\r\n\r\n", "request line"),
        closes("\r\n\r\nGET\r\n\r\n", "request line"),
        closes("GET /health\r\n\r\n", "request line"),
        closes("GET  /health HTTP/1.1\r\n\r\n", "request line"),
        closes("GET /health http/1.1\r\n\r\n", "request line"),
        closes("GET /health HTTP/1.1 x\r\n\r\n", "request line"),
        closes(" GET /health HTTP/1.1\r\n\r\n", "request line"),
        closes("GÉT /health HTTP/1.1\r\n\r\n", "request line"),
        closes(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "request line"),
        closes(b"\0\0\0\0", "request line"),
        version("GET /health HTTP/2.0\r\n\r\n"),
        version("GET /health HTTP/1.2\r\n\r\n"),
        version("GET /health HTTP/0.9\r\n\r\n"),
        version("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ]);
}

#[test]
fn headers_that_frame_are_given_once_and_make_sense() {
    let put = |headers: &str| format!("PUT /v1/kv/b/k{HEAD}{headers}\r\nx");
    let length = |value: &str| closes(put(&format!("Content-Length: {value}\r\n")), "headers");
    let coding = |value: &str| closes(put(&format!("Transfer-Encoding: {value}\r\n")), "headers");
    check_all(&[
        closes("GET /health HTTP/1.1\r\n\r\n", "headers"),
        closes(format!("GET /health{HEAD}Host: localhost\r\n\r\n"), "headers"),
        closes(format!("GET /health{HEAD}hOsT: example.org\r\n\r\n"), "headers"),
        length("-1"),
        length("+1"),
        length("1, 1"),
        length("0x1"),
        length(""),
        length("99999999999999999999"),
        closes(put("Content-Length: 1\r\nContent-Length: 1\r\n"), "headers"),
        closes(put("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "headers"),
        coding("gzip"),
        coding("identity"),
        coding("gzip, chunked"),
        closes(put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "headers"),
        closes("PUT /v1/kv/b/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "headers"),
        closes("POST /v1/admin/faults HTTP/1.0\r\n\r\n", "headers"),
        closes(put("No colon\r\n"), "headers"),
        closes(put("Space : x\r\n"), "headers"),
        closes(put("Folded: x\r\n y\r\n"), "headers"),
        closes(put("Nul: \0\r\n"), "headers"),
        closes(put(": x\r\n"), "headers"),
    ]);
}

#[test]
fn a_chunked_body_is_framed_well_or_refused() {
    let put = format!("PUT /v1/kv/b/k{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    let bad = [
        "x\r\n",
        "\r\n",
        "-1\r\n",
        "1\nx",
        "2\r\nabc\r\n0\r\n\r\n",
        "1\r\nx\r\n0\r\nbad\rtrailer\r\n\r\n",
        "1 1\r\nx",
        "10000000000000000\r\n",
    ];
    let mut cases: Vec<Case> =
        bad.iter().map(|bad| closes(format!("{put}{bad}"), "body")).collect();
    let large = vec![b'x'; (1 << 20) + 1];
    let large =
        [format!("{put}{:x}\r\n", large.len()).as_bytes(), &large, b"\r\n0\r\n\r\n"].concat();
    cases.push(case(large, 413, "too_large", "", After::Closes));
    cases.push(case(
        format!("PUT /v1/kv/b/k{HEAD}Content-Length: 1048577\r\n\r\n"),
        413,
        "too_large",
        "",
        After::Closes,
    ));
    check_all(&cases);
}

#[test]
fn json_that_is_none_changes_nothing() {
    let single = Single::start();
    let send = |line: &str, body: &[u8]| {
        let head = format!(
            "{line}{HEAD}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        check(&single, &goes_on([head.as_bytes(), body].concat(), "body"))
    };
    for body in
        [&b"{\"n\": \"\xff\"}"[..], b"\xff\xfe", b"{\"n\":", b"", b"\xef\xbb\xbf{}", b"[[[["]
    {
        send("PUT /v1/buckets/b", body);
        send("POST /v1/admin/faults", body);
    }
    send("PUT /v1/buckets/b", &b"[".repeat(60_000));
}

#[test]
fn what_is_cut_off_is_refused_if_somebody_still_listens() {
    let single = Single::start();
    for (bytes, field) in [
        ("GET /health HT".to_owned(), "head"),
        (format!("PUT /v1/kv/b/k{HEAD}Content-Length: 1"), "head"),
        (format!("PUT /v1/kv/b/k{HEAD}Content-Length: 2\r\n\r\nx"), "body"),
        (format!("PUT /v1/kv/b/k{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\nx"), "body"),
        (format!("PUT /v1/kv/b/k{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"), "body"),
    ] {
        let mut connection = Connection::open(single.http());
        connection.send(bytes.as_bytes());
        connection.finish();
        connection.receive(false).refuses(field);
        assert!(connection.is_closed(), "{bytes}");
        assert_untouched(&single, &bytes);
    }
}

#[test]
fn who_is_refused_while_it_sends_is_not_cut_off() {
    let single = Single::start();
    for (start, status, code) in [
        (format!("GET /health{HEAD}X: "), 431, "head_too_large"),
        ("GARBAGE\r\n".to_owned(), 400, "bad_request"),
        (format!("PUT /v1/kv/b/k{HEAD}Transfer-Encoding: chunked\r\n\r\nx"), 400, "bad_request"),
    ] {
        let mut connection = Connection::open(single.http());
        connection.send(start.as_bytes());
        // More than the buffers on the way hold, so somebody must read it.
        assert!(connection.try_send(&vec![b'x'; 16 << 20]), "{start}");
        connection.receive(false).problem(status, code);
    }
}

#[test]
fn refusals_keep_their_place_in_a_pipeline() {
    let single = Single::start();
    let mut connection = Connection::open(single.http());
    let long = "k".repeat(100_000);
    connection.send(
        format!(
            "PUT /v1/kv/b/k{HEAD}Content-Length: 1\r\n\r\nxGET /v1/kv/b/{long}{HEAD}\r\n\
             GET /v1/kv/b/#{HEAD}\r\nGET /-{HEAD}\r\nGET /v1/kv/b/k{HEAD}\r\n\
             GET /health{HEAD}Host: twice\r\n\r\nGET /health{HEAD}\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(connection.receive(false).status, 204);
    connection.receive(false).refuses("key");
    connection.receive(false).refuses("target");
    connection.receive(false).problem(404, "unknown_path");
    assert_eq!(connection.receive(false).text(), "x");
    connection.receive(false).refuses("headers");
    assert!(connection.is_closed(), "nothing behind a refused head is taken for a request");
}
