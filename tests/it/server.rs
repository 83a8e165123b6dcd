//! The server from outside: the router without a socket, then real TLS connections,
//! real files that change, and the real program with real signals.
//!
//! Times are short and come from the configuration; what is asserted is order and
//! outcome, never how long something took.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop, and clippy knows no helper functions of tests"
)]

mod callers;
mod check;
mod connections;
mod hostile;
mod map_review;
mod process;
mod reload;
mod router;
mod support;
mod tls;
