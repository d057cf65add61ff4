//! What requests tell of themselves, whichever door they came through.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use henge_actors::{
    Get,
    api::KeyQuery,
    events::{REQUEST, REQUEST_SAMPLE_EVERY},
};
use henge_kernel::coordination::{DeleteOptions, PutOptions, ReadOptions};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber::{DefaultGuard, set_default},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    layer::{Context, SubscriberExt as _},
};

use crate::world::{Plan, World, delete, get, key, name, pass, put, simulate, value};

type Fields = BTreeMap<&'static str, String>;

/// The requests that this thread was told of.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(Level, Fields)>>>);

impl Told {
    fn listen(level: Level) -> (Self, DefaultGuard) {
        let told = Self::default();
        let requests = Targets::new().with_target(REQUEST, level);
        let guard = set_default(Registry::default().with(told.clone().with_filter(requests)));
        (told, guard)
    }

    fn take(&self) -> Vec<(Level, Fields)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The one event since the last time.
    fn one(&self) -> Fields {
        let mut told = self.take();
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0).1
    }
}

impl<S: Subscriber> Layer<S> for Told {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut visitor = Visitor(Fields::new());
        event.record(&mut visitor);
        self.0.lock().unwrap().push((*event.metadata().level(), visitor.0));
    }
}

struct Visitor(Fields);

impl Visit for Visitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// The fields that do not depend on time and chance, as text.
fn essence(fields: &Fields) -> String {
    let names = ["op", "node", "bucket", "n", "r", "w", "acks", "fallbacks", "outcome"];
    let told = names.iter().filter_map(|name| Some(format!("{name}={}", fields.get(name)?)));
    told.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_request_is_one_event_with_its_quorum_and_its_outcome() {
    simulate(async {
        let world = World::start(Plan::three(70)).await;
        let (told, _guard) = Told::listen(Level::TRACE);
        let a = world.node("a");
        put(a, "k", "v", PutOptions::default().w(3)).await.unwrap();
        let wanted = "op=put node=a bucket=bucket n=3 w=3 acks=3 fallbacks=0 outcome=ok";
        assert_eq!(essence(&told.one()), wanted);
        put(a, "k", "w", PutOptions::default()).await.unwrap();
        told.take();
        let got = get(a, "k", ReadOptions::default()).await;
        let wanted = "op=get node=a bucket=bucket n=3 r=2 acks=2 fallbacks=0 outcome=siblings";
        assert_eq!(essence(&told.one()), wanted);
        delete(a, "k", DeleteOptions::default()).await.unwrap_err();
        let wanted = "op=delete node=a bucket=bucket n=3 w=2 outcome=context_required";
        assert_eq!(essence(&told.one()), wanted);
        delete(a, "k", DeleteOptions::default().context(got.context())).await.unwrap();
        told.take();
        let by_message = Get { key: key("k"), options: ReadOptions::default() };
        a.recipient().send(by_message).await.unwrap().unwrap();
        let wanted = "op=get node=a bucket=bucket n=3 r=2 acks=2 fallbacks=0 outcome=deleted";
        assert_eq!(essence(&told.one()), wanted);
        let query = KeyQuery { prefix: "".into(), after: None, limit: 1000 };
        a.keys(key("k").bucket(), query).await.unwrap();
        assert_eq!(essence(&told.one()), "op=keys node=a bucket=bucket n=3 outcome=ok");
    });
}

#[test]
fn the_sample_stands_for_all_requests() {
    simulate(async {
        const PAIRS: u64 = 800;
        let world = World::start(Plan::three(71)).await;
        let (told, _guard) = Told::listen(Level::DEBUG);
        // In turn: a plain every-sixteenth would see one of them alone.
        for pair in 0..PAIRS {
            put(world.node("a"), &pair.to_string(), "v", PutOptions::default()).await.unwrap();
            get(world.node("a"), &pair.to_string(), ReadOptions::default()).await;
        }
        let told = told.take();
        for op in ["put", "get"] {
            let of_op = told.iter().filter(|(_, fields)| fields["op"] == op);
            let weights = of_op.map(|(_, fields)| fields["weight"].parse::<u64>().unwrap());
            let weight: u64 = weights.inspect(|weight| assert!(*weight >= 1)).sum();
            assert!(weight.abs_diff(PAIRS) <= PAIRS / 10, "{weight} {op} of {PAIRS}");
        }
        let most = 2 * PAIRS / REQUEST_SAMPLE_EVERY * 11 / 10;
        assert!(u64::try_from(told.len()).unwrap() <= most, "{}", told.len());
    });
}

#[test]
fn what_is_slow_or_failed_or_abandoned_is_always_told() {
    simulate(async {
        let world = World::start(Plan::three(72)).await;
        let (told, _guard) = Told::listen(Level::DEBUG);
        let a = world.node("a");
        a.put(&key("k"), value("v"), PutOptions::default().w(9)).await.unwrap_err();
        let refused = told.one();
        assert_eq!((refused["outcome"].as_str(), refused["weight"].as_str()), ("bad_request", "1"));
        world.network.isolate(&name("a"));
        let hurried = PutOptions::default().timeout(Duration::from_millis(300));
        put(a, "k", "v", hurried).await.unwrap_err();
        let failed = told.one();
        assert_eq!(
            essence(&failed),
            "op=put node=a bucket=bucket n=3 w=2 acks=1 outcome=timed_out"
        );
        assert!(failed["elapsed_us"].parse::<u64>().unwrap() >= 300_000, "{failed:?}");
        let key = key("k");
        drop(
            tokio::time::timeout(Duration::from_millis(5), a.get(&key, ReadOptions::default()))
                .await,
        );
        assert_eq!(told.one()["outcome"], "abandoned");
        world.network.heal_all();
        pass(5_000).await;
    });
}
