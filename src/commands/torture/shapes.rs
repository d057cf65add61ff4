//! Which links are cut.

use crate::cli::Harm;

/// Ordered pairs of nodes: nothing that the first sends to the second arrives.
pub type Links = Vec<(usize, usize)>;

/// The links that `kind` cuts among `nodes`, whose order decides who is where.
pub fn cut_by(kind: Harm, nodes: &[usize], rng: &mut fastrand::Rng) -> Links {
    let count = nodes.len();
    // Of each node, by its place, whether it hears another.
    let split = rng.usize(1..count);
    let half = count / 2;
    let hears = |to: usize, from: usize| match kind {
        Harm::Kill | Harm::Pause => true,
        Harm::Cut => to != 0 && from != 0,
        Harm::OneWay => to < split || from >= split,
        Harm::Halves => (to < half) == (from < half),
        Harm::Bridge => to == 0 || from == 0 || (to <= half) == (from <= half),
        // As many to each side as make a majority with it.
        Harm::Ring => {
            let apart = to.abs_diff(from);
            apart.min(count - apart) <= half.div_ceil(2)
        }
    };
    let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
    let cut = pairs.filter(|(from, to)| from != to && !hears(*to, *from));
    cut.map(|(from, to)| (nodes[from], nodes[to])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn links(kind: Harm, count: usize) -> BTreeSet<(usize, usize)> {
        let nodes: Vec<usize> = (0..count).collect();
        cut_by(kind, &nodes, &mut fastrand::Rng::with_seed(1)).into_iter().collect()
    }

    fn both_ways(kind: Harm, count: usize) -> bool {
        let cut = links(kind, count);
        cut.iter().all(|(from, to)| cut.contains(&(*to, *from)))
    }

    #[test]
    fn each_shape_cuts_what_its_name_says() {
        assert_eq!(links(Harm::Cut, 3), [(0, 1), (0, 2), (1, 0), (2, 0)].into());
        assert_eq!(links(Harm::Halves, 5).len(), 2 * 2 * 3);
        assert_eq!(
            links(Harm::Bridge, 5),
            [(1, 3), (1, 4), (2, 3), (2, 4), (3, 1), (3, 2), (4, 1), (4, 2)].into()
        );
        // Every node of five hears two others.
        let ring = links(Harm::Ring, 5);
        for node in 0..5 {
            assert_eq!(ring.iter().filter(|(_, to)| *to == node).count(), 2, "{ring:?}");
        }
        for kind in [Harm::Cut, Harm::Halves, Harm::Bridge, Harm::Ring] {
            assert!((4..=9).all(|count| !links(kind, count).is_empty() && both_ways(kind, count)));
        }
        assert!(
            links(Harm::OneWay, 5)
                .iter()
                .all(|(from, to)| !links(Harm::OneWay, 5).contains(&(*to, *from)))
        );
        assert!(!links(Harm::OneWay, 3).is_empty());
    }

    #[test]
    fn no_ring_of_three_is_cut() {
        assert!(links(Harm::Ring, 3).is_empty());
    }
}
