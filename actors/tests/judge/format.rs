//! What is written is read back; what is no history is refused by its line.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use henge_actors::simulation::history::{
    Event, Kind, Malformed, Moment, Recorder, read, read_history,
};
use proptest::prelude::*;

use crate::{model, story::Story};

/// A file that the test can look into.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(events: &[Event]) -> String {
    let file = Shared::default();
    let mut recorder = Recorder::writing(file.clone());
    for event in events {
        recorder.record(event.clone()).unwrap();
    }
    assert!(recorder.finish().unwrap().is_empty(), "what is written need not be kept");
    let bytes = file.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn what_is_recorded_is_read_back() {
    let events = model::run(7, &model::Options::default());
    assert_eq!(read(written(&events).as_bytes()).unwrap(), events);
    let mut recorder = Recorder::keeping();
    for event in &events {
        recorder.record(event.clone()).unwrap();
    }
    assert_eq!(recorder.finish().unwrap(), events);
}

#[test]
fn the_lines_are_those_that_are_documented() {
    let lines = r#"{"ev":"meta","fmt":1,"source":"lab","seed":7,"n":3,"r":2,"w":2,"quorum":"sloppy","max_siblings":32,"converge_ms":10000,"min_avail":0.99}
{"ev":"mark","t":0,"name":"bucket","bucket":"l","lww":true}
{"ev":"invoke","t":1.5,"id":"c1-7","c":"c1","op":"put","key":"k","node":"n2","val":"c1-7"}
{"ev":"ok","t":2.5,"id":"c1-7","dot":"9f.1.4"}
{"ev":"invoke","t":3,"id":"c1-8","c":"c1","op":"get","key":"k","node":"n2","quorum":"strict","ctx":[]}
{"ev":"ok","t":4,"id":"c1-8","vals":["c1-7"],"dots":["9f.1.4"],"tombs":[]}
{"ev":"invoke","t":5.001,"id":"c1-9","c":"c1","op":"put","key":"k","node":"n2","val":"c1-9","ctx":["c1-8"],"wid":"00ff","ttl_ms":5}
{"ev":"info","t":9,"id":"c1-9","code":"timed_out","err":"1 of 2"}
{"ev":"mark","t":9.5,"name":"fault","kind":"partition","down":["n3"],"expect":"available"}
{"ev":"mark","t":10,"name":"heal"}
{"ev":"replica","t":12,"round":4,"node":"n1","key":"k","vals":["c1-7"],"homes":["n1","n2","n3"],"digest":"9f","dots":{"9f.1.4":"aa"}}
{"ev":"node","t":13,"node":"n1","hints":0}
{"ev":"invoke","t":14,"id":"f-1","c":"fin","op":"get","key":"k","node":"n1","final":true}
"#;
    let events = read(lines.as_bytes()).unwrap();
    assert_eq!(events.len(), 13);
    let Event::Invoke(put) = &events[6] else { panic!("{:?}", events[6]) };
    assert_eq!((put.t, put.op, put.ttl_ms), (Moment(5_001), Kind::Put, Some(5)));
    assert_eq!(read(written(&events).as_bytes()).unwrap(), events);
    let history = read_history(lines.as_bytes()).unwrap();
    assert!(history.rules("l").lww && !history.rules("").lww);
    assert_eq!(history.operations[2].context, [1]);
}

const META: &str = r#"{"ev":"meta","fmt":1,"source":"lab","n":3,"r":2,"w":2}"#;
const PUT: &str =
    r#"{"ev":"invoke","t":1,"id":"p","c":"c","op":"put","key":"k","node":"a","val":"x"}"#;
const OK: &str = r#"{"ev":"ok","t":2,"id":"p"}"#;

#[track_caller]
fn refused(lines: &[&str], line: usize, why: &str) -> Malformed {
    let refused = read_history(lines.join("\n").as_bytes()).unwrap_err();
    assert_eq!(refused.line(), line, "{refused}");
    assert!(refused.to_string().contains(why), "{refused}");
    refused
}

