//! What a replica decides by, kept up to date in the background: the registry map
//! and the labels of namespaces. Nothing here is waited for by a review.

pub mod expiry_log;
pub mod file_watch;
pub mod map_store;
pub mod namespaces;
