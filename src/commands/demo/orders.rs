//! Many records at once: hints that pile up while a node is cut off, and drain when it is back.

use std::fmt::Write as _;

use henge_actors::{
    environment::{Clock as _, SystemClock},
    reports::HintsReport,
};
use henge_kernel::time::Instant;
use serde_json::json;

use super::{
    client::Request,
    cluster::Member,
    stage::{Broken, Scene, Stage, Unmet, answer_to, unmet},
};

/// Orders that each side takes.
const EACH: usize = 100;
/// With two homes there is a node to stand in, also where there are three in all.
const HOMES: u8 = 2;

/// Orders of customers on either side of a cut.
pub struct Orders<'a> {
    nodes: &'a [Member],
    /// A node that is not cut off, and the one that is.
    sides: [&'a Member; 2],
    /// What their names begin with, so that no earlier tour has written them.
    name: String,
}

impl<'a> Orders<'a> {
    pub fn new(nodes: &'a [Member], sides: [&'a Member; 2], name: &str) -> Self {
        Self { nodes, sides, name: name.to_owned() }
    }

    fn name_of(&self, side: &Member, number: usize) -> String {
        format!("{}-{}-{number}", self.name, side.name)
    }

    /// Every node must know of a bucket, and that all others do, before it takes anything: one that
    /// is cut off before it has heard so takes nothing.
    pub async fn make_bucket(&self, stage: &mut Stage) -> Result<(), Broken> {
        let [near, _] = self.sides;
        let properties = json!({ "n": HOMES });
        let make = Request::put_json(near.http, "/v1/buckets/orders", &properties);
        let title = format!("A bucket of orders, each with {HOMES} homes");
        let make = async |scene: &mut Scene| {
            scene.expect(&make, 200).await?;
            for node in self.nodes {
                let look = Request::get(node.http, "/v1/buckets");
                let is_there = async || {
                    let told = answer_to(&look).await?.json();
                    let mut buckets = told["buckets"].as_array().into_iter().flatten();
                    let orders = buckets.find(|bucket| bucket["bucket"] == "orders");
                    Ok(orders.filter(|orders| orders["established"] == true).map(drop))
                };
                scene.wait("the bucket on all nodes", is_there).await?;
            }
            Ok(())
        };
        stage.step(title, make).await
    }

    /// Both sides take orders; for homes that they do not reach others keep them.
    pub async fn take(&self, stage: &mut Stage) -> Result<(), Broken> {
        let [near, far] = self.sides;
        let title = format!(
            "{EACH} orders through {}, {EACH} through {}: others stand in for homes out of reach",
            near.name, far.name
        );
        let take = async |scene: &mut Scene| {
            for side in self.sides {
                for number in 0..EACH {
                    let path = format!("/v1/kv/orders/{}?w=1", self.name_of(side, number));
                    let put = Request::put(side.http, path, "a book");
                    // The first is told, the others are alike.
                    let status = match number {
                        0 => scene.ask(&put).await?.status,
                        _ => answer_to(&put).await?.status,
                    };
                    if status != 204 {
                        return unmet(format!("status 204, but: {status}"));
                    }
                }
            }
            let kept = self.kept(scene).await?;
            scene.note(kept.text());
            if kept.count() > 0 { Ok(()) } else { unmet("hints for the homes out of reach") }
        };
        stage.step(title, take).await
    }

    /// They drain by themselves; measured from the heal on.
    pub async fn drain(&self, stage: &mut Stage, healed: &SystemClock) -> Result<(), Broken> {
        let drain = async |scene: &mut Scene| {
            let mut least = self.kept(scene).await?;
            scene.note(format!("{} after the heal: {}", since(healed), least.text()));
            while least.count() > 0 {
                least = scene.wait("fewer hints", async || fewer(self.nodes, &least).await).await?;
            }
            scene.note(format!("{} after the heal: none is left", since(healed)));
            Ok(())
        };
        stage.step("What was kept for others comes home", drain).await?;
        let equal = async |scene: &mut Scene| {
            scene.show(&replica(self.sides[0], &self.name_of(self.sides[1], 0)));
            for side in self.sides {
                for number in 0..EACH {
                    let name = self.name_of(side, number);
                    scene.wait("equal replicas", async || self.is_equal(&name).await).await?;
                }
            }
            let (all, after) = (2 * EACH, since(healed));
            scene.note(format!("all {all} orders, on both homes of each: {after} after the heal"));
            Ok(())
        };
        stage.step("All replicas of all orders are equal", equal).await
    }

    async fn kept(&self, scene: &mut Scene) -> Result<Kept, Unmet> {
        scene.show(&Request::get(self.sides[0].http, HINTS));
        kept(self.nodes).await
    }

    async fn is_equal(&self, name: &str) -> Result<Option<()>, Unmet> {
        let mut homes = Vec::new();
        for node in self.nodes {
            let report = answer_to(&replica(node, name)).await?.json();
            if report["home"] == true {
                homes.push(report["digest"].clone());
            }
        }
        let all =
            homes.len() == usize::from(HOMES) && homes.iter().all(serde_json::Value::is_string);
        Ok((all && homes.windows(2).all(|pair| pair[0] == pair[1])).then_some(()))
    }
}

fn replica(node: &Member, name: &str) -> Request {
    Request::get(node.http, format!("/v1/admin/replica/orders/{name}"))
}

const HINTS: &str = "/v1/admin/hints";

/// Who keeps how many records for whom.
struct Kept(Vec<HintsReport>);

impl Kept {
    fn count(&self) -> u64 {
        self.0.iter().flat_map(|report| &report.homes).map(|home| home.count).sum()
    }

    fn text(&self) -> String {
        let mut text = format!("{} hints", self.count());
        for HintsReport { node, homes, .. } in &self.0 {
            for home in homes {
                // Writing into a string cannot fail.
                let _ = write!(text, " · {node} keeps {} for {}", home.count, home.home);
            }
        }
        text
    }
}

async fn kept(nodes: &[Member]) -> Result<Kept, Unmet> {
    let mut reports = Vec::new();
    for node in nodes {
        let answer = answer_to(&Request::get(node.http, HINTS)).await?;
        let report = serde_json::from_str(&answer.body);
        reports.push(report.map_err(|error| Unmet(format!("a report of hints, but: {error}")))?);
    }
    Ok(Kept(reports))
}

async fn fewer(nodes: &[Member], than: &Kept) -> Result<Option<Kept>, Unmet> {
    let now = kept(nodes).await?;
    Ok((now.count() < than.count()).then_some(now))
}

fn since(start: &SystemClock) -> String {
    format!("{} ms", start.now().since(Instant::default()).as_millis())
}
