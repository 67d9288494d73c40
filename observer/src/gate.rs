//! Where supervisors come to a resident observer: a socket that only root can connect to.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::geteuid,
};

/// Where a resident observer listens unless told otherwise.
pub const SOCKET: &str = "/run/belljar/observer.sock";

/// Namespaces in which a supervisor's paths, process ids and cgroups mean what they mean here.
const NAMESPACES: [&str; 3] = ["mnt", "pid", "cgroup"];

/// Why no supervisor can come.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Another observer is there.
    #[error("an observer listens on {} already", path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} exists and is no socket", path.display())]
    NoSocket {
        /// What is there.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A socket that listens. Dropping it removes the socket's name.
#[derive(Debug)]
pub struct Gate {
    listener: UnixListener,
    path: PathBuf,
}

impl Gate {
    /// Listens on a path of its own.
    ///
    /// # Errors
    ///
    /// When another observer does, or the operating system refuses.
    pub fn open(path: &Path) -> Result<Self, GateError> {
        let failed = |source| GateError::Listen { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            // Others may pass through: what an agent tries in there then reaches the probes' hooks.
            fs::DirBuilder::new().recursive(true).mode(0o711).create(directory).map_err(failed)?;
        }
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(GateError::NoSocket { path: path.to_owned() });
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(GateError::Taken { path: path.to_owned() });
            }
            // Whoever listened there is gone.
            Ok(_) => fs::remove_file(path).map_err(failed)?,
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let gate = Self { listener, path: path.to_owned() };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        gate.listener.set_nonblocking(true).map_err(failed)?;
        Ok(gate)
    }

    /// Who has come, if anybody, and why no run of theirs can be watched here.
    pub(crate) fn admit(&self) -> io::Result<Option<(UnixStream, Option<String>)>> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(false)?;
        let peer = getsockopt(&stream, PeerCredentials)?;
        if peer.uid() != geteuid().as_raw() {
            return Ok(Some((stream, Some("it serves its own user alone".to_owned()))));
        }
        let differs = NAMESPACES.into_iter().find(|namespace| {
            let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/{namespace}")).ok();
            of(&peer.pid().to_string()) != of("self")
        });
        let reason = differs.map(|namespace| format!("it lives in another {namespace} namespace"));
        Ok(Some((stream, reason)))
    }
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_taken_once_and_that_of_a_dead_observer_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/observer.sock");
        let gate = Gate::open(&path).unwrap();
        assert!(matches!(Gate::open(&path), Err(GateError::Taken { .. })));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(gate);
        assert!(!path.exists());
        // As a killed observer leaves it: bound once, and nobody listens.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Gate::open(&path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(matches!(Gate::open(&path), Err(GateError::NoSocket { .. })));
    }

    #[test]
    fn who_comes_from_here_is_admitted() {
        let directory = tempfile::tempdir().unwrap();
        let gate = Gate::open(&directory.path().join("observer.sock")).unwrap();
        assert!(gate.admit().unwrap().is_none());
        let _peer = UnixStream::connect(&gate.path).unwrap();
        let (_, reason) = gate.admit().unwrap().unwrap();
        assert_eq!(reason, None);
    }
}
