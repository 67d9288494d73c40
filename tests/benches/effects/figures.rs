//! From the times of blocks to figures: medians, and ratios of what was measured next to each other.

use serde::Serialize;

use crate::state::State;

/// Nanoseconds per operation in each state, measured in one pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pass {
    by_state: [f64; State::ALL.len()],
}

impl Pass {
    pub(crate) fn set(&mut self, state: State, nanoseconds: f64) {
        self.by_state[state as usize] = nanoseconds;
    }

    fn get(&self, state: State) -> f64 {
        self.by_state[state as usize]
    }
}

/// A distribution.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) p5: f64,
    pub(crate) p95: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let position = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
            sorted.get(position).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(0.5), p5: at(0.05), p95: at(0.95) }
    }
}

/// What was measured of one operation in one place.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) operation: &'static str,
    /// `run` or `bystander`.
    pub(crate) place: &'static str,
    /// Operations in a block.
    pub(crate) operations_per_block: u64,
    /// How many passes the distributions are of.
    pub(crate) passes: usize,
    pub(crate) off_ns: Spread,
    pub(crate) empty_ns: Spread,
    pub(crate) floor_ns: Spread,
    pub(crate) on_ns: Spread,
    pub(crate) observed_ns: Spread,
    /// Difference of one pass.
    pub(crate) empty_added_ns: Spread,
    pub(crate) floor_added_ns: Spread,
    pub(crate) on_added_ns: Spread,
    /// Ratio of one pass.
    pub(crate) floor_to_off: Spread,
    pub(crate) on_to_off: Spread,
    pub(crate) observed_to_off: Spread,
    pub(crate) on_to_empty: Spread,
    pub(crate) on_to_floor: Spread,
    /// Two neighbouring passes without probes: what the machine's own unrest makes.
    pub(crate) off_to_off: Spread,
}

impl Figure {
    pub(crate) fn of(
        operation: &'static str,
        place: &'static str,
        operations_per_block: u64,
        passes: &[Pass],
    ) -> Self {
        let of = |value: &dyn Fn(&Pass) -> f64| Spread::of(passes.iter().map(value));
        let ns = |state| of(&move |pass| pass.get(state));
        let ratio = |one, other| of(&move |pass| pass.get(one) / pass.get(other));
        let added = |state| of(&move |pass| pass.get(state) - pass.get(State::Off));
        let neighbours =
            passes.chunks_exact(2).map(|pair| pair[1].get(State::Off) / pair[0].get(State::Off));
        Self {
            operation,
            place,
            operations_per_block,
            passes: passes.len(),
            off_ns: ns(State::Off),
            empty_ns: ns(State::Empty),
            floor_ns: ns(State::Floor),
            on_ns: ns(State::On),
            observed_ns: ns(State::Observed),
            empty_added_ns: added(State::Empty),
            floor_added_ns: added(State::Floor),
            on_added_ns: added(State::On),
            floor_to_off: ratio(State::Floor, State::Off),
            on_to_off: ratio(State::On, State::Off),
            observed_to_off: ratio(State::Observed, State::Off),
            on_to_empty: ratio(State::On, State::Empty),
            on_to_floor: ratio(State::On, State::Floor),
            off_to_off: Spread::of(neighbours),
        }
    }
}
