//! Every message comes back as it went; whatever else comes in is refused without a panic.

use std::time::Duration;

use bytes::Bytes;
use henge_kernel::{
    anti_entropy::{Summary, exchange::ROOTS_MAX},
    bucket::{BucketProperties, BucketRegister},
};

use super::{samples::*, *};

#[test]
fn longer_lists_than_may_be_asked_for_are_refused() {
    let long = TreeQuestion::Compare(vec![(tree(), Summary(1)); ROOTS_MAX + 1]);
    let frame = PeerRequest::Trees(long).encode(7, Duration::from_secs(1)).unwrap();
    let refused = RequestFrame::decode(&joined(frame)).unwrap_err();
    assert!(matches!(refused, MalformedFrame::Rule { .. }), "{refused}");
}

#[test]
fn requests_come_back() {
    for request in requests() {
        let frame = joined(request.encode(7, Duration::from_millis(1500)).unwrap());
        let remaining = Duration::from_millis(1500);
        let about = request.about();
        let expected = RequestFrame::Request { correlation: 7, remaining, about, request };
        assert_eq!(RequestFrame::decode(&frame), Ok(expected));
    }
}

#[test]
fn replies_come_back() {
    for reply in replies() {
        let about = key().token();
        let frame = joined(reply.encode(u64::MAX, about).unwrap());
        let expected = RequestFrame::Reply { correlation: u64::MAX, about, reply };
        assert_eq!(RequestFrame::decode(&frame), Ok(expected));
    }
}

#[test]
fn control_messages_come_back() {
    for message in controls() {
        let frame = joined(message.encode().unwrap());
        assert_eq!(ControlMessage::decode(&frame), Ok(message));
    }
}

#[test]
fn a_frame_is_a_format() {
    // Golden bytes: another codec that replaces this one must write the same.
    let request = PeerRequest::Read { key: key(), known: None, properties: Some(version()) };
    let frame = joined(request.encode(1, Duration::from_secs(2)).unwrap());
    let seal = b"\xfd\x76\x34\xe8\x8e\xc0\xf5\xe5\x19";
    let rest = b"\xfb\xd0\x07\x00\x06bucket\x05\xff/key\x00\x01\x04\x4d";
    let mut golden = [&b"\x01\x00\x00\x01"[..], seal, rest].concat();
    golden[1] = u8::try_from(golden.len() - 3).unwrap();
    assert_eq!(frame, golden);
}

#[test]
fn registers_that_break_a_rule_are_refused() {
    let properties = BucketProperties { w: 9, ..BucketProperties::default() };
    let name = Bytes::from_static(b"carts");
    let register = BucketRegister { name, version: version(), properties, established: true };
    let message = ControlMessage::Registers { ticket: 0, registers: vec![register] };
    let refused = ControlMessage::decode(&joined(message.encode().unwrap())).unwrap_err();
    assert!(matches!(refused, MalformedFrame::Rule { .. }), "{refused}");
}

#[test]
fn surplus_bytes_are_refused_where_no_tail_belongs() {
    let frames = requests()
        .into_iter()
        .map(|request| (request.encode(7, Duration::from_secs(1)), takes_all(&request)))
        .chain(replies().into_iter().map(|reply| {
            let open = match reply {
                PeerReply::Found { .. } | PeerReply::Quarantined { .. } => true,
                PeerReply::Written { ref record, .. } => record.is_some(),
                _ => false,
            };
            (reply.encode(7, key().token()), open)
        }));
    for (frame, takes_all) in frames {
        let mut frame = joined(frame.unwrap()).to_vec();
        frame.push(0);
        let decoded = RequestFrame::decode(&frame.into());
        assert_eq!(decoded.is_ok(), takes_all, "{decoded:?}");
    }
}

/// Whether the request's tail is a record or a value, of any length.
fn takes_all(request: &PeerRequest) -> bool {
    match request {
        PeerRequest::Store { .. } => true,
        PeerRequest::Write(write) => write.content.is_value(),
        _ => false,
    }
}
