//! Whose connection it is, as far as an address can tell.
//!
//! What clients share (memory, turns, places) is divided by peer. An address proves nothing
//! about who sends: behind a node's port or a NAT, API servers and strangers have the same one. So
//! a share by peer is a help and must never be the only protection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address that a connection comes from.
///
/// An IPv4 address is the same peer whether it arrives as itself or mapped into IPv6. Of an IPv6
/// address only the first 64 bits count, because whoever has one such network has all of its
/// addresses (RFC 4291, 2.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    /// The peer at this address.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(network).into()
            }
            ipv4 @ IpAddr::V4(_) => ipv4,
        })
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_is_one_peer_however_its_address_is_written() {
        let peer = |text: &str| Peer::new(text.parse().unwrap());
        assert_eq!(peer("10.0.0.1"), peer("::ffff:10.0.0.1"));
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff::9"));
        assert_ne!(peer("10.0.0.1"), peer("10.0.0.2"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
    }
}
