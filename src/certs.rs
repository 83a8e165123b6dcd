//! The certificate of the server: what it is, who issues it, and who renews it in a cluster.
//!
//! Knows nothing of HTTP: the server only shows what is [`served`].

pub mod issuer;
pub mod pair;
pub mod rotator;
pub mod served;
pub mod trust;
