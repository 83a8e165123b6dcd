//! Compares the entries of a map with each other, once each entry is valid by itself.

pub(super) mod conflict;
pub(super) mod shadowed;
