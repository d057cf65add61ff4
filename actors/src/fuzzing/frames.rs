//! What peers send: certificates, hellos and the frames of both lanes.

use std::fmt::Debug;

use bytes::Bytes;
use henge_kernel::id::{ClusterId, Incarnation, NodeName};

use super::{Allocates, Features, Target};
use crate::{
    transport::{
        Frame,
        tls::{Role, Subject},
    },
    wire::{
        ControlMessage, HeaderTooLong, Hello, MalformedFrame, RequestFrame,
        samples::{controls, joined, key, replies, requests},
    },
};

/// The codec may claim as much for a header, whatever its length.
const FRAME: Allocates = Allocates { floor: 128 << 10, each: 64 };

/// How far behind a header's end, or before it, another end is looked for.
const SHIFTS: usize = 6;

/// A reader of frames, or of what travels like them.
pub(super) fn frame(
    name: &'static str,
    seeds: fn() -> Vec<Vec<u8>>,
    run: fn(&[u8], &mut Features),
    mend: fn(&mut [u8]),
) -> Target {
    Target { name, seeds, words: &[], mend: Some(mend), run, allocates: FRAME }
}

pub(super) fn targets() -> Vec<Target> {
    vec![
        frame("peer-requests", request_seeds, run_request, mend_request),
        frame("peer-control", control_seeds, run_control, mend_control),
        frame("peer-hello", hello_seeds, run_hello, mend_hello),
        Target {
            mend: None,
            words: &[b"henge://", b"/node/", b"/client/", b"/ca", b"\x06\x03\x55\x1d\x11", b"\x86"],
            // Certificates are made with keys that no seed decides: some lie in the corpus.
            ..frame("certificates", Vec::new, run_certificate, |_| ())
        },
    ]
}

/// What a lane carries, whole; what cannot be encoded is no seed.
pub(super) fn encoded(
    frames: impl IntoIterator<Item = Result<Frame, HeaderTooLong>>,
) -> Vec<Vec<u8>> {
    frames.into_iter().flatten().map(|frame| joined(frame).to_vec()).collect()
}

/// What a seal takes at most beyond what one takes that is of no key.
const SEAL: usize = 8;

/// Whatever decodes encodes to no more bytes than it came in, and decodes to the same again. (The
/// same bytes it need not be: the codec takes integers in longer forms than it writes.)
pub(super) fn comes_back<T: Debug + PartialEq>(
    input: &[u8],
    features: &mut Features,
    decode: impl Fn(&Bytes) -> Result<T, MalformedFrame>,
    encode: impl Fn(&T) -> Result<Frame, HeaderTooLong>,
) {
    let decoded = decode(&Bytes::copy_from_slice(input));
    features.outcome(&decoded);
    let Ok(message) = decoded else { return };
    let again = encode(&message).map(joined);
    let Ok(again) = again else { panic!("it decodes and cannot be encoded") };
    let most = input.len() + SEAL;
    assert!(again.len() <= most, "it grows from {} to {}", input.len(), again.len());
    assert_eq!(decode(&again).as_ref(), Ok(&message), "it decodes to something else again");
    let twice = encode(&message).map(joined);
    assert_eq!(twice.as_ref(), Ok(&again), "it has two forms");
}

/// Moves the end of a frame's header to where its decoder finds it, if that is near: the mutator
/// knows nothing of it.
pub(super) fn mend_frame<T>(
    frame: &mut [u8],
    decode: impl Fn(&Bytes) -> Result<T, MalformedFrame>,
) {
    let [_, low, high, rest @ ..] = &frame[..] else { return };
    let claimed = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let most = rest.len();
    let near = (0..=SHIFTS).flat_map(|shift| [claimed.checked_sub(shift), Some(claimed + shift)]);
    for length in near.flatten().filter(|length| *length <= most) {
        let Ok(length) = u16::try_from(length) else { continue };
        frame[1..3].copy_from_slice(&length.to_le_bytes());
        match decode(&Bytes::copy_from_slice(frame)) {
            Err(MalformedFrame::Header { .. } | MalformedFrame::Truncated { .. }) => {}
            _ => return,
        }
    }
}

fn request_seeds() -> Vec<Vec<u8>> {
    let second = std::time::Duration::from_secs(1);
    let mut seeds = encoded(requests().iter().map(|request| request.encode(7, second)));
    seeds.extend(encoded(replies().iter().map(|reply| reply.encode(7, key().token()))));
    seeds
}

fn run_request(input: &[u8], features: &mut Features) {
    let encode = |frame: &RequestFrame| match frame {
        RequestFrame::Request { correlation, remaining, request, .. } => {
            request.encode(*correlation, *remaining)
        }
        RequestFrame::Reply { correlation, about, reply } => reply.encode(*correlation, *about),
    };
    // A request that is sealed for another key is refused by who takes it, and not sent again.
    let decode = |frame: &Bytes| {
        RequestFrame::decode(frame).map(|frame| match frame {
            RequestFrame::Request { correlation, remaining, request, .. } => {
                let about = request.about();
                RequestFrame::Request { correlation, remaining, about, request }
            }
            reply @ RequestFrame::Reply { .. } => reply,
        })
    };
    comes_back(input, features, decode, encode);
}

fn mend_request(input: &mut [u8]) {
    mend_frame(input, RequestFrame::decode);
}

fn control_seeds() -> Vec<Vec<u8>> {
    encoded(controls().iter().map(ControlMessage::encode))
}

fn run_control(input: &[u8], features: &mut Features) {
    comes_back(input, features, ControlMessage::decode, ControlMessage::encode);
}

fn mend_control(input: &mut [u8]) {
    mend_frame(input, ControlMessage::decode);
}

/// Whom a certificate names is one who could have been certified.
fn run_certificate(input: &[u8], features: &mut Features) {
    let subject = Subject::of_certificate(input);
    features.outcome(&subject);
    let Ok(subject) = subject else { return };
    let again = match (subject.role(), subject.name()) {
        (Role::Node, Some(name)) => Subject::node(subject.cluster(), name),
        (Role::Client, Some(name)) => Subject::client(subject.cluster(), name),
        _ => Subject::authority(subject.cluster()),
    };
    assert_eq!(again.ok(), Some(subject), "it names nobody who is certified");
}

fn hello() -> Option<Hello> {
    Some(Hello {
        protocol_min: 1,
        protocol_max: 2,
        cluster: ClusterId::of("stones"),
        name: NodeName::new("a").ok()?,
        incarnation: Incarnation(5),
        run: 6,
        shard: 1,
        shards: 2,
        facts: vec![("ring.partitions".into(), "256".into())],
    })
}

fn hello_seeds() -> Vec<Vec<u8>> {
    hello().and_then(|hello| hello.encode().ok()).iter().map(|frame| frame.to_vec()).collect()
}

fn run_hello(input: &[u8], features: &mut Features) {
    let encode = |hello: &Hello| hello.encode().map(|frame| Frame::new(frame.to_vec()));
    comes_back(input, features, Hello::decode, encode);
    let theirs = Hello::decode(&Bytes::copy_from_slice(input));
    if let (Ok(theirs), Some(ours)) = (theirs, hello()) {
        let (one, other) = (ours.check(&theirs), theirs.check(&ours));
        assert_eq!(one.is_ok(), other.is_ok(), "both sides come to the same verdict");
        features.outcome(&one);
    }
}

fn mend_hello(input: &mut [u8]) {
    mend_frame(input, Hello::decode);
}
