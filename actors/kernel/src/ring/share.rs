//! How much each node should carry: whole partitions for owners, bands of load for homes. Integers
//! only, so that every machine computes the same.

use core::cmp::Reverse;

use super::assignment::Band;

/// What the placement needs to know of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// A number for its zone.
    pub zone: usize,
    /// 0 for a node that owns nothing.
    pub weight: u64,
}

/// How many partitions each member owns: its weighted share, rounded down or up, such that as few
/// partitions as possible change hands. A zone has an owner whenever rounding can give it one.
/// Ties go to the member that comes first.
pub(super) fn quotas(members: &[Member], partitions: usize, before: &[usize]) -> Vec<usize> {
    let mut rounding = Rounding::new(members, partitions, before);
    rounding.give_each_zone_an_owner();
    while rounding.total() > partitions && rounding.lower_one() {}
    while rounding.total() < partitions && rounding.raise_one() {}
    rounding.quotas
}

struct Rounding<'a> {
    members: &'a [Member],
    before: &'a [usize],
    /// The weighted shares rounded down, and what that leaves (in 1 / sum of the weights).
    floors: Vec<usize>,
    remainders: Vec<u64>,
    quotas: Vec<usize>,
}

impl<'a> Rounding<'a> {
    /// Starts from what is nearest to `before`.
    fn new(members: &'a [Member], partitions: usize, before: &'a [usize]) -> Self {
        let total: u64 = members.iter().map(|member| member.weight).sum();
        let shares = members.iter().map(|member| member.weight * partitions as u64);
        let floor = |share: u64| usize::try_from(share / total).unwrap_or(partitions);
        let mut rounding = Self {
            members,
            before,
            floors: shares.clone().map(floor).collect(),
            remainders: shares.map(|share| share % total).collect(),
            quotas: Vec::new(),
        };
        let nearest = |i: usize| before[i].clamp(rounding.floors[i], rounding.ceil(i));
        rounding.quotas = (0..members.len()).map(nearest).collect();
        rounding
    }

    fn ceil(&self, i: usize) -> usize {
        self.floors[i] + usize::from(self.remainders[i] > 0)
    }

    fn total(&self) -> usize {
        self.quotas.iter().sum()
    }

    fn owned_in(&self, zone: usize) -> usize {
        let of_zone = self.members.iter().zip(&self.quotas).filter(|(m, _)| m.zone == zone);
        of_zone.map(|(_, quota)| quota).sum()
    }

    fn give_each_zone_an_owner(&mut self) {
        let mut heaviest: Vec<usize> = (0..self.members.len()).collect();
        heaviest.sort_by_key(|i| Reverse(self.members[*i].weight));
        for i in heaviest {
            if self.owned_in(self.members[i].zone) == 0 {
                self.quotas[i] = 1;
            }
        }
    }

    /// Takes one partition from whom it costs least; false if all are rounded down already.
    fn lower_one(&mut self) -> bool {
        let high = (0..self.quotas.len()).filter(|&i| self.quotas[i] > self.floors[i]);
        let least = high.min_by_key(|&i| {
            let last_of_zone = self.owned_in(self.members[i].zone) == 1;
            let loses_one = self.quotas[i] <= self.before[i];
            (last_of_zone, loses_one, self.remainders[i])
        });
        least.inspect(|&i| self.quotas[i] -= 1).is_some()
    }

    /// Gives one partition to whom rounding down robs most; false if all are rounded up already.
    fn raise_one(&mut self) -> bool {
        let low = (0..self.quotas.len()).filter(|&i| self.quotas[i] < self.ceil(i));
        let first = low.min_by_key(|&i| Reverse(self.remainders[i]));
        first.inspect(|&i| self.quotas[i] += 1).is_some()
    }
}

/// Loads are computed in these parts of a partition.
const UNIT: u64 = 1 << 32;
/// Loads that differ by less are equal.
const TOLERANCE: u64 = UNIT >> 10;

/// How often the next place of the lists should name each member, so that all places up to it
/// load the members by weight, as far as this can be: `held[i]` of the lists name member `i`
/// already, no list names a member twice and, `apart`, none names a zone twice.
pub(super) fn bands(members: &[Member], lists: usize, held: &[usize], apart: bool) -> Vec<Band> {
    let water = Water { members, held, most: lists as u64 * UNIT };
    let all: Vec<usize> = (0..members.len()).collect();
    let zones: Vec<Vec<usize>> = if apart {
        let of_zone = |zone| all.iter().copied().filter(|i| members[*i].zone == zone).collect();
        (0..members.len()).map(of_zone).collect()
    } else {
        vec![all]
    };
    let wanted = (held.iter().sum::<usize>() + lists) as u64 * UNIT;
    let zone_most = if apart { water.most } else { wanted };
    let level = rise(water.most, |level| {
        zones.iter().map(|zone| water.load_of(zone, level).min(zone_most)).sum::<u64>() >= wanted
    });
    let mut bands = vec![Band::exactly(0); members.len()];
    for zone in &zones {
        let level = rise(level, |level| water.load_of(zone, level) >= zone_most);
        for &i in zone {
            bands[i] = water.band(i, level);
        }
    }
    bands
}

/// The least level that is `enough`; `most` if no lower one is.
fn rise(most: u64, enough: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low.midpoint(high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Loads by weight between bounds, as water finds its level: a load is weight * level, but at
/// least what is held, and at most `most`.
struct Water<'a> {
    members: &'a [Member],
    held: &'a [usize],
    most: u64,
}

impl Water<'_> {
    fn load(&self, i: usize, level: u64) -> u64 {
        (self.members[i].weight * level).clamp(self.held[i] as u64 * UNIT, self.most)
    }

    fn load_of(&self, some: &[usize], level: u64) -> u64 {
        some.iter().map(|i| self.load(*i, level)).sum()
    }

    /// The load of `i` beyond what it holds, rounded down and up.
    fn band(&self, i: usize, level: u64) -> Band {
        let load = self.load(i, level);
        let beyond = |parts: u64| {
            usize::try_from(parts / UNIT).unwrap_or(usize::MAX).saturating_sub(self.held[i])
        };
        Band {
            low: beyond(load + TOLERANCE),
            high: beyond(load.saturating_sub(TOLERANCE) + UNIT - 1),
        }
    }
}
