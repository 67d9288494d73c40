//! Acts on addresses: a socket, and one call on it.

use std::{
    io::{IoSliceMut, Write as _},
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        self, AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType,
        SockaddrIn, SockaddrIn6, SockaddrLike, UnixAddr,
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

/// Answers at an address until this process ends.
pub(crate) fn listen(address: SocketAddr) -> Result<(), Errno> {
    let socket = of_protocol("tcp", address)?;
    socket::bind(socket.as_raw_fd(), &*raw(address))?;
    socket::listen(&socket, Backlog::MAXCONN)?;
    std::mem::forget(socket);
    Ok(())
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

/// A socket of this host, by its path or, behind an `@`, its abstract name.
fn unix(name: &str) -> Result<UnixAddr, Errno> {
    match name.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes()),
        None => UnixAddr::new(name),
    }
}

fn unix_socket(kind: SockType) -> Result<OwnedFd, Errno> {
    socket::socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)
}

pub(crate) fn unix_stream(name: &str) -> Result<(), Errno> {
    let socket = unix_socket(SockType::Stream)?;
    socket::connect(socket.as_raw_fd(), &unix(name)?)
}

pub(crate) fn unix_datagram(name: &str) -> Result<(), Errno> {
    let socket = unix_socket(SockType::Datagram)?;
    socket::connect(socket.as_raw_fd(), &unix(name)?)
}

/// A datagram from a socket that is not connected.
pub(crate) fn unix_send(name: &str) -> Result<(), Errno> {
    let socket = unix_socket(SockType::Datagram)?;
    socket::sendto(socket.as_raw_fd(), b"datagram", &unix(name)?, MsgFlags::empty()).map(drop)
}

/// Connects to an abstract socket of one's own.
pub(crate) fn unix_own(name: &str) -> Result<(), Errno> {
    let listener = unix_socket(SockType::Stream)?;
    socket::bind(listener.as_raw_fd(), &unix(name)?)?;
    socket::listen(&listener, Backlog::new(1)?)?;
    unix_stream(name)
}

/// Takes a descriptor that whoever answers at a socket passes, and writes to its file.
pub(crate) fn receive(name: &str) -> Result<(), Errno> {
    let socket = unix_socket(SockType::Stream)?;
    socket::connect(socket.as_raw_fd(), &unix(name)?)?;
    let (mut byte, mut space) = ([0; 1], cmsg_space!([i32; 1]));
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let message = socket::recvmsg::<UnixAddr>(
        socket.as_raw_fd(),
        &mut bytes,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let passed = message.cmsgs().ok().and_then(|mut parts| {
        parts.find_map(|part| match part {
            ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
            _ => None,
        })
    });
    // The kernel leaves out what may not be received, and says so by a flag alone.
    let descriptor = passed.ok_or(Errno::EPERM)?;
    let mut file = crate::sys::file_of(descriptor);
    file.write_all(b"written")
        .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}
