//! Fuzz targets: what strangers can send to pullpass, what must hold for the answer, and what
//! it may cost.
//!
//! Each target takes bytes and panics where something does not hold. The short form
//! (`short.rs`, a part of `make test`) gives it the corpus and changes with a fixed seed; the
//! long form (`libfuzzer.rs`, `make fuzz`) lets libFuzzer look for inputs that reach new code.
//! Costs are bounded by [`cost`], because an input that takes too much memory or time stops a
//! server as well as a panic does. This package must not be a part of the program.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a target reports a failure by a panic"
)]

pub mod corpus;
pub mod cost;
pub mod mutation;
mod targets;

use std::path::PathBuf;

/// Something that bytes from strangers reach.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name, which is also that of its corpus and its dictionary.
    pub name: &'static str,
    /// Gives the bytes to pullpass and checks the answer.
    pub run: fn(&[u8]),
    /// The longest input in bytes.
    pub longest: usize,
    /// How many changed inputs the short form runs.
    pub short_runs: usize,
    /// Folders of the repository whose files are inputs too.
    pub fixtures: &'static [&'static str],
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "reference",
        run: targets::reference::run,
        longest: 4096,
        short_runs: 15_000,
        fixtures: &[],
    },
    Target {
        name: "pattern",
        run: targets::pattern::run,
        longest: 4096,
        short_runs: 10_000,
        fixtures: &[],
    },
    Target {
        name: "map",
        run: targets::map_file::run,
        longest: 32 * 1024,
        short_runs: 100,
        fixtures: &["tests/fixtures/maps", "examples"],
    },
    Target {
        name: "docker-config",
        run: targets::docker_config::run,
        longest: 32 * 1024,
        short_runs: 1_500,
        fixtures: &["tests/fixtures/cmd"],
    },
    Target {
        name: "review",
        run: targets::review::run,
        longest: 64 * 1024,
        short_runs: 600,
        fixtures: &["tests/fixtures/reviews"],
    },
    Target {
        name: "patch",
        run: targets::patch::run,
        longest: 32 * 1024,
        short_runs: 5_000,
        fixtures: &[],
    },
    Target {
        name: "manifest",
        run: targets::manifest::run,
        longest: 32 * 1024,
        short_runs: 1_500,
        fixtures: &["tests/fixtures/suites"],
    },
];

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// The folders of its inputs: its corpus first.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let fixtures = self.fixtures.iter().map(PathBuf::from);
        [corpus::folder(self.name)]
            .into_iter()
            .chain(fixtures)
            .collect()
    }
}
