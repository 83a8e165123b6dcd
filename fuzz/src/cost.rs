//! What a function may cost: bytes and allocations by a counting allocator, and steps of the
//! processor where the code is instrumented.
//!
//! Panics are not what an attacker needs: a small input that takes a large amount of memory
//! or time stops a server as well. So each call of a fuzz target stands within a [`Bound`], a
//! function of the size of its input. No time is measured here, so a busy machine fails no
//! bound.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// `base + per_byte × bytes of the input`.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    base: u64,
    per_byte: u64,
}

impl Line {
    /// A bound that begins with `base` and grows by `per_byte` for each byte of the input.
    #[must_use]
    pub const fn new(base: u64, per_byte: u64) -> Self {
        Self { base, per_byte }
    }

    fn at(self, input_bytes: usize) -> u64 {
        let bytes = u64::try_from(input_bytes).unwrap_or(u64::MAX);
        self.per_byte
            .saturating_mul(bytes)
            .saturating_add(self.base)
    }
}

/// The most that a call may cost.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// What is called, for messages.
    pub what: &'static str,
    /// The bytes that are allocated at the same time, the result included. While a list
    /// grows, its old and its new memory both count.
    pub peak_bytes: Line,
    /// How often memory is allocated.
    pub allocations: Line,
    /// The edges between basic blocks of pullpass's own code. Nothing is counted in a build
    /// that is not instrumented.
    pub steps: Line,
}

impl Bound {
    /// The bound with so much more, whatever the size of the input.
    #[must_use]
    pub const fn plus(mut self, peak_bytes: u64, allocations: u64, steps: u64) -> Self {
        self.peak_bytes.base += peak_bytes;
        self.allocations.base += allocations;
        self.steps.base += steps;
        self
    }
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// See [`Bound::peak_bytes`].
    pub peak_bytes: u64,
    /// See [`Bound::allocations`].
    pub allocations: u64,
    /// See [`Bound::steps`].
    pub steps: u64,
}

/// Runs `work`, whose input has so many bytes, and fails if it costs more than its bound.
///
/// # Panics
///
/// The work costs more.
pub fn within<T>(bound: &Bound, input_bytes: usize, work: impl FnOnce() -> T) -> T {
    let (result, cost) = measure(work);
    let parts = [
        ("bytes at the peak", cost.peak_bytes, bound.peak_bytes),
        ("allocations", cost.allocations, bound.allocations),
        ("steps", cost.steps, bound.steps),
    ];
    remember(bound, input_bytes, cost);
    for (unit, spent, line) in parts {
        let most = line.at(input_bytes);
        assert!(
            spent <= most,
            "{} of {input_bytes} bytes took {spent} {unit}; the bound is {} + {} per byte = {most}",
            bound.what,
            line.base,
            line.per_byte,
        );
    }
    result
}

/// Runs `work` and counts what it costs on this thread.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let mut result = None;
    let mut steps = 0;
    let counted = allocation_counter::measure(|| {
        let before = step_counter::steps();
        result = Some(work());
        steps = step_counter::steps().wrapping_sub(before);
    });
    let cost = Cost {
        peak_bytes: counted.bytes_max,
        allocations: counted.count_total,
        steps,
    };
    // `measure` always calls its argument.
    let Some(result) = result else { unreachable!() };
    (result, cost)
}

/// The calls that came closest to their bounds since the start.
static CLOSEST: Mutex<BTreeMap<&'static str, Closest>> = Mutex::new(BTreeMap::new());

/// How close the calls of one kind came to their bound, in percent of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Closest {
    calls: u64,
    longest_input: usize,
    peak_bytes: u64,
    allocations: u64,
    steps: u64,
}

fn remember(bound: &Bound, input_bytes: usize, cost: Cost) {
    let share = |spent: u64, line: Line| spent.saturating_mul(100) / line.at(input_bytes).max(1);
    let Ok(mut closest) = CLOSEST.lock() else {
        return;
    };
    let one = closest.entry(bound.what).or_default();
    one.calls += 1;
    one.longest_input = one.longest_input.max(input_bytes);
    one.peak_bytes = one.peak_bytes.max(share(cost.peak_bytes, bound.peak_bytes));
    one.allocations = one
        .allocations
        .max(share(cost.allocations, bound.allocations));
    one.steps = one.steps.max(share(cost.steps, bound.steps));
}

impl fmt::Display for Closest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls, inputs up to {} bytes; of the bound at most {} % of the bytes, {} % of the allocations, {} % of the steps",
            self.calls, self.longest_input, self.peak_bytes, self.allocations, self.steps
        )
    }
}

/// A line for each kind of call: how often it was made, and how close it came to its bound.
#[must_use]
pub fn closest() -> Vec<String> {
    let Ok(closest) = CLOSEST.lock() else {
        return Vec::new();
    };
    let lines = closest.iter().map(|(what, one)| format!("{what}: {one}"));
    lines.collect()
}
