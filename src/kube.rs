//! What pullpass says to an API server.
//!
//! Each module sends the requests of one purpose, and [`client`] knows how they are sent. This room
//! must not keep state.

pub mod cert_store;
pub mod changes;
pub mod client;
pub mod dry_run;
pub mod installations;
pub mod map_object;
pub mod rights;
pub mod webhook_objects;
