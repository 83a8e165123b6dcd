//! Why an image is not pulled: from words, and from what a cluster holds, to a cause with its
//! evidence and a remedy.
//!
//! [`observation`] and [`paste`] read pods, events and pasted text; [`message`] finds the
//! cause in the words, by the table in `signature`; `finding` puts together what belongs
//! together, and [`remedy()`] says what to do. The room must not reach a cluster, a registry or
//! a clock, and it keeps nothing that could be a credential.

mod cause;
pub mod cluster;
mod finding;
mod host;
pub mod message;
pub mod observation;
pub mod paste;
mod payload;
mod platform;
pub mod pull_secret;
#[cfg(test)]
mod real_words;
mod redact;
mod remedy;
mod signature;

pub use cause::Cause;
pub use finding::{Finding, ImageFailure, failures, group};
pub use host::{FailedHost, HostRole, registry_of};
pub use platform::Platform;
pub use redact::redact;
pub use remedy::{PAGE, Remedy, remedy};
