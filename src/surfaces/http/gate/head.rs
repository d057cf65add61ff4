//! Judges the head of a request: whether it is one, and how its body is framed.

use std::{mem::MaybeUninit, ops::Range};

use actix_web::http::{Method, Uri};
use httparse::{Error, Header, Request, Status};

use super::{Note, STAND_IN, body::Body};
use crate::surfaces::http::{problem::Problem, text::shorten};

/// The longest head, in bytes; actix-http reads none that is longer.
pub const BYTES_MAX: usize = 128 * 1024;
/// The most headers of a request; actix-http reads no more.
const HEADERS_MAX: usize = 96;
/// The longest name of a header, in bytes; actix-http panics at a longer one.
const NAME_BYTES_MAX: usize = 1024;
/// The longest target that a `Uri` holds, in bytes.
const URI_BYTES_MAX: usize = u16::MAX as usize - 1;

const LINE: &str = "METHOD TARGET HTTP/1.1";
const TARGET: &str = "a path in ASCII, with everything else (also # and spaces) percent-encoded";

/// A whole head.
#[derive(Debug)]
pub struct Judged {
    /// In bytes.
    pub length: usize,
    /// Where its target stands.
    pub target: Range<usize>,
    /// What to note of the target; `None` if actix-http takes it as it is.
    pub note: Option<Note>,
    /// The body behind it.
    pub body: Body,
}

/// Judges the head at the front of `bytes`; `None` if it is not whole yet.
pub fn judge(bytes: &[u8]) -> Result<Option<Judged>, Problem> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) if length <= BYTES_MAX => length,
        Ok(Status::Partial) if bytes.len() < BYTES_MAX => return Ok(None),
        Ok(_) => return Err(Problem::head_too_large("head", &format!("{BYTES_MAX} bytes"))),
        Err(error) => return Err(malformed(error, bytes)),
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(bad_line(bytes));
    };
    if Method::from_bytes(method.as_bytes()).is_err() {
        return Err(bad_line(bytes));
    }
    let body = Framing::read(request.headers, version)?.body(method, version)?;
    // The method comes before it, then one space.
    let start = empty_lines(bytes) + method.len() + 1;
    Ok(Some(Judged { length, target: start..start + target.len(), note: note(target), body }))
}

/// What must be noted of a target because a `Uri` would not hold it, or not all of it.
fn note(target: &str) -> Option<Note> {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%?=&+".contains(&byte);
    let is_path = target.starts_with('/');
    if target.len() > URI_BYTES_MAX {
        let is_plain =
            is_path && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        return Some(if is_plain { Ok(target.to_owned()) } else { Err(bad_target(target)) });
    }
    if target == STAND_IN {
        return Some(Ok(target.to_owned()));
    }
    if is_path && target.bytes().all(usual) {
        return None;
    }
    let holds = !target.contains('#') && Uri::try_from(target).is_ok();
    (!holds).then(|| Err(bad_target(target)))
}

fn bad_target(target: &str) -> Problem {
    Problem::bad_request("target", shorten(target), TARGET)
}

/// What the headers say of the body.
#[derive(Default)]
struct Framing {
    host: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl Framing {
    fn read(headers: &[Header<'_>], version: u8) -> Result<Self, Problem> {
        let mut framing = Self::default();
        for Header { name, value } in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let refuse = |limit| {
                Err(Problem::bad_request(
                    name.to_ascii_lowercase(),
                    shorten(&String::from_utf8_lossy(value)),
                    limit,
                ))
            };
            match name.len() {
                4 if is("host") && framing.host => return refuse("given once"),
                4 if is("host") => framing.host = true,
                7 if is("upgrade") => {
                    framing.upgrade = value.trim_ascii().eq_ignore_ascii_case(b"websocket");
                }
                14 if is("content-length") && framing.length.is_some() => {
                    return refuse("given once");
                }
                14 if is("content-length") => match whole_number(value) {
                    Some(length) => framing.length = Some(length),
                    None => return refuse("a number of bytes"),
                },
                17 if is("transfer-encoding") => {
                    let chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                    if !chunked || framing.chunked || version == 0 {
                        return refuse("chunked, given once, in HTTP/1.1");
                    }
                    framing.chunked = true;
                }
                NAME_BYTES_MAX.. => {
                    let max = format!("{NAME_BYTES_MAX} bytes for a name");
                    return Err(Problem::head_too_large("headers", &max));
                }
                _ => {}
            }
        }
        Ok(framing)
    }

    fn body(self, method: &str, version: u8) -> Result<Body, Problem> {
        let Self { host, length, chunked, upgrade } = self;
        if version == 1 && !host {
            return Err(Problem::bad_request("host", "", "given once"));
        }
        if chunked && length.is_some() {
            let limit = "left out: the body is chunked";
            return Err(Problem::bad_request("content-length", "given", limit));
        }
        match length {
            _ if chunked => Ok(Body::chunked()),
            // actix-http takes what follows for another protocol, to the end of the connection.
            _ if upgrade => Ok(Body::Endless),
            None if version == 0 && method == "POST" => {
                Err(Problem::bad_request("content-length", "", "given"))
            }
            None | Some(0) if method == "CONNECT" => Ok(Body::Endless),
            length => Ok(Body::of_length(length.unwrap_or(0))),
        }
    }
}

/// Digits only: no sign, no list.
fn whole_number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Why no parser takes these bytes.
fn malformed(error: Error, bytes: &[u8]) -> Problem {
    match error {
        Error::TooManyHeaders => Problem::head_too_large("headers", &HEADERS_MAX.to_string()),
        Error::HeaderName | Error::HeaderValue => {
            Problem::bad_request("headers", error.to_string(), "lines of NAME: VALUE")
        }
        Error::Version if names_a_version(first_line(bytes)) => Problem::version_not_supported(),
        _ => bad_line(bytes),
    }
}

fn bad_line(bytes: &[u8]) -> Problem {
    let line = String::from_utf8_lossy(first_line(bytes));
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [method, target, version]
            if version.starts_with("HTTP/") && Method::from_bytes(method.as_bytes()).is_ok() =>
        {
            bad_target(target)
        }
        _ => Problem::bad_request("request line", shorten(&line), LINE),
    }
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let mut lines = bytes[empty_lines(bytes)..].split(|byte| *byte == b'\n');
    lines.next().unwrap_or_default().trim_ascii_end()
}

/// The length of the empty lines that may come before a request.
fn empty_lines(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count()
}

/// Whether a line is one of HTTP of some version.
fn names_a_version(line: &[u8]) -> bool {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    matches!(words[..], [_, _, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..]])
}
