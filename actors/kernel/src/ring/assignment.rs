//! Assigns items to bins at least cost: successive shortest paths over the bins, with a convex
//! price for a bin's load (Ahuja, Magnanti, Orlin, *Network Flows*, chapters 9 and 14).
//!
//! For the ring, items are partitions and bins are nodes, but nothing here knows that.

/// The cost of an item in a bin where it must not be.
pub(super) const FORBIDDEN: u8 = u8::MAX;

/// The price of one more load above `low`, in the unit of the items' costs: a bin below its band
/// is worth moving four items.
const ABOVE_LOW: i32 = 4;
/// The price of the first load above `high`; the next one costs twice that, and so on.
const ABOVE_HIGH: i32 = 16;
/// More than any path costs, and far from overflow.
const UNREACHABLE: i32 = i32::MAX / 4;

/// The load that a bin should have: at least `low`, at most `high` items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Band {
    pub low: usize,
    pub high: usize,
}

impl Band {
    /// Exactly `load` items.
    pub fn exactly(load: usize) -> Self {
        Self { low: load, high: load }
    }

    /// The price of one more item in a bin that holds `load`; it never falls as the load grows.
    fn price(self, load: usize) -> i32 {
        if load < self.low {
            return 0;
        }
        if load < self.high {
            return ABOVE_LOW;
        }
        let excess = i32::try_from(load - self.high + 1).unwrap_or(i32::MAX);
        ABOVE_HIGH.saturating_mul(excess).min(UNREACHABLE / 2)
    }
}

/// Which items go into which bins.
pub(super) struct Problem<'a> {
    /// One for each bin.
    pub bands: &'a [Band],
    /// The cost of each item in each bin, one row an item. Each row has a bin which is allowed.
    pub costs: &'a [u8],
    /// The bins of each item, best liked first: decides between equals.
    pub liking: &'a [Vec<usize>],
    /// All items; the earlier one chooses first among equals.
    pub order: &'a [usize],
}

impl Problem<'_> {
    /// The bin of each item, such that the sum of all costs and prices is the least possible.
    pub fn solve(&self) -> Vec<usize> {
        let mut solver = Solver::new(self);
        let late: Vec<usize> = self.order.iter().copied().filter(|i| !solver.settle(*i)).collect();
        if !late.is_empty() {
            for bin in 0..self.bands.len() {
                solver.find_detours(bin);
            }
        }
        for item in late {
            solver.augment(item);
        }
        solver.bin_of
    }

    fn cost(&self, item: usize, bin: usize) -> i32 {
        match self.costs[item * self.bands.len() + bin] {
            FORBIDDEN => UNREACHABLE,
            cost => i32::from(cost),
        }
    }
}

/// The item of a bin that can go to another bin for the least additional cost.
#[derive(Clone, Copy)]
struct Detour {
    cost: i32,
    item: usize,
}

impl Detour {
    const NONE: Self = Self { cost: UNREACHABLE, item: 0 };
}

/// What is placed so far, always at least cost.
struct Solver<'a> {
    problem: &'a Problem<'a>,
    bin_of: Vec<usize>,
    held: Vec<Vec<usize>>,
    /// From each bin (a row) to each bin.
    detours: Vec<Vec<Detour>>,
}

impl<'a> Solver<'a> {
    fn new(problem: &'a Problem<'a>) -> Self {
        let bins = problem.bands.len();
        Self {
            problem,
            bin_of: vec![0; problem.order.len()],
            held: vec![Vec::new(); bins],
            detours: vec![vec![Detour::NONE; bins]; bins],
        }
    }

    /// Places `item` if that costs nothing at all, which nothing can undercut.
    fn settle(&mut self, item: usize) -> bool {
        let free = self.problem.liking[item]
            .iter()
            .copied()
            .find(|&bin| self.problem.cost(item, bin) == 0 && self.price(bin) == 0);
        if let Some(bin) = free {
            self.put(item, bin);
        }
        free.is_some()
    }

    /// The price of one more item in `bin`.
    fn price(&self, bin: usize) -> i32 {
        self.problem.bands[bin].price(self.held[bin].len())
    }

    fn put(&mut self, item: usize, bin: usize) {
        self.held[bin].push(item);
        self.bin_of[item] = bin;
    }

