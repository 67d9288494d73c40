//! Addresses of sockets: how records carry them, and how the kernel looks up their labels.
//!
//! IPv4 and IPv6 share one form of 16 bytes, in which IPv4 is mapped into IPv6 (RFC 4291, 2.5.5.2):
//! the kernel treats `::ffff:127.0.0.1` as the IPv4 address too. Probes and user space normalise
//! addresses by the same function, so that no spelling of an address has a label of its own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The protocol number of TCP, include/uapi/linux/in.h.
pub const TCP: u32 = 6;
/// The protocol number of UDP.
pub const UDP: u32 = 17;

/// An address as four words of four bytes each, as they lie in memory: in network order.
pub type Words = [u32; 4];

/// What stands before an IPv4 address in the form of 16 bytes.
const MAPPED: u32 = 0xffff_u32.to_be();
const LOOPBACK: Words = [0, 0, MAPPED, 0x7f00_0001_u32.to_be()];
const LOOPBACK_6: Words = [0, 0, 0, 1_u32.to_be()];
const UNSPECIFIED_6: Words = [0; 4];

/// Stands for every address in a labelled pattern. No address normalises to it.
pub const ANY_ADDRESS: Words = [0; 4];
/// Stands for every port in a labelled pattern.
pub const ANY_PORT: u16 = 0;

/// An IPv4 address, given as it lies in memory.
#[inline(always)]
#[must_use]
pub const fn mapped(address: u32) -> Words {
    [0, 0, MAPPED, address]
}

/// Whether only this host can be behind the address: `127.0.0.0/8` and `::1`, mapped or not.
#[inline(always)]
#[must_use]
pub const fn is_loopback(address: Words) -> bool {
    let [first, second, third, last] = address;
    let ipv4 = third == MAPPED && u32::from_be(last) >> 24 == 0x7f;
    let ipv6 = third == LOOPBACK_6[2] && last == LOOPBACK_6[3];
    first == 0 && second == 0 && (ipv4 || ipv6)
}

/// The one spelling of an address under which labels are looked up. All of loopback is
/// `127.0.0.1`, and so is the unspecified address: `connect(2)` to it reaches this host
/// (`tcp_v6_connect`, net/ipv6/tcp_ipv6.c; `ip_route_output_key_hash`, net/ipv4/route.c), and
/// `bind(2)` to it takes loopback along.
#[inline(always)]
#[must_use]
pub const fn normalised(address: Words) -> Words {
    let [first, second, third, last] = address;
    let unspecified = last == 0 && (third == MAPPED || third == UNSPECIFIED_6[2]);
    if is_loopback(address) || (first == 0 && second == 0 && unspecified) {
        LOOPBACK
    } else {
        address
    }
}

/// An address that a run gave a label, as the probes' map has it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AddressKey {
    /// [`normalised`], or [`ANY_ADDRESS`].
    pub address: Words,
    /// The run's slot.
    pub slot: u32,
    /// The protocol's number.
    pub protocol: u16,
    /// The port, or [`ANY_PORT`].
    pub port: u16,
}

impl AddressKey {
    /// The key of the same port on every address.
    #[inline(always)]
    #[must_use]
    pub const fn any_address(self) -> Self {
        Self { address: ANY_ADDRESS, ..self }
    }

    /// The key of every port on the same address.
    #[inline(always)]
    #[must_use]
    pub const fn any_port(self) -> Self {
        Self { port: ANY_PORT, ..self }
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv6Addr};

    use super::*;

    fn words(text: &str) -> Words {
        let address: Ipv6Addr = match text.parse::<IpAddr>().unwrap() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Words::read_from_bytes(&address.octets()).unwrap()
    }

    #[test]
    fn every_spelling_of_loopback_is_one_address() {
        for spelling in [
            "127.0.0.1",
            "127.1.2.3",
            "127.255.255.255",
            "0.0.0.0",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:127.9.9.9",
            "::ffff:0.0.0.0",
        ] {
            assert_eq!(normalised(words(spelling)), words("127.0.0.1"), "{spelling}");
        }
    }

    #[test]
    fn what_is_not_loopback_stays_as_it_is() {
        for other in ["126.255.255.255", "128.0.0.1", "0.0.0.1", "10.0.0.1", "::2", "::7f00:1"] {
            assert_eq!(normalised(words(other)), words(other), "{other}");
        }
        for other in ["fe80::1", "1::", "0:1::1", "::1:ffff:7f00:1", "2001:db8::1"] {
            assert_eq!(normalised(words(other)), words(other), "{other}");
            assert!(!is_loopback(words(other)), "{other}");
        }
        assert!(!is_loopback(words("0.0.0.0")) && !is_loopback(words("::")));
    }

    #[test]
    fn no_address_normalises_to_the_wildcard() {
        assert_ne!(normalised(ANY_ADDRESS), ANY_ADDRESS);
    }
}
