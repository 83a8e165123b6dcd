//! The certificate of the server: what it is, who issues it, and who renews it in a cluster.
//! And the CAs that certificates of callers are verified by.
//!
//! This room must not know HTTP: the server only shows what is [`served`].

pub mod client_ca;
pub mod issuer;
pub mod pair;
pub mod rotator;
pub mod served;
pub mod trust;
