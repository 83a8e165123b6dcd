//! Against a real kube-apiserver: etcd, the API server and the controllers run on
//! loopback, pullpass is registered by URL, and every rule of the decision table
//! is seen from where its users sit.
//!
//! Nothing here knows pullpass's code: the tests start the program, write a
//! registry map and talk to the API server. One control plane serves the whole
//! binary; each test has namespaces, a pullpass and webhook configurations of its
//! own, so that all of them run at once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test crate: here a panic is how a fault is reported"
)]

mod api;
mod assets;
mod certificate;
mod control_plane;
mod daemon;
mod golden;
mod objects;
mod pullpass;
mod recording_webhook;
mod registration;
mod review_difference;

mod audit;
mod bypass;
mod callers;
mod check;
mod decisions;
mod denials;
mod doctor;
mod faults;
mod injection;
mod intree;
mod map_hook;
mod mirror_pods;
mod odd_pods;
mod other_webhooks;
mod record_reviews;
mod selectors;
mod self_signed;
mod suites;
mod untouched;
mod updates;
mod verify;
mod watches;
mod workloads;
