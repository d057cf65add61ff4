//! The tour: what a partition does to a key, and how it becomes one value again.
//!
//! It sees the nodes as any user does, through their HTTP.

use henge_actors::environment::SystemClock;
use serde_json::json;

use super::{
    client::{Request, Response},
    cluster::{Cluster, Member},
    orders::Orders,
    report::Report,
    stage::{Broken, Scene, Stage, Unmet, answer_to, unmet},
};

const FIRST: &str = "milk";
const NEAR: &str = "milk, eggs";
const NEAR_LAST: &str = "milk, eggs, flour";
const FAR: &str = "milk, bread";
const RESOLVED: &str = "milk, eggs, flour, bread";

/// Plays the whole tour; says whether every step held.
pub async fn run(cluster: &Cluster, report: Report) -> bool {
    let mut stage = Stage::new(report);
    let held = play(cluster, &mut stage).await.is_ok();
    stage.close(held);
    held
}

async fn play(cluster: &Cluster, stage: &mut Stage) -> Result<(), Broken> {
    let cart = stage.step("Who holds the key", async |scene| choose(scene, cluster).await).await?;
    let context = whole(&cart, stage).await?;
    let orders = Orders::new(cart.nodes, [cart.near()?[0], cart.far], &cart.key);
    orders.make_bucket(stage).await?;
    cut(&cart, stage).await?;
    near(&cart, stage, &context).await?;
    far(&cart, stage, &context).await?;
    orders.take(stage).await?;
    let healed = heal(&cart, stage).await?;
    orders.drain(stage, &healed).await?;
    resolve(&cart, stage).await?;
    converge(&cart, stage).await
}

/// The key of the tour and the nodes around it.
struct Cart<'a> {
    nodes: &'a [Member],
    key: String,
    /// Its homes.
    homes: Vec<&'a Member>,
    /// The home that is cut off; the others are near.
    far: &'a Member,
}

impl<'a> Cart<'a> {
    fn path(&self, query: &str) -> String {
        format!("/v1/kv/demo/{}{query}", self.key)
    }

    fn get(&self, from: &Member, query: &str) -> Request {
        Request::get(from.http, self.path(query))
    }

    fn put(&self, to: &Member, query: &str, text: &str) -> Request {
        Request::put(to.http, self.path(query), text)
    }

    /// Two homes on the side of the majority.
    fn near(&self) -> Result<[&'a Member; 2], Broken> {
        let mut near = self.homes.iter().copied().filter(|home| home.name != self.far.name);
        near.next().zip(near.next()).map(|(first, second)| [first, second]).ok_or(Broken)
    }

    fn others(&self) -> Vec<&'static str> {
        self.nodes.iter().map(|node| node.name).filter(|name| *name != self.far.name).collect()
    }
}

/// A key that nobody has written, its homes, and who will be cut off: its last home.
async fn choose<'a>(scene: &mut Scene, cluster: &'a Cluster) -> Result<Cart<'a>, Unmet> {
    let nodes = cluster.nodes();
    let first = nodes.first().ok_or_else(|| Unmet("a node".to_owned()))?;
    let key = fresh_key(first).await?;
    let path = format!("/v1/cluster/ring?bucket=demo&key={key}");
    let ring = scene.expect(&Request::get(first.http, path), 200).await?.json();
    let named = |name: &str| nodes.iter().find(|node| node.name == name);
    let listed = ring["homes"].as_array().into_iter().flatten();
    let homes: Vec<&Member> = listed.filter_map(|name| named(name.as_str()?)).collect();
    let [_, _, far] = homes[..] else { return unmet("three homes") };
    scene.note(format!("homes of demo/{key}: {}; {} will be cut off", names_of(&homes), far.name));
    Ok(Cart { nodes, key, homes, far })
}

/// A directory that is kept may hold the carts of earlier tours.
async fn fresh_key(node: &Member) -> Result<String, Unmet> {
    for number in 1..=u32::MAX {
        let key = if number == 1 { "cart".to_owned() } else { format!("cart-{number}") };
        let request = Request::get(node.http, format!("/v1/kv/demo/{key}?r=3"));
        let response = answer_to(&request).await?;
        match response.json()["code"].as_str() {
            Some("not_found") => return Ok(key),
            None if matches!(response.status, 200 | 300) => {}
            Some("deleted") => {}
            _ => return unmet(format!("whether there is {key}, but: {}", response.summary())),
        }
    }
    unmet("a key that nobody has written")
}

