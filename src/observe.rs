//! What is counted, what is logged, and what these two need. This room must not take metric labels
//! from requests.

pub mod background_writer;
pub mod health;
pub mod log;
pub mod metrics;
pub mod throttle;
