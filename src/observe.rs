//! What is counted and what is logged.

pub mod log;
pub mod metrics;