/// All is well: any node takes the write, any node has it.
async fn whole(cart: &Cart<'_>, stage: &mut Stage) -> Result<String, Broken> {
    let [first, rest @ ..] = cart.nodes else { return Err(Broken) };
    let title = format!("Put through {}", first.name);
    let put = cart.put(first, "", FIRST);
    stage.step(title, async |scene| scene.expect(&put, 204).await).await?;
    let names: Vec<_> = rest.iter().map(|node| node.name).collect();
    let title = format!("Get through {}", names.join(", "));
    let read = async |scene: &mut Scene| {
        let mut context = unmet("another node");
        for node in rest {
            let response = scene.expect_value(&cart.get(node, ""), FIRST).await?;
            context = context_of(&response);
        }
        context
    };
    stage.step(title, read).await
}

async fn cut(cart: &Cart<'_>, stage: &mut Stage) -> Result<(), Broken> {
    let others = cart.others();
    let title = format!("Cut {} off from {}", cart.far.name, others.join(", "));
    let cut = Request::post(
        cart.far.http,
        "/v1/admin/faults",
        &json!({ "cut": others, "one_way": false }),
    );
    stage.step(title, async |scene| expect_done(scene, &cut).await).await
}

/// The side of the majority: nothing stops there, not even while nobody knows of the cut.
async fn near(cart: &Cart<'_>, stage: &mut Stage, context: &str) -> Result<(), Broken> {
    let [one, two] = cart.near()?;
    let title = format!("Write with w=1 on the side of {}", one.name);
    let put = cart.put(one, "?w=1", NEAR).context(context);
    stage.step(title, async |scene| scene.expect(&put, 204).await).await?;
    let title = "r=2 and w=2 go on there: two of three homes are a quorum";
    let go_on = async |scene: &mut Scene| {
        let read = scene.expect_value(&cart.get(two, "?r=2"), NEAR).await?;
        let put = cart.put(two, "?w=2", NEAR_LAST).context(&context_of(&read)?);
        scene.expect(&put, 204).await?;
        scene.expect_value(&cart.get(one, "?r=2"), NEAR_LAST).await
    };
    stage.step(title, go_on).await.map(drop)
}

/// The side of one: it is honest about what it cannot promise, and takes what it can.
async fn far(cart: &Cart<'_>, stage: &mut Stage, context: &str) -> Result<(), Broken> {
    let far = cart.far;
    let title = "Both sides notice";
    let noticed = async |scene: &mut Scene| {
        await_liveness(scene, cart, &|judge, node| {
            (judge.name == far.name) == (node.name == far.name)
        })
        .await
    };
    stage.step(title, noticed).await?;
    let title = format!("{} alone refuses w=2, and says that nothing was written", far.name);
    let put = cart.put(far, "?w=2", FAR).context(context);
    let refuse = async |scene: &mut Scene| {
        let problem = scene.expect(&put, 503).await?.json();
        let honest = problem["code"] == "quorum_not_met" && problem["fate"] == "not_applied";
        if honest { Ok(()) } else { unmet("quorum_not_met with the fate not_applied") }
    };
    stage.step(title, refuse).await?;
    let title = format!("Write with w=1 on the side of {}", far.name);
    let put = cart.put(far, "?w=1", FAR).context(context);
    stage.step(title, async |scene| scene.expect(&put, 204).await).await.map(drop)
}

/// With a clock that runs since then.
async fn heal(cart: &Cart<'_>, stage: &mut Stage) -> Result<SystemClock, Broken> {
    let clock = SystemClock::start();
    let heal = Request::post(cart.far.http, "/v1/admin/faults", &json!({ "heal": true }));
    let healed = async |scene: &mut Scene| {
        expect_done(scene, &heal).await?;
        await_liveness(scene, cart, &|_, _| true).await
    };
    stage.step("Heal, and all nodes see each other again", healed).await.map(|()| clock)
}

