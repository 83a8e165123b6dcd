//! Tests that need nothing but Rust. One binary, so that what it links is linked
//! once; a module for each part of the library.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails says so by panicking"
)]

mod admission;
mod architecture;
mod audit;
mod chart;
mod check;
mod cli;
mod dates;
mod docs;
mod doctor;
#[path = "../golden.rs"]
mod golden;
mod policy;
mod reviews;
mod rotation;
mod secret_manifest;
mod server;
mod suites;
mod supply_chain;
mod workloads;