    /// Places `item` along the cheapest path: into a bin, an item of which makes way and goes into
    /// the next bin, and so on.
    fn augment(&mut self, item: usize) {
        let (costs, before) = self.paths_from(item);
        let ends = self.problem.liking[item].iter().copied();
        let mut end = ends.min_by_key(|&bin| costs[bin] + self.price(bin));
        let mut touched = Vec::new();
        while let Some(bin) = end {
            touched.push(bin);
            end = before[bin];
            match end {
                Some(from) => self.shift(self.detours[from][bin].item, from, bin),
                None => self.put(item, bin),
            }
        }
        for bin in touched {
            self.find_detours(bin);
        }
    }

    fn shift(&mut self, item: usize, from: usize, to: usize) {
        self.held[from].retain(|held| *held != item);
        self.put(item, to);
    }

    /// Bellman and Ford: what it costs to reach each bin with `item`, and the bin before it. It
    /// ends, because what is placed at least cost has no circle of negative cost.
    fn paths_from(&self, item: usize) -> (Vec<i32>, Vec<Option<usize>>) {
        let bins = self.held.len();
        let mut costs: Vec<i32> = (0..bins).map(|bin| self.problem.cost(item, bin)).collect();
        let mut before = vec![None; bins];
        let mut changed = vec![true; bins];
        while let Some(from) = changed.iter().position(|changed| *changed) {
            changed[from] = false;
            for (to, detour) in self.detours[from].iter().enumerate() {
                let cost = costs[from] + detour.cost;
                if cost < costs[to] {
                    (costs[to], before[to], changed[to]) = (cost, Some(from), true);
                }
            }
        }
        (costs, before)
    }

    fn find_detours(&mut self, bin: usize) {
        let row = &mut self.detours[bin];
        row.fill(Detour::NONE);
        for &item in &self.held[bin] {
            let here = self.problem.cost(item, bin);
            for (to, detour) in row.iter_mut().enumerate() {
                let cost = self.problem.cost(item, to) - here;
                if to != bin && cost < detour.cost {
                    *detour = Detour { cost, item };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn total(problem: &Problem, bin_of: &[usize]) -> i32 {
        let costs: i32 =
            bin_of.iter().enumerate().map(|(item, bin)| problem.cost(item, *bin)).sum();
        let prices = problem.bands.iter().enumerate().flat_map(|(bin, band)| {
            let load = bin_of.iter().filter(|other| **other == bin).count();
            (0..load).map(|load| band.price(load))
        });
        costs.saturating_add(prices.sum())
    }

    /// The least total over all assignments there are.
    fn least(problem: &Problem) -> i32 {
        let (items, bins) = (problem.order.len(), problem.bands.len());
        let assignments = 0..bins.pow(u32::try_from(items).unwrap());
        let bin_of =
            |number: usize, item: usize| number / bins.pow(u32::try_from(item).unwrap()) % bins;
        let allowed = assignments.map(|number| (0..items).map(|i| bin_of(number, i)).collect());
        let allowed = allowed.filter(|bin_of: &Vec<usize>| {
            bin_of.iter().enumerate().all(|(item, bin)| problem.cost(item, *bin) < UNREACHABLE)
        });
        allowed.map(|bin_of| total(problem, &bin_of)).min().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn no_assignment_costs_less(
            items in 1..=6usize,
            bounds in prop::collection::vec((0..=3usize, 0..=2usize), 1..=4),
            draws in prop::collection::vec(prop_oneof![0..=2u8, Just(FORBIDDEN)], 24),
            shift in 0..4usize,
        ) {
            let bins = bounds.len();
            let bands: Vec<Band> =
                bounds.iter().map(|(low, more)| Band { low: *low, high: low + more }).collect();
            let mut costs = draws[..items * bins].to_vec();
            // Some bin must be allowed.
            (0..items).for_each(|item| costs[item * bins + item % bins] %= FORBIDDEN);
            let liking: Vec<Vec<usize>> = (0..items)
                .map(|item| (0..bins).map(|bin| (bin + item + shift) % bins).collect())
                .collect();
            let order: Vec<usize> = (0..items).rev().collect();
            let problem = Problem { bands: &bands, costs: &costs, liking: &liking, order: &order };
            prop_assert_eq!(total(&problem, &problem.solve()), least(&problem));
        }
    }
}
