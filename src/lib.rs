//! The `pullpass` program: an admission webhook for Kubernetes and its command line.
//!
//! The decisions are in `pullpass-core`, which has no clock, files, network or log. This
//! package reads, waits, counts and prints, in rooms whose arrows point one way:
//!
//! ```text
//! cli ─▶ serve ─▶ http ─▶ registration ─▶ { state, audit, certs } ─▶ { kube, observe }
//! ```
//!
//! No room uses one to the left of it; `tests/it/architecture.rs` lists what each may use.
//! [`serve`] is the composition root, the one place that starts things. [`certs`] and
//! [`state`] use [`clock`].

pub mod audit;
pub mod certs;
pub mod cli;
pub mod clock;
pub mod http;
pub mod kube;
pub mod observe;
pub mod registration;
pub mod serve;
pub mod state;
