//! What is a layout and what is not.

use super::*;

#[test]
fn a_layout_needs_nodes_of_different_names() {
    let cluster = ClusterId::of("test");
    assert_eq!(Layout::first(cluster, []), Err(LayoutError::Empty));
    let name = node(1, 0, 1).name;
    let twice = Layout::first(cluster, [node(1, 0, 1), node(1, 1, 2)]);
    assert_eq!(twice, Err(LayoutError::DuplicateName { name: name.clone() }));
    let one = layout([node(1, 0, 1)]);
    assert_eq!(one.with(node(1, 0, 1)), Err(LayoutError::DuplicateName { name: name.clone() }));
    assert_eq!(one.without(&name), Err(LayoutError::Empty));
    let name = node(2, 0, 1).name;
    assert_eq!(one.without(&name), Err(LayoutError::UnknownNode { name: name.clone() }));
    assert_eq!(one.with_changed(node(2, 0, 1)), Err(LayoutError::UnknownNode { name }));
}

#[test]
fn a_layout_has_at_most_128_nodes() {
    let full = equal_nodes(NODES_MAX);
    assert_eq!(full.node_count(), 128);
    let full = full.with(node(NODES_MAX, 0, 1));
    assert_eq!(full, Err(LayoutError::TooManyNodes { max: 128 }));
}

#[test]
fn each_change_makes_the_next_version() {
    let one = layout([node(1, 0, 1)]);
    let two = one.with(node(2, 1, 3)).unwrap();
    let three = two.with_changed(node(2, 2, 4)).unwrap();
    let four = three.without(&node(1, 0, 1).name).unwrap();
    assert_eq!([&one, &two, &three, &four].map(Layout::version), [1, 2, 3, 4]);
    let left: Vec<&LayoutNode> = four.nodes().map(|(_, node)| node).collect();
    assert_eq!(left, [&node(2, 2, 4)]);
}

#[test]
fn weights_and_zones_keep_their_limits() {
    assert_eq!(Weight::new(0), Err(InvalidWeight { weight: 0 }));
    assert_eq!(Weight::new(1_001), Err(InvalidWeight { weight: 1_001 }));
    assert_eq!(Weight::new(1_000).unwrap().get(), 1_000);
    for zone in ["", "Rack", "a b", "rack_1", "zürich", &"z".repeat(33)] {
        assert_eq!(Zone::new(zone), Err(InvalidZone { zone: zone.to_owned() }));
    }
    for zone in ["a", "eu-west-1a", &"z".repeat(32)] {
        assert_eq!(Zone::new(zone).unwrap().as_str(), zone);
    }
}

#[test]
fn equal_layouts_have_equal_bytes_and_different_ones_do_not() {
    let bytes = |layout: &Layout| {
        let mut bytes = Vec::new();
        layout.encode(&mut bytes);
        bytes
    };
    let one = layout([node(1, 0, 1), node(2, 0, 1)]);
    assert_eq!(bytes(&one), bytes(&layout([node(2, 0, 1), node(1, 0, 1)])));
    let others = [
        one.next(one.nodes().map(|(_, node)| node.clone())).unwrap(),
        layout([node(1, 0, 1), node(2, 0, 2)]),
        layout([node(1, 0, 1), node(2, 1, 1)]),
        layout([node(1, 0, 1), node(3, 0, 1)]),
        layout([node(1, 0, 1)]),
        Layout::first(ClusterId::of("other"), [node(1, 0, 1), node(2, 0, 1)]).unwrap(),
    ];
    for other in &others {
        assert_ne!(bytes(&one), bytes(other));
    }
}
