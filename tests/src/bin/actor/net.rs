//! Acts on addresses: a socket, and one call on it.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        self, AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike,
    },
};

fn socket(kind: SockType, to: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None)
}

/// The address as the kernel reads it.
fn raw(address: SocketAddr) -> Box<dyn SockaddrLike> {
    match address {
        SocketAddr::V4(address) => Box::new(SockaddrIn::from(address)),
        SocketAddr::V6(address) => Box::new(SockaddrIn6::from(address)),
    }
}

fn of_protocol(protocol: &str, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let kind = match protocol {
        "tcp" => SockType::Stream,
        "udp" => SockType::Datagram,
        _ => return Err(Errno::EPROTONOSUPPORT),
    };
    socket(kind, address)
}

pub(crate) fn connect(protocol: &str, to: SocketAddr) -> Result<(), Errno> {
    let socket = of_protocol(protocol, to)?;
    socket::connect(socket.as_raw_fd(), &*raw(to))
}

pub(crate) fn bind(protocol: &str, address: SocketAddr) -> Result<(), Errno> {
    let socket = of_protocol(protocol, address)?;
    socket::bind(socket.as_raw_fd(), &*raw(address))
}

/// A datagram from a socket that is not connected.
pub(crate) fn send(to: SocketAddr) -> Result<(), Errno> {
    let socket = socket(SockType::Datagram, to)?;
    socket::sendto(socket.as_raw_fd(), b"datagram", &*raw(to), MsgFlags::empty()).map(drop)
}

/// Data that opens a TCP connection, without connect(2).
pub(crate) fn fast_open(to: SocketAddr) -> Result<(), Errno> {
    let socket = socket(SockType::Stream, to)?;
    let fast_open = MsgFlags::from_bits_retain(libc::MSG_FASTOPEN);
    socket::sendto(socket.as_raw_fd(), b"data", &*raw(to), fast_open).map(drop)
}
