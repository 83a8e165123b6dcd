//! The long form of the fuzz targets: libFuzzer chooses inputs by the code that they reach.
//!
//! `fuzz/run` builds and starts it; `FUZZ_TARGET` names the target. Every other change of an
//! input is one of our own, the others are libFuzzer's.

#![no_main]
#![expect(
    clippy::expect_used,
    reason = "without a target there is nothing to run"
)]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use pullpass_fuzz::mutation::Mutator;
use pullpass_fuzz::{Target, corpus};
use std::sync::LazyLock;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    Target::named(&name).expect("the target is one of TARGETS in fuzz/src/lib.rs")
});

/// The words and the inputs of the target, from which changes take parts.
static MATERIAL: LazyLock<(Vec<Vec<u8>>, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let words = corpus::dictionary(TARGET.name).expect("the target has a dictionary");
    let inputs = corpus::inputs(&TARGET.folders()).expect("the target has a corpus");
    (words, inputs.into_iter().map(|(_, input)| input).collect())
});

fuzz_target!(|input: &[u8]| (TARGET.run)(input));

fuzz_mutator!(
    |input: &mut [u8], size: usize, max_size: usize, seed: u32| {
        if seed % 2 == 0 {
            return fuzzer_mutate(input, size, max_size);
        }
        let (words, inputs) = &*MATERIAL;
        let mut changed = input.get(..size).unwrap_or_default().to_vec();
        let mut mutator = Mutator::new(seed.into(), words, inputs, max_size);
        mutator.change(&mut changed);
        if seed % 63 == 1 {
            mutator.fill(&mut changed);
        }
        changed.truncate(max_size);
        if let Some(place) = input.get_mut(..changed.len()) {
            place.copy_from_slice(&changed);
        }
        changed.len()
    }
);
