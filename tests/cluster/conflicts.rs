//! Two writers who do not know of each other.

use crate::processes::{Cluster, Plan, expect};

const PATH: &str = "/v1/kv/conflicts/key";

#[test]
fn blind_puts_are_siblings_until_a_put_or_a_delete_has_seen_them() {
    let cluster = Cluster::started(&Plan::default());
    let [a, b, c] = &cluster.nodes[..] else { panic!("three nodes") };
    expect(&a.put(PATH, "by a"), 204);
    expect(&b.put(PATH, "by b"), 204);

    let both = expect(&c.get(PATH), 300);
    assert_eq!(both.siblings(), ["by a", "by b"]);
    assert_eq!(both.json()["context"], both.context());

    expect(&c.put(PATH, "by all").context(both.context()), 204);
    let one = expect(&a.get(PATH), 200);
    assert_eq!(one.body, "by all");

    expect(&b.delete(PATH), 428);
    expect(&b.delete(PATH).context(one.context()), 204);
    let gone = expect(&c.get(PATH), 404);
    assert_eq!(gone.json()["code"], "deleted");
    assert!(!gone.context().is_empty());

    // A new life of the key, that has seen the end of the old one.
    expect(&a.put(PATH, "again").context(gone.context()), 204);
    assert_eq!(expect(&b.get(PATH), 200).body, "again");
}
