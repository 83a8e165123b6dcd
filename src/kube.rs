//! What pullpass says to the API server.

pub mod cert_store;
pub mod dry_run;
