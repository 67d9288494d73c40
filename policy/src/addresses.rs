//! What an address of the network means: patterns that give addresses a label.
//!
//! The kernel looks labels up by [`ebpf_common::address`], which has one spelling for each address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use ebpf_common::address::{self, ANY_ADDRESS, ANY_PORT, AddressKey, Words};
use thiserror::Error;

use crate::labels::{LabelledRoot, LabelledRootError};

/// A protocol whose ports can be labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// The name in patterns and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// The number in the kernel.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Tcp => address::TCP,
            Self::Udp => address::UDP,
        }
    }

    /// The one of this number, if there is one.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| u64::from(protocol.number()) == number)
    }
}

/// Addresses that share a label: `tcp:127.0.0.1:5432`, `udp:[::1]:53`, with `*` for every address
/// or port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressPattern {
    /// The protocol.
    pub protocol: Protocol,
    /// The address; `None` for every one.
    pub address: Option<IpAddr>,
    /// The port, never 0; `None` for every one.
    pub port: Option<u16>,
}

/// Why a text is no address pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressPatternError {
    /// It does not begin with a protocol.
    #[error("`{text}` does not begin with `tcp:` or `udp:`")]
    Protocol {
        /// What was given.
        text: String,
    },
    /// There is no port.
    #[error("`{text}` has no port: write PROTOCOL:ADDRESS:PORT, with `*` for every port")]
    NoPort {
        /// What was given.
        text: String,
    },
    /// The port is none.
    #[error("`{port}` is no port: a number from 1 to 65535, or `*`")]
    Port {
        /// What was given.
        port: String,
    },
    /// The address is none.
    #[error("`{address}` is no address: an IPv4 address, an IPv6 address in brackets, or `*`")]
    Address {
        /// What was given.
        address: String,
    },
}

/// Brings the IPv4 address that is mapped into an IPv6 one to its own spelling.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

impl FromStr for AddressPattern {
    type Err = AddressPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (protocol, rest) = Protocol::ALL
            .into_iter()
            .find_map(|it| Some((it, text.strip_prefix(it.name())?.strip_prefix(':')?)))
            .ok_or_else(|| AddressPatternError::Protocol { text: text.to_owned() })?;
        let (host, number) = rest
            .rsplit_once(':')
            // The colons of an address in brackets are its own.
            .filter(|(_, port)| !port.ends_with(']'))
            .ok_or_else(|| AddressPatternError::NoPort { text: text.to_owned() })?;
        let port = match number {
            "*" => None,
            // `parse` takes a sign, which is no digit.
            _ => match number.parse() {
                Ok(port) if port != 0 && !number.starts_with('+') => Some(port),
                _ => return Err(AddressPatternError::Port { port: number.to_owned() }),
            },
        };
        let wrong = || AddressPatternError::Address { address: host.to_owned() };
        let address = match (host, host.strip_prefix('[').and_then(|it| it.strip_suffix(']'))) {
            ("*", _) => None,
            (_, Some(six)) => Some(IpAddr::V6(six.parse().map_err(|_| wrong())?)),
            (four, None) => Some(IpAddr::V4(four.parse::<Ipv4Addr>().map_err(|_| wrong())?)),
        };
        Ok(Self { protocol, address: address.map(unmapped), port })
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.protocol.name())?;
        match self.address {
            None => formatter.write_str("*")?,
            Some(IpAddr::V4(address)) => write!(formatter, "{address}")?,
            Some(IpAddr::V6(address)) => write!(formatter, "[{address}]")?,
        }
        match self.port {
            None => formatter.write_str(":*"),
            Some(port) => write!(formatter, ":{port}"),
        }
    }
}

/// An address as records and the kernel's map have it.
#[must_use]
pub fn words(address: IpAddr) -> Words {
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let word = |index: usize| {
        let bytes = [octets[index], octets[index + 1], octets[index + 2], octets[index + 3]];
        u32::from_ne_bytes(bytes)
    };
    [word(0), word(4), word(8), word(12)]
}

/// The address of a record. IPv4 is IPv4, also where it was mapped into IPv6.
#[must_use]
pub fn from_words(words: Words) -> IpAddr {
    let mut octets = [0; 16];
    for (part, word) in octets.chunks_exact_mut(4).zip(words) {
        part.copy_from_slice(&word.to_ne_bytes());
    }
    unmapped(IpAddr::from(octets))
}

impl AddressPattern {
    /// The pattern of one address.
    #[must_use]
    pub fn exactly(protocol: Protocol, address: SocketAddr) -> Self {
        Self { protocol, address: Some(unmapped(address.ip())), port: Some(address.port()) }
    }

    /// The pattern of what answers on a socket bound here: on the unspecified address that is every
    /// address of the host.
    #[must_use]
    pub fn answered_by(protocol: Protocol, address: SocketAddr) -> Self {
        let exact = Self::exactly(protocol, address);
        Self { address: exact.address.filter(|address| !address.is_unspecified()), ..exact }
    }

    /// The key in the probes' map.
    #[must_use]
    pub fn key(&self, slot: u32) -> AddressKey {
        AddressKey {
            address: self
                .address
                .map_or(ANY_ADDRESS, |address| address::normalised(words(address))),
            slot,
            protocol: self.protocol.number() as u16,
            port: self.port.unwrap_or(ANY_PORT),
        }
    }
}

