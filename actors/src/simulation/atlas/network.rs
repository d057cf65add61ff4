//! Faults of the network: cuts, and slow links.

use std::time::Duration;

use super::{
    super::{
        Fault, World,
        world::{NAMES, name},
    },
    Atlas, Relief,
};

impl Atlas {
    pub(super) fn slow_a_link(&mut self, world: &World) -> bool {
        if self.is_slow {
            return false;
        }
        let nodes = &NAMES[..self.options.nodes];
        let (Some(one), Some(other)) = (self.choose(nodes), self.choose(nodes)) else {
            return false;
        };
        if one == other {
            return false;
        }
        let by = Duration::from_millis(self.rng.u64(10..=1_000));
        let both = self.rng.bool();
        self.is_slow = true;
        self.tell_service(world);
        world.network.slow_down(&name(one), &name(other), by);
        if both {
            world.network.slow_down(&name(other), &name(one), by);
        }
        self.end_later(Relief::SpeedUp);
        let arrow = if both { "<->" } else { "->" };
        self.count(Fault::SlowLink, &[], format!("{one} {arrow} {other} by {} ms", by.as_millis()));
        true
    }

    pub(super) fn cut(&mut self, world: &World, fault: Fault) -> bool {
        if self.is_cut {
            return false;
        }
        let mut nodes = NAMES[..self.options.nodes].to_vec();
        self.rng.shuffle(&mut nodes);
        let count = nodes.len();
        let both = |one: &str, other: &str| world.network.cut(&name(one), &name(other));
        let split = |one: &[&str], other: &[&str]| {
            for a in one {
                for b in other {
                    both(a, b);
                }
            }
        };
        let mut parts = Vec::new();
        let note = match fault {
            Fault::OneWay => {
                world.network.cut_one_way(&name(nodes[0]), &name(nodes[1]));
                format!("{} -> {}", nodes[0], nodes[1])
            }
            Fault::Isolation => {
                for other in &nodes[1..] {
                    both(nodes[0], other);
                }
                parts = vec![nodes[..1].to_vec(), nodes[1..].to_vec()];
                nodes[0].to_owned()
            }
            Fault::Halves => {
                let (one, other) = nodes.split_at(self.rng.usize(1..count));
                split(one, other);
                parts = vec![one.to_vec(), other.to_vec()];
                format!("{} / {}", one.join(" "), other.join(" "))
            }
            Fault::Bridge => {
                let (one, other) = nodes[1..].split_at(count / 2);
                split(one, other);
                format!("{} / {} / {}", one.join(" "), nodes[0], other.join(" "))
            }
            _ => {
                // Each hears as many to its left and right as make a majority with itself.
                let reach = (count / 2).div_ceil(2);
                for (place, one) in nodes.iter().enumerate() {
                    for (further, other) in nodes.iter().enumerate().skip(place + 1) {
                        let distance = (further - place).min(count - (further - place));
                        if distance > reach {
                            both(one, other);
                        }
                    }
                }
                nodes.join(" ")
            }
        };
        self.is_cut = true;
        self.service.part(parts);
        self.tell_service(world);
        self.end_later(Relief::Heal);
        self.count(fault, &[], note);
        true
    }
}
