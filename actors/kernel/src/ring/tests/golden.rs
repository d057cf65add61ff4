//! The placement is a format: nodes of different builds must place alike. If a change here is
//! meant, `PLACEMENT_VERSION` goes up with it.

use super::*;

#[test]
fn placement_version_1_is_what_it_was() {
    let equal = Ring::first(partitions(64), &equal_nodes(3));
    let zoned = layout((0..12).map(|i| node(i.into(), i % 3, 1 + u32::from(i) % 2)));
    let zoned_ring = Ring::first(partitions(256), &zoned);
    let after_leave = zoned_ring.next(&zoned.without(&node(4, 0, 1).name).unwrap());
    let digests =
        [&equal, &grown(128, 9), &zoned_ring, &after_leave].map(|ring| ring.digest().to_string());
    assert_eq!(PLACEMENT_VERSION, 1);
    assert_eq!(
        digests,
        [
            "e0d2ae555a57c5fc3d43564ce9e43651",
            "91555ce1bccd73d30e520bafc25b6209",
            "90c70e73ed4d053fd453a2e50964e00b",
            "a826890afd61511c634e2fd01932222c"
        ]
    );
}
