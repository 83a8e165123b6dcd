//! Certificates of the server: who makes them, and who rotates them in the cluster.

pub mod issuer;
pub mod rotator;
