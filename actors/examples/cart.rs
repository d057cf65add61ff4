//! An actor that keeps shopping carts: it reads a cart, merges what it finds, and writes it back,
//! all by `update`.
//!
//! ```sh
//! cargo run -p henge-actors --example cart           # runs alone, on temporary data, and ends
//! ```

use std::{collections::BTreeSet, error::Error, net::UdpSocket};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use henge_actors::{
    Key, Node, NodeHandle, NodeName, PutOptions, RequestError, Settings, Store, Value,
    environment::Environment,
};

/// Keeps carts in any store: here in a node of the same process, in another program perhaps
/// through a client.
struct Carts<S> {
    store: S,
}

/// Puts an item into a cart; answers with all that is in it now.
#[derive(Message)]
#[rtype(result = "Result<BTreeSet<String>, RequestError>")]
struct AddItem {
    customer: &'static str,
    item: &'static str,
}

impl<S: Unpin + 'static> Actor for Carts<S> {
    type Context = Context<Self>;
}

impl<S> Handler<AddItem> for Carts<S>
where
    S: Store<Error = RequestError> + Clone + Unpin + 'static,
{
    type Result = ResponseFuture<Result<BTreeSet<String>, RequestError>>;

    fn handle(
        &mut self,
        AddItem { customer, item }: AddItem,
        _: &mut Self::Context,
    ) -> Self::Result {
        let store = self.store.clone();
        Box::pin(async move {
            let mut cart = BTreeSet::new();
            let merge = |carts: Vec<Value>| {
                // Each item of each sibling, and the new one. To add it twice does no harm, which
                // it must not: a conflict calls this again.
                cart = carts.iter().filter_map(Value::as_text).flat_map(items).collect();
                cart.insert(item.to_owned());
                to_value(&cart)
            };
            store.update(&Key::new("carts", customer)?, merge).await?;
            Ok(cart)
        })
    }
}

fn items(cart: &str) -> impl Iterator<Item = String> {
    cart.lines().map(str::to_owned)
}

fn to_value(cart: &BTreeSet<String>) -> Value {
    Value::text(cart.iter().map(String::as_str).collect::<Vec<_>>().join("\n"))
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let listen = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let settings = Settings::single(NodeName::new("carts")?, listen, directory.path().into());
    let environment = Environment::production(&settings)?;
    let node = Node::start(settings, environment).await?;

    // Two phones that know nothing of each other leave two carts, side by side.
    let handle: NodeHandle = node.handle();
    let ada = Key::new("carts", "ada")?;
    handle.put(&ada, Value::text("book"), PutOptions::default()).await?;
    handle.put(&ada, Value::text("pen"), PutOptions::default()).await?;

    let carts = Carts { store: handle }.start();
    let cart = carts.send(AddItem { customer: "ada", item: "cup" }).await??;
    println!("ada: {}", cart.into_iter().collect::<Vec<_>>().join(", "));

    // Any number at once: none is lost.
    let add = |item| carts.send(AddItem { customer: "bob", item });
    let added = futures_util::future::join_all(["tea", "jam", "bread"].map(add)).await;
    for cart in added {
        cart??;
    }
    let cart = carts.send(AddItem { customer: "bob", item: "milk" }).await??;
    println!("bob: {}", cart.into_iter().collect::<Vec<_>>().join(", "));

    node.stop().await;
    Ok(())
}
