//! What a request tells whoever listens.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt as _},
};

use crate::support::{
    http::{get, put},
    node::{Single, until},
};

type Events = Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>;

struct Listener(Events);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
}

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

#[test]
fn each_request_is_an_event_without_its_key() {
    let events = Events::default();
    let targets = Targets::new().with_target("henge::request", LevelFilter::TRACE);
    let subscriber = Registry::default().with(Listener(Arc::clone(&events)).with_filter(targets));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let single = Single::start();
    put(single.http(), "/v1/kv/traced/secret", "x");
    put(single.http(), "/v1/kv/traced/secret", "y");
    get(single.http(), "/v1/kv/traced/secret");
    get(single.http(), "/v1/kv/traced/secret?r=9");
    put(single.http(), "/v1/buckets/traced", "{}");
    let of_ours = || {
        let all = events.lock().unwrap();
        let ours: Vec<_> = all
            .iter()
            .filter(|event| event.get("bucket").is_some_and(|it| it == "traced"))
            .cloned()
            .collect();
        (ours.len() == 5).then_some(ours)
    };
    let ours = until("five events came", of_ours);
    let told: Vec<_> =
        ours.iter().map(|event| (event["op"].as_str(), event["outcome"].as_str())).collect();
    let wanted = [
        ("put", "ok"),
        ("put", "ok"),
        ("get", "siblings"),
        ("get", "bad_request"),
        ("set_bucket", "ok"),
    ];
    assert_eq!(told, wanted);
    assert_eq!(ours[0]["w"], "1", "{:?}", ours[0]);
    assert_eq!((ours[2]["r"].as_str(), ours[2]["acks"].as_str()), ("1", "1"), "{:?}", ours[2]);
    for event in &ours {
        assert!(event["elapsed_us"].parse::<u64>().is_ok(), "{event:?}");
        assert!(!format!("{event:?}").contains("secret"), "{event:?}");
    }
}
