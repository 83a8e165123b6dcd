//! What a replica decides by, kept up to date in the background: the registry map and the
//! labels of namespaces. A review must not
//! wait for anything in this room.

pub mod expiry_log;
pub mod file_watch;
pub mod map_object_watch;
pub mod map_order;
pub mod map_store;
pub mod map_updates;
pub mod namespaces;
