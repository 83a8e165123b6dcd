//! The pure half of pullpass: values in, values out.
//!
//! No clock, no files, no network, no logging: the package lists no crate that has
//! any of them. [`policy`] is the registry map, compiled, and the one decision;
//! [`map`] reads its files; [`admission`] answers a review. The others ask the same
//! decision in another way ([`manifest`], [`probe`], [`vap`]), plan certificates
//! ([`rotation`]), or make untrusted text safe to show ([`text`]).

pub mod admission;
pub mod manifest;
pub mod map;
pub mod policy;
pub mod probe;
pub mod rotation;
pub mod secret_manifest;
pub mod text;
pub mod vap;
pub mod well_known;
mod yaml;
