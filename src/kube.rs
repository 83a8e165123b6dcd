//! What pullpass says to an API server.
//!
//! Each module sends the requests of one purpose; how they are sent is [`client`]'s.

pub mod cert_store;
pub mod client;
pub mod dry_run;
pub mod installations;
pub mod rights;