async fn resolve(cart: &Cart<'_>, stage: &mut Stage) -> Result<(), Broken> {
    let [one, two] = cart.near()?;
    let get = cart.get(two, "?r=3");
    let siblings = async |scene: &mut Scene| {
        let response = scene.expect_soon(&get, 300).await?;
        let json = response.json();
        let values = json["siblings"].as_array().into_iter().flatten();
        let mut values: Vec<_> = values.filter_map(|sibling| sibling["value"].as_str()).collect();
        values.sort_unstable();
        if values == [FAR, NEAR_LAST] {
            context_of(&response)
        } else {
            unmet(format!("{FAR:?} and {NEAR_LAST:?}"))
        }
    };
    let title = "Neither write has seen the other: both are there";
    let context = stage.step(title, siblings).await?;
    let put = cart.put(one, "", RESOLVED).context(&context);
    let title = "Resolve them: put what is right, with the context that covers both";
    stage.step(title, async |scene| scene.expect(&put, 204).await).await?;
    let get = cart.get(cart.far, "?r=3");
    let title = format!("One value, also through {}", cart.far.name);
    stage.step(title, async |scene| scene.expect_value(&get, RESOLVED).await).await.map(drop)
}

/// Reads repair what they find behind; they go on until nothing is.
async fn converge(cart: &Cart<'_>, stage: &mut Stage) -> Result<(), Broken> {
    let path = format!("/v1/admin/replica/demo/{}", cart.key);
    let looks: Vec<Request> =
        cart.homes.iter().map(|home| Request::get(home.http, path.clone())).collect();
    let get = cart.get(cart.far, "?r=3");
    let converged = async |scene: &mut Scene| {
        for look in &looks {
            scene.show(look);
        }
        let look = async || {
            let mut digests = Vec::new();
            for look in &looks {
                digests.push(answer_to(look).await?.json()["digest"].as_str().map(str::to_owned));
            }
            digests.dedup();
            match digests.pop() {
                Some(Some(digest)) if digests.is_empty() => Ok(Some(digest)),
                _ => answer_to(&get).await.map(|_| None),
            }
        };
        let digest = scene.wait("three replicas with one digest", look).await?;
        scene.note(format!("digest {digest} on {}", names_of(&cart.homes)));
        Ok(())
    };
    stage.step("All three replicas are equal", converged).await
}

/// Waits until every node judges every other one as `up` says.
async fn await_liveness(
    scene: &mut Scene,
    cart: &Cart<'_>,
    up: &dyn Fn(&Member, &Member) -> bool,
) -> Result<(), Unmet> {
    let looks: Vec<Request> =
        cart.nodes.iter().map(|node| Request::get(node.http, "/v1/cluster")).collect();
    scene.show(&looks[0]);
    let look = async || {
        for (judge, look) in cart.nodes.iter().zip(&looks) {
            let report = answer_to(look).await?.json();
            let members = report["members"].as_array().into_iter().flatten();
            let mut others = cart.nodes.iter().filter(|node| node.name != judge.name);
            let members: Vec<_> = members.collect();
            let agreed = others.all(|node| {
                let liveness = if up(judge, node) { "up" } else { "down" };
                members.iter().any(|m| m["name"] == node.name && m["liveness"] == liveness)
            });
            if !agreed {
                return Ok(None);
            }
        }
        Ok(Some(()))
    };
    scene.wait("that all nodes judge alike", look).await?;
    scene.note(format!("the same on all {} nodes", cart.nodes.len()));
    Ok(())
}

async fn expect_done(scene: &mut Scene, request: &Request) -> Result<(), Unmet> {
    let status = scene.ask(request).await?.status;
    if (200..300).contains(&status) { Ok(()) } else { unmet("status 200 or 204") }
}

fn context_of(response: &Response) -> Result<String, Unmet> {
    response.context().map(str::to_owned).ok_or_else(|| Unmet("a context".to_owned()))
}

fn names_of(members: &[&Member]) -> String {
    members.iter().map(|member| member.name).collect::<Vec<_>>().join(", ")
}