#[test]
fn what_is_no_event_is_refused_by_its_line() {
    for (text, why) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", ""),
        (r#"{"ev":"other"}"#, "unknown variant `other`"),
        (r#"{"t":1,"id":"p"}"#, "missing field `ev`"),
        (r#"{"ev":"ok","id":"p"}"#, "missing field `t`"),
        (r#"{"ev":"ok","t":2,"id":"p","vels":[]}"#, "unknown field `vels`"),
        (r#"{"ev":"ok","t":-2,"id":"p"}"#, "-2"),
        (r#"{"ev":"ok","t":1e40,"id":"p"}"#, "milliseconds from 0"),
        (r#"{"ev":"ok","t":"2","id":"p"}"#, "milliseconds from 0"),
        (r#"{"ev":"ok","t":2,"id":"p"} x"#, "trailing"),
    ] {
        let error = refused(&[META, PUT, text, OK], 3, why);
        assert!(matches!(error, Malformed::NoEvent { .. }), "{error:?}");
    }
}

#[test]
fn an_unknown_format_is_refused_by_its_number() {
    let error = refused(&[&META.replace("\"fmt\":1", "\"fmt\":2")], 1, "format 2");
    assert!(matches!(error, Malformed::UnknownFormat { found: 2, .. }), "{error:?}");
}

#[test]
fn what_contradicts_the_lines_before_it_is_refused() {
    let get = r#"{"ev":"invoke","t":3,"id":"g","c":"c","op":"get","key":"j","node":"a"}"#;
    let put = |change: &[(&str, &str)]| {
        let next = PUT.replace("\"p\"", "\"q\"").replace("\"t\":1", "\"t\":3");
        change.iter().fold(next, |line, (from, to)| line.replace(from, to))
    };
    let with_ctx =
        |ctx: &str| put(&[("\"x\"", "\"y\""), ("}", &format!(",\"ctx\":[\"{ctx}\"]}}"))]);
    let blind = put(&[("\"val\":\"x\"", "\"wid\":\"1\"")]);
    for (lines, line, why) in [
        (vec![PUT], 1, "begins with its meta line"),
        (vec![META, META], 2, "second meta"),
        (vec![META, OK], 2, "p was never invoked"),
        (vec![META, PUT, PUT], 3, "no retry"),
        (vec![META, PUT, OK, OK], 4, "completes twice"),
        (vec![META, &PUT.replace("\"t\":1", "\"t\":2.5"), OK], 3, "before it began"),
        (vec![META, &blind], 2, "has no val"),
        (vec![META, PUT, OK, &put(&[])], 4, "no retry"),
        (vec![META, PUT, OK, &with_ctx("nobody")], 4, "nobody, which is unknown"),
        (vec![META, PUT, &with_ctx("p")], 3, "p, which was not answered"),
        (vec![META, PUT, OK, &with_ctx("p").replace("\"k\"", "\"j\"")], 4, "of another key"),
        (vec![META, get, &get.replace("\"j\"", "\"k\"")], 3, "a second operation g"),
        (
            vec![META, PUT, r#"{"ev":"ok","t":2,"id":"p","vals":["x"],"dots":["1","2"]}"#],
            3,
            "2 dots",
        ),
        (vec![META, r#"{"ev":"mark","t":1,"name":"fault"}"#], 2, "no kind"),
        (vec![], 1, "nothing is there"),
    ] {
        let error = refused(&lines, line, why);
        assert!(matches!(error, Malformed::Contradiction { .. }), "{error:?}");
    }
}

#[test]
fn a_retry_shares_value_write_id_and_context() {
    let first = PUT.replace('}', r#","wid":"1"}"#);
    let again = first.replace("\"p\"", "\"q\"");
    let lines = [META, &first, OK, &again].join("\n");
    assert_eq!(read_history(lines.as_bytes()).unwrap().operations.len(), 2);
    let with_context = again.replace('}', r#","ctx":["p"]}"#);
    refused(&[META, &first, OK, &with_context], 4, "another context");
    refused(&[META, &first, OK, &again.replace("\"1\"", "\"2\"")], 4, "no retry");
}

#[test]
fn a_file_that_cannot_be_read_on_is_told() {
    let mut bytes = META.as_bytes().to_vec();
    bytes.extend(b"\n\xff\xff\n");
    let error = read(bytes.as_slice()).unwrap_err();
    assert!(matches!(error, Malformed::Unreadable { line: 2, .. }), "{error:?}");
}

#[test]
fn a_recorder_says_that_its_file_is_full() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut recorder = Recorder::keeping().and_writing(Full);
    let event = Story::new().events().remove(0);
    assert_eq!(recorder.record(event).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(recorder.events().len(), 1, "it is kept all the same");
}

proptest! {
    #[test]
    fn a_moment_is_read_as_it_was_written(micros in 0_u64..1_000_000_000_000_000) {
        let text = serde_json::to_string(&Moment(micros)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Moment>(&text).unwrap(), Moment(micros));
    }

    #[test]
    fn damaged_lines_are_refused_and_break_nothing(
        seed in 0_u64..8, line in 0_usize..100, at in 0_usize..200, byte in any::<u8>(),
    ) {
        let text = written(&model::run(seed, &model::Options::default()));
        let mut lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        let line = line % lines.len();
        let at = at % lines[line].len();
        lines[line][at] = byte;
        if let Err(error) = read_history(lines.join(&b'\n').as_slice()) {
            // Twice as many lines, if the byte is the end of one.
            prop_assert!(error.line() <= lines.len() + 1);
        }
    }
}
