//! Who is at the other end of a connection on this host.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use procfs::net::TcpNetEntry;

/// The far end of a connection: a socket of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Whose socket it is.
    pub(crate) uid: u32,
    /// The socket, as `/proc/PID/fd` names it.
    inode: u64,
}

/// A process of the run that holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) call: u64,
    pub(crate) tgid: u32,
}

impl Caller {
    /// Looks up the socket that is `peer` and is connected to `own`; none where it is gone.
    pub(crate) fn of(peer: SocketAddr, own: SocketAddr) -> Option<Self> {
        // A socket of IPv6 can be connected to an address of IPv4.
        let tables = [procfs::net::tcp, procfs::net::tcp6];
        let is = |address: SocketAddr, wanted: SocketAddr| {
            (address.ip().to_canonical(), address.port()) == (wanted.ip(), wanted.port())
        };
        let is_it =
            |entry: &TcpNetEntry| is(entry.local_address, peer) && is(entry.remote_address, own);
        tables
            .into_iter()
            .find_map(|table| table().ok()?.into_iter().find(is_it))
            .map(|TcpNetEntry { uid, inode, .. }| Self { uid, inode })
    }

    /// The process that holds the socket among those of the calls whose cgroups lie in `run`. Of
    /// several, the one of the earliest call: it opened it, and the others have it from there.
    pub(crate) fn holder(self, run: &Path) -> Option<Holder> {
        calls(run).ok()?.into_iter().find_map(|(call, leaf)| {
            let tgids = fs::read_to_string(leaf.join("cgroup.procs")).ok()?;
            let mut tgids = tgids.lines().filter_map(|tgid| tgid.parse().ok());
            tgids.find(|tgid| self.is_held_by(*tgid)).map(|tgid| Holder { call, tgid })
        })
    }

    fn is_held_by(self, tgid: u32) -> bool {
        let name = format!("socket:[{}]", self.inode);
        // A process that ends meanwhile holds nothing.
        let files = fs::read_dir(format!("/proc/{tgid}/fd")).into_iter().flatten().flatten();
        files
            .map(|file| fs::read_link(file.path()))
            .any(|it| it.is_ok_and(|it| it == Path::new(&name)))
    }
}

/// The leaves of a run's calls, by number.
fn calls(run: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut calls: Vec<_> = fs::read_dir(run)?
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("call-")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    calls.sort_unstable();
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_process_at_the_other_end_is_found_with_its_call() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap();
        let stream = TcpStream::connect(own).unwrap();
        let peer = stream.local_addr().unwrap();
        let caller = Caller::of(peer, own).unwrap();
        assert_eq!(caller.uid, nix::unistd::geteuid().as_raw());

        let run = tempfile::tempdir().unwrap();
        assert_eq!(caller.holder(run.path()), None);
        let tgid = std::process::id();
        for (leaf, tgids) in [("call-12", format!("{tgid}\n")), ("call-7", "1\n".to_owned())] {
            fs::create_dir(run.path().join(leaf)).unwrap();
            fs::write(run.path().join(leaf).join("cgroup.procs"), tgids).unwrap();
        }
        assert_eq!(caller.holder(run.path()), Some(Holder { call: 12, tgid }));
        drop(stream);
        assert_eq!(caller.holder(run.path()), None);
    }
}
