//! What native clients send, and what they are answered.

use bytes::Bytes;
use henge_kernel::id::ClusterId;

use super::{
    Features, Target,
    frames::{comes_back, encoded, frame, mend_frame},
};
use crate::{
    transport::{Frame, Lane, deframed},
    wire::{
        ClientAnswer, ClientHello, ClientQuestion, ClientRequest, MalformedFrame,
        client_samples::{replies, requests},
    },
};

pub(super) fn targets() -> Vec<Target> {
    vec![
        Target {
            words: &[b"\"n\":", b"null", b"{", b"}", b"[", b"\"", b"1e999", b"-1", b"lww"],
            ..frame("client-requests", question_seeds, run_question, mend_question)
        },
        frame("client-answers", answer_seeds, run_answer, mend_answer),
        frame("client-hello", hello_seeds, run_hello, mend_hello),
        Target { mend: None, ..frame("lanes", lane_seeds, run_lane, |_| ()) },
    ]
}

fn question_seeds() -> Vec<Vec<u8>> {
    encoded(requests().iter().map(|request| request.encode(7)))
}

fn run_question(input: &[u8], features: &mut Features) {
    let encode = |question: &ClientQuestion| question.request.encode(question.correlation);
    // A fraction, which is no property, may come back as its neighbour: JSON is read fast.
    let decode = |frame: &Bytes| match ClientQuestion::decode(frame)? {
        question if has_fraction(&question) => {
            Err(MalformedFrame::Rule { reason: "a fraction".to_owned() })
        }
        question => Ok(question),
    };
    comes_back(input, features, decode, encode);
}

fn has_fraction(question: &ClientQuestion) -> bool {
    let ClientRequest::SetBucket { change, .. } = &question.request else { return false };
    let json = serde_json::to_value(change).unwrap_or_default();
    json.as_object().is_some_and(|settings| settings.values().any(serde_json::Value::is_f64))
}

fn mend_question(input: &mut [u8]) {
    mend_frame(input, ClientQuestion::decode);
}

fn answer_seeds() -> Vec<Vec<u8>> {
    encoded(replies().iter().map(|reply| reply.encode(7, 3)))
}

fn run_answer(input: &[u8], features: &mut Features) {
    let encode = |answer: &ClientAnswer| answer.reply.encode(answer.correlation, answer.epoch);
    comes_back(input, features, ClientAnswer::decode, encode);
}

fn mend_answer(input: &mut [u8]) {
    mend_frame(input, ClientAnswer::decode);
}

fn hello_seeds() -> Vec<Vec<u8>> {
    ClientHello::of(ClusterId(1)).encode().iter().map(|frame| frame.to_vec()).collect()
}

fn run_hello(input: &[u8], features: &mut Features) {
    let encode = |hello: &ClientHello| hello.encode().map(|frame| Frame::new(frame.to_vec()));
    comes_back(input, features, ClientHello::decode, encode);
}

fn mend_hello(input: &mut [u8]) {
    mend_frame(input, |frame: &Bytes| -> Result<ClientHello, MalformedFrame> {
        ClientHello::decode(frame)
    });
}

/// The first byte says how long the packets are in which the rest comes.
fn lane_seeds() -> Vec<Vec<u8>> {
    vec![
        b"\x07\x05\0\0\0hello\0\0\0\0\x01\0\0\0x".to_vec(),
        b"\x02\x02\0\0\0ab\xff\xff\xff\xff".to_vec(),
    ]
}

/// Frames are the same however the stream was cut into packets.
fn run_lane(input: &[u8], features: &mut Features) {
    let Some((size, stream)) = input.split_first() else { return };
    let packets = stream.chunks(usize::from(*size).max(1)).map(Bytes::copy_from_slice);
    let in_pieces = deframed(Lane::Control, packets);
    let at_once = deframed(Lane::Control, [Bytes::copy_from_slice(stream)]);
    assert_eq!(in_pieces, at_once, "the frames of a stream depend on its packets");
    features.outcome(&in_pieces.map(|frames| (frames.is_empty(), frames.len() > 1)));
}