/// Addresses of one pattern, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledAddress {
    /// Which.
    pub pattern: AddressPattern,
    /// The label's name: one of [`ebpf_common::Label::FOR_PATHS`], or `component:NAME`.
    pub label: String,
}

/// What `--label` labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// A path.
    Root(LabelledRoot),
    /// Addresses.
    Address(LabelledAddress),
}

/// Why a text labels nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LabelledError {
    /// It is no label, or labels a path wrongly.
    #[error(transparent)]
    Root(#[from] LabelledRootError),
    /// What is behind the `=` begins like an address and is none.
    #[error(transparent)]
    Address(#[from] AddressPatternError),
}

impl FromStr for Labelled {
    type Err = LabelledError;

    /// Reads `NAME=PATH`, or `NAME=tcp:…` and `NAME=udp:…` for addresses. A relative path of such a
    /// name is written with `./` before it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let root: LabelledRoot = text.parse()?;
        let what = text.split_once('=').map_or("", |(_, what)| what);
        let is_address = Protocol::ALL
            .iter()
            .any(|it| what.strip_prefix(it.name()).is_some_and(|rest| rest.starts_with(':')));
        Ok(if is_address {
            let label = root.label.name().to_owned();
            Self::Address(LabelledAddress { pattern: what.parse()?, label })
        } else {
            Self::Root(root)
        })
    }
}

#[cfg(test)]
mod tests {
    use ebpf_common::Label;

    use super::*;

    fn pattern(text: &str) -> AddressPattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_pattern_reads_back_as_it_is_written() {
        for text in [
            "tcp:127.0.0.1:5432",
            "udp:[::1]:53",
            "tcp:*:80",
            "tcp:10.0.0.1:*",
            "udp:[2001:db8::1]:*",
            "udp:*:*",
        ] {
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        assert_eq!(pattern("tcp:[::ffff:10.0.0.1]:80"), pattern("tcp:10.0.0.1:80"));
        assert_eq!(from_words(words("::ffff:10.0.0.1".parse().unwrap())).to_string(), "10.0.0.1");
        assert_eq!(from_words(words("2001:db8::1".parse().unwrap())).to_string(), "2001:db8::1");
    }

    #[test]
    fn all_of_loopback_has_one_key_and_a_wildcard_another() {
        let key = |text: &str| pattern(text).key(3);
        for text in ["tcp:127.8.0.1:80", "tcp:[::1]:80", "tcp:0.0.0.0:80", "tcp:[::]:80"] {
            assert_eq!(key(text), key("tcp:127.0.0.1:80"), "{text}");
        }
        assert_ne!(key("tcp:127.0.0.1:80"), key("udp:127.0.0.1:80"));
        assert_ne!(key("tcp:127.0.0.1:80"), key("tcp:*:80"));
        assert_eq!(key("tcp:127.0.0.1:80").any_address(), key("tcp:*:80"));
        assert_eq!(key("tcp:127.0.0.1:80").any_port(), key("tcp:127.0.0.1:*"));
        assert_eq!(key("tcp:127.0.0.1:*").any_address(), key("tcp:*:*"));
    }

    #[test]
    fn a_pattern_that_is_wrong_says_how() {
        let error = |text: &str| text.parse::<AddressPattern>().unwrap_err().to_string();
        assert_eq!(error("sctp:*:1"), "`sctp:*:1` does not begin with `tcp:` or `udp:`");
        assert!(error("tcp:127.0.0.1").contains("has no port"));
        assert!(error("tcp:[::1]").contains("has no port"));
        for port in ["0", "65536", "http", "", "+80", "-1"] {
            assert!(error(&format!("tcp:*:{port}")).starts_with(&format!("`{port}` is no port")));
        }
        for address in ["::1", "localhost", "127.1", "[127.0.0.1]", "[::1", ""] {
            let text = format!("tcp:{address}:80");
            assert!(error(&text).starts_with(&format!("`{address}` is no address")), "{text}");
        }
    }

    #[test]
    fn a_label_option_tells_addresses_from_paths() {
        let labelled = |text: &str| text.parse::<Labelled>();
        let address = LabelledAddress { pattern: pattern("tcp:*:80"), label: "data".to_owned() };
        assert_eq!(labelled("data=tcp:*:80"), Ok(Labelled::Address(address)));
        for path in ["/tcp:1", "./tcp:x", "tcp", "udp"] {
            let root = LabelledRoot { path: path.into(), label: Label::Data };
            assert_eq!(labelled(&format!("data={path}")), Ok(Labelled::Root(root)));
        }
        assert!(matches!(labelled("data=tcp:x"), Err(LabelledError::Address(_))));
        assert!(matches!(labelled("host=tcp:*:80"), Err(LabelledError::Root(_))));
    }

    #[test]
    fn what_answers_on_the_unspecified_address_answers_on_all() {
        let answered = |text: &str| {
            AddressPattern::answered_by(Protocol::Tcp, text.parse().unwrap()).to_string()
        };
        assert_eq!(answered("0.0.0.0:9464"), "tcp:*:9464");
        assert_eq!(answered("[::]:9464"), "tcp:*:9464");
        assert_eq!(answered("127.0.0.1:9464"), "tcp:127.0.0.1:9464");
    }
}
