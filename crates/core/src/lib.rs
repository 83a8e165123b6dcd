//! The pure half of pullpass: its functions compute values from values.
//!
//! The package must not read a clock or a file, use the network or log, so it depends on
//! no crate that does. [`policy`] is the compiled registry map and makes the decisions;
//! [`map`] reads the map's files; [`admission`] answers reviews. [`manifest`], [`probe`]
//! and [`vap`] use the same decisions for commands, [`rotation`] plans certificates,
//! [`registration`] judges webhook configurations, and [`text`] makes untrusted text safe to
//! show.

pub mod admission;
pub mod diagnosis;
pub mod manifest;
pub mod map;
pub mod policy;
pub mod probe;
pub mod registration;
pub mod rotation;
pub mod secret_manifest;
pub mod text;
pub mod vap;
pub mod well_known;
mod yaml;
