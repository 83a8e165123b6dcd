//! pullpass: pods get the pass to pull, or a clear word why not.
//!
//! An admission webhook for Kubernetes. From one file, the registry map, it adds
//! the missing `imagePullSecrets` to pods and refuses (or warns about, or only
//! records) pods whose images come from registries that nobody has named.
//!
//! # The way of one review
//!
//! ```text
//! bytes ─▶ request::parse ─▶ Policy::decide ─▶ patch::build or verdict ─▶ response ─▶ bytes
//! ```
//!
//! Four synchronous calls, on one screen: [`admission::review`].
//!
//! # Two halves
//!
//! The pure half takes values and gives values: no clock, no files, no network, no
//! logging. It is [`image`], [`policy`], [`pull_secret`], [`admission`],
//! [`manifest`], [`rotation`], [`verification`], [`text`] and `yaml`. The edges are thin
//! and decide nothing: [`server`], [`policy_file`], [`certificate_keeper`], [`cluster`],
//! [`api_server`], [`metrics`], [`telemetry`], [`decision_log`], [`events`], [`namespaces`], [`calendar`],
//! [`certificates`] and [`cli`].
//!
//! The arrows point one way, `cli → edges → admission, pull_secret → policy →
//! image`; `tests/it/architecture.rs` fails when one is turned round.

pub mod audit;
pub mod certs;
pub mod cli;
pub mod http;
pub mod kube;
pub mod observe;
pub mod state;
