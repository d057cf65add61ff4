//! Who counts.

use henge_kernel::coordination::quorum::{Quorum, QuorumSize};

use crate::support::node;

fn quorum(needed: u8, primary: u8) -> Quorum {
    Quorum::new(QuorumSize { needed, primary })
}

#[test]
fn a_node_counts_once() {
    let mut quorum = quorum(2, 0);
    quorum.count_home(node(0));
    quorum.count_home(node(0));
    quorum.count_fallback(node(0));
    assert_eq!((quorum.got(), quorum.fallbacks(), quorum.is_met()), (1, 0, false));
    quorum.count_home(node(1));
    assert!(quorum.is_met());
}

#[test]
fn a_fallback_ack_counts_towards_w_but_not_towards_pw() {
    let mut quorum = quorum(2, 2);
    quorum.count_home(node(0));
    quorum.count_fallback(node(8));
    assert_eq!((quorum.got(), quorum.fallbacks(), quorum.is_met()), (2, 1, false));
    assert!(!quorum.can_be_met(0, 5), "no number of fallbacks makes a primary");
    assert!(quorum.can_be_met(1, 0));
    quorum.count_home(node(1));
    assert!(quorum.is_met());
}

#[test]
fn what_can_still_come_decides_whether_a_quorum_can_be_met() {
    let mut quorum = quorum(3, 1);
    assert!(!quorum.can_be_met(2, 0) && !quorum.can_be_met(0, 3));
    assert!(quorum.can_be_met(3, 0) && quorum.can_be_met(1, 2));
    quorum.count_home(node(0));
    assert!(quorum.can_be_met(0, 2));
}
