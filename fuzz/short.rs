//! The short form of the fuzz targets, a part of `make test`: each target gets its corpus and
//! a number of changed inputs, always the same ones.
//!
//! An input that fails is written to a file whose name the message says. `FUZZ_RUNS` is the
//! number of changed inputs of each target and `FUZZ_SEED` chooses other ones. With
//! `FUZZ_STEPS=1` a test fails if steps are not counted, and with `FUZZ_REPORT=1` each target
//! says how close its calls came to their bounds.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test reports a failure by a panic, and says how close the costs came to their bounds"
)]

use pullpass_fuzz::mutation::Mutator;
use pullpass_fuzz::{Target, corpus, cost};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// The most that the files of one corpus have together.
const LARGEST_CORPUS: usize = 200 * 1024;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("the variable is a number"))
}

fn short(name: &str) {
    let target = Target::named(name).unwrap();
    let mut inputs = corpus::inputs(&target.folders()).unwrap();
    // Fixtures may be larger than what is made here.
    inputs.retain(|(_, input)| input.len() <= target.longest);
    assert!(inputs.len() > 10, "{name} has a corpus");
    for (path, input) in &inputs {
        run(&target, input, &path.display().to_string());
    }
    let words = corpus::dictionary(name).unwrap();
    let inputs: Vec<_> = inputs.into_iter().map(|(_, input)| input).collect();
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let runs = number("FUZZ_RUNS").map_or(target.short_runs, |runs| usize::try_from(runs).unwrap());
    let mut mutator = Mutator::new(seed, &words, &inputs, target.longest);
    for count in 0..runs {
        let input = mutator.next_input();
        run(&target, &input, &format!("input {count} of seed {seed}"));
    }
    if number("FUZZ_REPORT").is_some() {
        for line in cost::closest() {
            eprintln!("{line}");
        }
    }
}

fn run(target: &Target, input: &[u8], what: &str) {
    let work = AssertUnwindSafe(|| (target.run)(input));
    if let Err(panic) = catch_unwind(work) {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-failed", target.name));
        std::fs::write(&file, input).unwrap();
        eprintln!(
            "{} fails on {what}: {} bytes, written to {}",
            target.name,
            input.len(),
            file.display()
        );
        resume_unwind(panic);
    }
}

macro_rules! targets {
    ($($test:ident: $name:literal),*) => {
        $(#[test]
        fn $test() {
            short($name);
        })*

        /// A target without a test would not run.
        #[test]
        fn every_target_is_run() {
            let run = [$($name),*];
            let all: Vec<_> = pullpass_fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(run.as_slice(), all);
        }
    };
}

targets! {
    image_references: "reference",
    patterns: "pattern",
    map_files: "map",
    docker_configs: "docker-config",
    reviews: "review",
    patches: "patch",
    manifests: "manifest"
}

#[test]
fn corpora_are_small() {
    for target in pullpass_fuzz::TARGETS {
        let inputs = corpus::inputs(&[corpus::folder(target.name)]).unwrap();
        let bytes: usize = inputs.iter().map(|(_, input)| input.len()).sum();
        assert!(bytes <= LARGEST_CORPUS, "{} has {bytes} bytes", target.name);
    }
}

mod the_bounds_themselves {
    use super::*;
    use cost::{Bound, Line, measure, within};

    const SMALL: Bound = Bound {
        what: "a test",
        peak_bytes: Line::new(100, 2),
        allocations: Line::new(3, 0),
        steps: Line::new(1_000, 1_000),
    };

    fn exceeds(work: impl FnOnce()) -> String {
        let panic = catch_unwind(AssertUnwindSafe(|| within(&SMALL, 50, work))).unwrap_err();
        *panic.downcast::<String>().unwrap()
    }

    #[test]
    fn memory_above_the_bound_fails() {
        within(&SMALL, 50, || drop(vec![0_u8; 200]));
        let said = exceeds(|| drop(vec![0_u8; 201]));
        assert!(
            said.contains("took 201 bytes at the peak; the bound is 100 + 2 per byte = 200"),
            "{said}"
        );
        // What is freed in between does not count.
        within(&SMALL, 50, || {
            drop(vec![0_u8; 150]);
            drop(vec![0_u8; 150]);
        });
    }

    #[test]
    fn allocations_above_the_bound_fail() {
        let allocate = |times: u8| (0..times).for_each(|byte| drop(vec![byte]));
        within(&SMALL, 50, || allocate(3));
        let said = exceeds(|| allocate(4));
        assert!(said.contains("took 4 allocations"), "{said}");
    }

    /// The build of tests/run counts steps, others may not.
    #[test]
    fn steps_are_counted_where_they_should_be() {
        let parse = |text: &str| {
            let parsed = measure(|| image_reference::Reference::parse(text).map(drop));
            parsed.1.steps
        };
        let (short, long) = (parse("registry.example/app"), parse(&"a/".repeat(2_000)));
        if number("FUZZ_STEPS").is_some() {
            assert!(short > 50 && long > 10 * short, "{short} {long}");
            let longer = "a/".repeat(20_000);
            let said = exceeds(|| {
                let _ = image_reference::Reference::parse(&longer);
            });
            assert!(said.contains("steps"), "{said}");
        }
    }
}
