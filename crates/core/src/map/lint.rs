//! Compares the parts of a map with each other, once each of them is valid by itself. It must
//! not define which rule precedes another, which [`crate::policy`] does.

pub(super) mod bounds;
pub(super) mod conflict;
mod pairs;
pub(super) mod reach;
pub(super) mod shadowed;
