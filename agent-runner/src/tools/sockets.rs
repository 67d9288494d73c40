//! `sockets`: tier 1, those of the network namespace and of the unix domain.

use std::{fs, net::SocketAddr};

use journal::escape::escape;
use procfs::{
    ProcResult,
    net::{TcpNetEntry, UdpNetEntry},
};
use serde_json::{Value, json};

use super::{
    OUTPUT_LIMIT_BYTES, ToolError, argument::arguments, processes::ITEM_WEIGHT_BYTES, result::Act,
};

const UNIX: &str = "/proc/net/unix";

arguments! {
    /// Arguments of `sockets`.
    Sockets {
        /// Whether only those that wait for others: listening TCP, bound UDP and unix sockets.
        listening: Option<bool>,
    }
}

/// Lists sockets. `open_files` names one as `socket:[INODE]`.
pub(crate) fn sockets(arguments: &Sockets) -> Result<Value, ToolError> {
    let listening = arguments.listening.unwrap_or(false);
    let mut all = Vec::new();
    for (protocol, entries) in [("tcp", procfs::net::tcp()), ("tcp6", procfs::net::tcp6())] {
        let entries = present(entries, protocol)?;
        all.extend(entries.iter().filter_map(|entry| tcp(protocol, entry, listening)));
    }
    for (protocol, entries) in [("udp", procfs::net::udp()), ("udp6", procfs::net::udp6())] {
        let entries = present(entries, protocol)?;
        all.extend(entries.iter().filter_map(|entry| udp(protocol, entry, listening)));
    }
    let unix = fs::read(UNIX).act("read", UNIX)?;
    all.extend(unix.split(|&byte| byte == b'\n').skip(1).filter_map(|line| {
        UnixSocket::parse(line).filter(|it| !listening || it.is_listening()).map(|it| it.value())
    }));

    let mut weight_bytes = 0;
    let fitting = all.iter().take_while(|socket| {
        weight_bytes += socket["local"].as_str().map_or(0, str::len) + ITEM_WEIGHT_BYTES;
        weight_bytes <= OUTPUT_LIMIT_BYTES
    });
    let fitting = fitting.count();
    let truncated = fitting < all.len();
    all.truncate(fitting);
    Ok(json!({ "sockets": all, "truncated": truncated }))
}

/// The entries of a protocol; none where the kernel lacks it, as it may IPv6.
fn present<T>(entries: ProcResult<Vec<T>>, protocol: &str) -> Result<Vec<T>, ToolError> {
    match entries {
        Err(procfs::ProcError::NotFound(_)) => Ok(Vec::new()),
        entries => entries.act("list the sockets of", protocol),
    }
}

fn tcp(protocol: &str, entry: &TcpNetEntry, listening: bool) -> Option<Value> {
    let listens = entry.state == procfs::net::TcpState::Listen;
    (listens || !listening).then(|| {
        json!({
            "protocol": protocol,
            "local": entry.local_address.to_string(),
            "remote": connected(entry.remote_address),
            "state": format!("{:?}", entry.state),
            "uid": entry.uid,
            "inode": entry.inode,
        })
    })
}

fn udp(protocol: &str, entry: &UdpNetEntry, listening: bool) -> Option<Value> {
    let remote = connected(entry.remote_address);
    (remote.is_none() || !listening).then(|| {
        json!({
            "protocol": protocol,
            "local": entry.local_address.to_string(),
            "remote": remote,
            "state": if remote.is_some() { "Established" } else { "Bound" },
            "uid": entry.uid,
            "inode": entry.inode,
        })
    })
}

/// The other end, if there is one: the kernel writes port 0 where there is none.
fn connected(address: SocketAddr) -> Option<String> {
    (address.port() != 0).then(|| address.to_string())
}

/// A line of `/proc/net/unix`. Its name is any bytes that whoever bound it liked, a line break
/// among them, so what does not read as a line is passed over.
#[derive(Debug, PartialEq)]
struct UnixSocket<'a> {
    flags: u32,
    kind: &'static str,
    state: &'static str,
    inode: u64,
    name: &'a [u8],
}

impl<'a> UnixSocket<'a> {
    /// Fields: slot, references, protocol, flags, type, state, inode, and perhaps a space and a name.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut rest = line;
        let mut field = || {
            rest = rest.trim_ascii_start();
            let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
            let (field, after) = rest.split_at(end);
            rest = after;
            std::str::from_utf8(field).ok()
        };
        let number = |text: Option<&str>| u32::from_str_radix(text?, 16).ok();
        field()?.strip_suffix(':')?;
        number(field())?;
        number(field())?;
        let flags = number(field())?;
        let kind = match number(field())? {
            1 => "stream",
            2 => "datagram",
            5 => "seqpacket",
            _ => return None,
        };
        let state = match number(field())? {
            1 => "Unconnected",
            2 => "Connecting",
            3 => "Connected",
            4 => "Disconnecting",
            _ => return None,
        };
        let inode = field()?.parse().ok()?;
        Some(Self { flags, kind, state, inode, name: rest.strip_prefix(b" ").unwrap_or(rest) })
    }

    /// `SO_ACCEPTCON`, include/uapi/linux/net.h.
    fn is_listening(&self) -> bool {
        self.flags & 0x1_0000 != 0
    }

    fn value(&self) -> Value {
        json!({
            "protocol": "unix",
            "type": self.kind,
            "local": escape(self.name),
            "state": if self.is_listening() { "Listen" } else { self.state },
            "inode": self.inode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_socket_may_be_called_anything() {
        let line = b"00000000f12c0ba2: 00000002 00000000 00010000 0001 01  1613 /run/a b\xff";
        let socket = UnixSocket::parse(line).unwrap();
        assert!(socket.is_listening());
        assert_eq!(
            socket.value(),
            json!({ "protocol": "unix", "type": "stream", "local": "/run/a b\\xff", "state": "Listen", "inode": 1613 })
        );
        let unnamed = b"00000000f12c0ba2: 00000003 00000000 00000000 0002 03     7";
        let socket = UnixSocket::parse(unnamed).unwrap();
        assert_eq!((socket.kind, socket.state, socket.name), ("datagram", "Connected", &b""[..]));
        for broken in [&b""[..], b"rest of a name", b"1: 2", b"1: 2 0 0 9 1 5"] {
            assert_eq!(UnixSocket::parse(broken), None);
        }
    }
}
