//! The faults, whatever makes them: which node cannot send to which, or what its process does.

use std::time::Duration;

use crate::scenario::{Fault, length};

/// Ordered pairs of nodes, by number: nothing that the first sends to the second arrives.
pub type Cuts = Vec<(usize, usize)>;

/// Nodes that only see their own side; who is on both sides sees all.
pub fn sides(sides: &[&[usize]]) -> Cuts {
    cuts(|from, to| !sides.iter().any(|side| side.contains(&from) && side.contains(&to)))
}

/// What `from` send never arrives at `to`; the other way it does.
pub fn one_way(from: &[usize], to: &[usize]) -> Cuts {
    cuts(|one, other| from.contains(&one) && to.contains(&other))
}

/// Every node sees its two neighbours: a majority, and each another one.
pub fn majority_ring() -> Cuts {
    cuts(|from, to| !matches!((5 + to - from) % 5, 1 | 4))
}

fn cuts(is_cut: impl Fn(usize, usize) -> bool) -> Cuts {
    let pairs = (0..5).flat_map(|from| (0..5).map(move |to| (from, to)));
    pairs.filter(|(from, to)| from != to && is_cut(*from, *to)).collect()
}

/// A process that stands still for 10 s, longer than connections live without a word.
pub fn stopped() -> Fault {
    Fault {
        name: "SIGSTOP",
        strike: Box::new(|cluster| cluster.nodes[2].signal("STOP")),
        mend: Box::new(|cluster| cluster.nodes[2].signal("CONT")),
        length: length().max(Duration::from_secs(10)),
        leaves_hints: false,
    }
}

/// A process that is killed and started again.
pub fn killed() -> Fault {
    Fault {
        name: "kill -9",
        strike: Box::new(|cluster| cluster.nodes[2].kill()),
        mend: Box::new(|cluster| {
            cluster.nodes[2].start();
            cluster.nodes[2].wait_ready();
        }),
        length: length(),
        leaves_hints: false,
    }
}
