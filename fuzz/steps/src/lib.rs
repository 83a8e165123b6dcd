//! Counts the edges between basic blocks that instrumented code runs.
//!
//! The number says how much work a function does and, unlike time, is the same on every
//! machine. `fuzz/rustc-counting-steps` has the code of pullpass instrumented; without it
//! nothing is counted. This package must not be instrumented itself: the counter would call
//! itself without end.

use std::cell::Cell;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// How many steps instrumented code has run on this thread.
#[must_use]
pub fn steps() -> u64 {
    STEPS.get()
}

/// The compiler calls this function by its name at each edge (`SanitizerCoverage` in LLVM,
/// `-sanitizer-coverage-trace-pc`).
#[expect(
    unsafe_code,
    reason = "the name must stay as it is, and no other library defines it"
)]
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_pc() {
    STEPS.set(STEPS.get().wrapping_add(1));
}
