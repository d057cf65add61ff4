//! The client protocol: every message comes back as it went, and nothing else is taken.

use bytes::Bytes;
use henge_kernel::{
    causality::{Content, Stamp, Value, Version},
    coordination::{PutOptions, Replicas},
    id::{ClusterId, WriteId},
};

use super::{client_samples::*, samples::joined, *};
use crate::api::{Answer, Got};

#[test]
fn requests_come_back() {
    for request in requests() {
        let frame = joined(request.encode(7).unwrap());
        assert_eq!(ClientQuestion::decode(&frame), Ok(ClientQuestion { correlation: 7, request }));
    }
}

#[test]
fn replies_come_back() {
    for reply in replies() {
        let frame = joined(reply.encode(u64::MAX, 3).unwrap());
        let expected = ClientAnswer { correlation: u64::MAX, epoch: 3, reply };
        assert_eq!(ClientAnswer::decode(&frame), Ok(expected));
    }
}

#[test]
fn a_hello_comes_back() {
    let hello = ClientHello::of(ClusterId::of("stones"));
    assert_eq!(ClientHello::decode(&hello.encode().unwrap()), Ok(hello));
}

#[test]
fn a_single_value_is_not_copied() {
    let bytes = Bytes::from(vec![7; 1 << 20]);
    let content = Content::Value(Value::plain(bytes.clone()));
    let version = Version::new(dot(1), content, Stamp(7), WriteId(5), None);
    let body =
        Got::Value { version: Box::new(version), context: context(), concurrent_delete: false };
    let frame = ClientReply::Got(Answer { body, replicas: Replicas::default() }).encode(1, 1);
    assert_eq!(frame.unwrap().tail.as_ptr(), bytes.as_ptr());
    let value = Value::plain(bytes.clone());
    let put = ClientRequest::Put { key: key(), value, options: PutOptions::default() };
    assert_eq!(put.encode(1).unwrap().tail.as_ptr(), bytes.as_ptr());
}

#[test]
fn surplus_bytes_are_refused_where_no_value_ends_the_frame() {
    for request in requests() {
        let takes_all = matches!(request, ClientRequest::Put { .. });
        let mut frame = joined(request.encode(7).unwrap()).to_vec();
        frame.push(b'x');
        assert_eq!(ClientQuestion::decode(&frame.into()).is_ok(), takes_all, "{request:?}");
    }
    for reply in replies() {
        let takes_all = matches!(reply, ClientReply::Report(_));
        let mut frame = joined(reply.encode(7, 1).unwrap()).to_vec();
        frame.push(0);
        assert_eq!(ClientAnswer::decode(&frame.into()).is_ok(), takes_all, "{reply:?}");
    }
}
