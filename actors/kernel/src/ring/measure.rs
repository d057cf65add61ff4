use super::*;
use crate::id::{ClusterId, NodeName};

fn node(i: usize) -> LayoutNode {
    LayoutNode {
        name: NodeName::new(&format!("n{i}")).unwrap(),
        zone: Zone::new("a").unwrap(),
        weight: Weight::ONE,
    }
}
fn layout(m: usize) -> Layout {
    Layout::first(ClusterId::of("c"), (0..m).map(node)).unwrap()
}

#[test]
fn figures() {
    for q in [64u32, 256, 1024] {
        let count = PartitionCount::new(q).unwrap();
        for m in [3usize, 4, 5, 8, 12, 20, 33, 60] {
            if 3 * m > 3 * q as usize {
                continue;
            }
            let start = std::time::Instant::now();
            let ring = Ring::first(count, &layout(m));
            let t = start.elapsed();
            let mut line = format!("Q={q} M={m} place {t:?} above mean:");
            for n in 1..=7u8 {
                if usize::from(n) > m {
                    continue;
                }
                let max = ring.nodes().iter().map(|x| ring.home_of(*x, n)).max().unwrap();
                let min = ring.nodes().iter().map(|x| ring.home_of(*x, n)).min().unwrap();
                let mean = q as f64 * f64::from(n) / m as f64;
                line += &format!(
                    " {n}:{:.1}%[{min},{max}/{mean:.1}]",
                    100.0 * (max as f64 / mean - 1.0)
                );
            }
            println!("{line}");
            let start = std::time::Instant::now();
            let joined = ring.next(&layout(m + 1));
            let t = start.elapsed();
            let left = joined.next(&layout(m));
            let mut line = format!("     join {t:?}");
            for n in [1u8, 2, 3, 5, 7] {
                if usize::from(n) > m {
                    continue;
                }
                let max = joined.nodes().iter().map(|x| joined.home_of(*x, n)).max().unwrap();
                let share = q as f64 * f64::from(n) / (m + 1) as f64;
                line += &format!(
                    " {n}: j{:.2} l{:.2} b{:.1}%",
                    moves(&ring, &joined, n).homes as f64 / share,
                    moves(&joined, &left, n).homes as f64 / share,
                    100.0 * (max as f64 / share - 1.0)
                );
            }
            println!("{line}");
        }
    }
}
