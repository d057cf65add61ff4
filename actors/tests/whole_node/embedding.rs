//! The node as other actors of its process see it: messages and recipients.

use actix::{Actor, Context, Handler, Message, Recipient, ResponseFuture};
use henge_actors::{Delete, Get, NodeHandle, Put, api::Got};
use henge_kernel::coordination::{DeleteOptions, Fate, PutOptions, ReadOptions, RequestError};

use crate::world::{Plan, World, key, simulate, texts, value};

/// Counts visits, knowing of the node only how to get and put.
struct Visitors {
    get: Recipient<Get>,
    put: Recipient<Put>,
}

#[derive(Message)]
#[rtype(result = "Result<String, RequestError>")]
struct Visit(&'static str);

impl Actor for Visitors {
    type Context = Context<Self>;
}

impl Handler<Visit> for Visitors {
    type Result = ResponseFuture<Result<String, RequestError>>;

    fn handle(&mut self, Visit(who): Visit, _: &mut Self::Context) -> Self::Result {
        let (get, put) = (self.get.clone(), self.put.clone());
        Box::pin(async move {
            let ask = Get { key: key("visitors"), options: ReadOptions::default() };
            let got = get.send(ask).await.unwrap()?.body;
            let context = got.context();
            let text = format!("{}{who}", texts(&got).concat());
            let options = PutOptions::default().context(context);
            let tell = Put { key: key("visitors"), value: value(&text), options };
            put.send(tell).await.unwrap()?;
            Ok(text)
        })
    }
}

fn visitors(node: &NodeHandle) -> Visitors {
    Visitors { get: node.recipient(), put: node.recipient() }
}

#[test]
fn an_actor_gets_and_puts_through_recipients_on_every_shard() {
    for shards in [1, 3] {
        simulate(async {
            let world = World::start(Plan { shards: vec![shards], ..Plan::three(60) }).await;
            let here = visitors(world.node("a")).start();
            let there = visitors(world.node("b")).start();
            here.send(Visit("x")).await.unwrap().unwrap();
            assert_eq!(there.send(Visit("y")).await.unwrap().unwrap(), "xy");
        });
    }
}

#[test]
fn deletes_and_refusals_come_back_as_from_the_handle() {
    simulate(async {
        let world = World::start(Plan::three(61)).await;
        let node = world.node("a");
        let delete = node.recipient::<Delete>();
        let ask = Delete { key: key("k"), options: DeleteOptions::default() };
        let refused = delete.send(ask).await.unwrap().unwrap_err();
        assert_eq!((&refused, refused.fate()), (&RequestError::ContextRequired, Fate::NotApplied));
        let put = Put { key: key("k"), value: value("v"), options: PutOptions::default() };
        let context = node.recipient().send(put).await.unwrap().unwrap().body.context;
        let ask = Delete { key: key("k"), options: DeleteOptions::default().context(context) };
        let deleted = delete.send(ask).await.unwrap().unwrap();
        assert_eq!((deleted.replicas.acks, deleted.replicas.homes), (2, 3));
        let get = Get { key: key("k"), options: ReadOptions::default() };
        let gone = node.recipient().send(get).await.unwrap().unwrap().body;
        assert!(matches!(gone, Got::Deleted { .. }), "{gone:?}");
    });
}

#[test]
fn what_comes_by_message_is_bounded_at_the_door_like_all_else() {
    simulate(async {
        let world = World::start(Plan::three(62)).await;
        let node = world.node("a");
        let max = usize::try_from(node.settings().limits.requests_in_flight_max).unwrap();
        let get = node.recipient::<Get>();
        let ask = || get.send(Get { key: key("k"), options: ReadOptions::default() });
        let answers = futures_util::future::join_all((0..max + 100).map(|_| ask())).await;
        let shed = |answer: &Result<_, RequestError>| {
            matches!(answer, Err(RequestError::Overloaded { .. }))
        };
        let shed = answers
            .into_iter()
            .filter(|answer| shed(&answer.as_ref().unwrap().clone().map(drop)))
            .count();
        assert_eq!(shed, 100);
        assert!(ask().await.unwrap().is_ok(), "the places are given back");
    });
}
