//! Compares the entries of a map with each other, once each entry is valid by itself. It must
//! not define which rule precedes another, which [`crate::policy`] does.

pub(super) mod conflict;
pub(super) mod shadowed;
