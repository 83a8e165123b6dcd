//! Entries of a map held against each other, once each is right by itself.

pub(super) mod conflict;
pub(super) mod shadowed;
