//! Judges the head of a request: whether it is one, and how its body is framed. What is not about
//! its first line is asked of actix-http's own decoder, so that both are of one mind.

use actix_codec::Decoder as _;
use actix_http::{
    Request, ServiceConfig,
    error::ParseError,
    h1::{Codec, Message, MessageType},
};
use actix_web::http::{Method, Uri, header::CONTENT_LENGTH};
use bytes::BytesMut;

use super::{Note, STAND_IN, body::Body};
use crate::surfaces::http::{problem::Problem, routes::Route, text::shorten};

/// The longest head, in bytes; actix-http reads none that is longer.
pub const BYTES_MAX: usize = 128 * 1024;
/// The most headers of a request; actix-http reads no more.
const HEADERS_MAX: usize = 96;
/// The longest name of a header, in bytes.
const NAME_BYTES_MAX: usize = u16::MAX as usize;
/// The longest target that a `Uri` holds, in bytes.
const URI_BYTES_MAX: usize = u16::MAX as usize - 1;

const LINE: &str = "METHOD TARGET HTTP/1.1";
const TARGET: &str = "a path in ASCII, with everything else (also # and spaces) percent-encoded";
const HEADERS: &str = "lines of NAME: VALUE; Host once; Content-Length or Transfer-Encoding: \
                       chunked at most once, and not both";

/// A whole head, which actix-http takes.
pub struct Judged {
    /// In bytes, after any change.
    pub length: usize,
    /// If its target is another now: what to note, and all bytes with the stand-in.
    pub changed: Option<(Note, BytesMut)>,
    /// The body behind it.
    pub body: Body,
}

/// Judges the head at the front of `bytes`, before which no empty line is left; `None` if it is not
/// whole yet.
pub fn judge(bytes: &[u8], config: &ServiceConfig) -> Result<Option<Judged>, Problem> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        let is_text = bytes.first().is_none_or(u8::is_ascii_graphic);
        return if is_text { partial(bytes) } else { Err(bad_line(bytes)) };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let (method, target) = parts_of(line)?;
    check_names(&bytes[end..])?;
    let start = method.len() + 1;
    match note(target) {
        None => decode(bytes, bytes, config),
        Some(note) => {
            let rest = &bytes[start + target.len()..];
            let changed = [&bytes[..start], STAND_IN.as_bytes(), rest].concat();
            let judged = decode(&changed, bytes, config)?;
            let changed = Some((note, BytesMut::from(&*changed)));
            Ok(judged.map(|judged| Judged { changed, ..judged }))
        }
    }
}

/// Has the head at the front of `bytes` decoded, which came as `sent`.
fn decode(bytes: &[u8], sent: &[u8], config: &ServiceConfig) -> Result<Option<Judged>, Problem> {
    let mut left = BytesMut::from(bytes);
    let mut codec = Codec::new(config.clone());
    let decoded = codec.decode(&mut left).map_err(|error| bad_headers(&error, sent))?;
    let Some(Message::Item(head)) = decoded else { return partial(sent) };
    // Behind the head both are the same.
    if sent.len() - left.len() > BYTES_MAX {
        return Err(too_large(sent));
    }
    let length = bytes.len() - left.len();
    Ok(Some(Judged { length, changed: None, body: body_of(&head, codec) }))
}

fn body_of(head: &Request, codec: Codec) -> Body {
    let length = head.head().headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    match codec.message_type() {
        MessageType::None => Body::Done,
        MessageType::Stream => Body::Endless,
        MessageType::Payload => match length.and_then(|length| length.trim().parse().ok()) {
            Some(length) => Body::Length(length),
            None => Body::Chunked(Box::new(codec)),
        },
    }
}

/// A head of which more must come, if it may.
fn partial<T>(bytes: &[u8]) -> Result<Option<T>, Problem> {
    if bytes.len() < BYTES_MAX { Ok(None) } else { Err(too_large(bytes)) }
}

/// Method and target of the first line of a request.
fn parts_of(line: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad_line(line));
    };
    match version {
        _ if target.is_empty() || Method::from_bytes(method).is_err() => Err(bad_line(line)),
        b"HTTP/1.1" | b"HTTP/1.0" => Ok((method, target)),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => Err(Problem::version_not_supported()),
        _ => Err(bad_line(line)),
    }
}

/// What must be noted of a target because a `Uri` would not hold it, or not all of it.
fn note(target: &[u8]) -> Option<Note> {
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~%?=&+".contains(byte);
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    let is_path = target.starts_with(b"/");
    let stands_in = target == STAND_IN.as_bytes();
    if is_path && !stands_in && target.len() <= URI_BYTES_MAX && target.iter().all(usual) {
        return None;
    }
    let text = String::from_utf8_lossy(target);
    if stands_in || target.len() > URI_BYTES_MAX && is_path && target.iter().all(plain) {
        return Some(Ok(text.into_owned()));
    }
    let holds = target.iter().all(plain) && Uri::try_from(target).is_ok();
    (!holds).then(|| Err(Problem::bad_request("target", shorten(&text), TARGET)))
}

/// actix-http panics at a name that its `HeaderName` does not hold.
fn check_names(headers: &[u8]) -> Result<(), Problem> {
    if headers.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let lines = headers.split(|byte| *byte == b'\n').skip(1);
    let mut lines = lines.take_while(|line| !line.trim_ascii().is_empty());
    let is_long =
        |line: &[u8]| line.iter().take_while(|byte| **byte != b':').count() > NAME_BYTES_MAX;
    if lines.any(is_long) {
        return Err(Problem::head_too_large("headers", &format!("{NAME_BYTES_MAX} bytes a name")));
    }
    Ok(())
}

fn bad_line(line: &[u8]) -> Problem {
    Problem::bad_request("request line", shorten(&String::from_utf8_lossy(line)), LINE)
}

fn bad_headers(error: &ParseError, bytes: &[u8]) -> Problem {
    match error {
        ParseError::TooLarge if bytes.len() < BYTES_MAX => {
            Problem::head_too_large("headers", &HEADERS_MAX.to_string())
        }
        ParseError::TooLarge => too_large(bytes),
        _ => Problem::bad_request("headers", "malformed, missing or repeated", HEADERS),
    }
}

/// Refuses a head that began with `bytes`: for the name in its path, if that alone is too long.
fn too_large(bytes: &[u8]) -> Problem {
    match Route::find(path_of(bytes)).long_name() {
        Some(name) => Problem::name_so_far(name),
        None => Problem::head_too_large("head", &format!("{BYTES_MAX} bytes")),
    }
}

/// The path of a head, as far as it came; empty if that is no text.
fn path_of(head: &[u8]) -> &str {
    let mut words = head.splitn(3, u8::is_ascii_whitespace);
    let target = words.nth(1).unwrap_or_default();
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    str::from_utf8(path).unwrap_or_default()
}
