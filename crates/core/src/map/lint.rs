//! Compares the parts of a map with each other.

pub(super) mod bounds;
pub(super) mod conflict;
mod pairs;
pub(super) mod reach;
pub(super) mod shadowed;
