//! Services of the host that answer at unix sockets.

use std::{
    fs,
    io::IoSlice,
    os::{
        fd::AsRawFd as _,
        linux::net::SocketAddrExt as _,
        unix::{
            fs::PermissionsExt as _,
            net::{SocketAddr, UnixDatagram, UnixListener},
        },
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// A stream and a datagram socket that everybody may write to, and an abstract one.
#[derive(Debug)]
pub struct Service {
    stream: (PathBuf, UnixListener),
    datagram: (PathBuf, UnixDatagram),
    name: String,
    _abstract: UnixListener,
}

impl Service {
    /// Starts one with its files in this directory.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (stream, datagram) = (directory.join("stream"), directory.join("datagram"));
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bjt-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("the name is short");
        let service = Self {
            stream: (stream.clone(), UnixListener::bind(&stream).expect("the name is free")),
            datagram: (datagram.clone(), UnixDatagram::bind(&datagram).expect("the name is free")),
            _abstract: UnixListener::bind_addr(&address).expect("the name is free"),
            name: format!("@{name}"),
        };
        for path in [stream, datagram] {
            open_to_all(&path);
        }
        service
    }

    /// Its stream socket.
    #[must_use]
    pub fn stream(&self) -> &Path {
        &self.stream.0
    }

    /// Its datagram socket.
    #[must_use]
    pub fn datagram(&self) -> &Path {
        &self.datagram.0
    }

    /// The name of its abstract socket, behind an `@`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many have connected.
    ///
    /// # Panics
    ///
    /// When the kernel does not say.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.stream.1.set_nonblocking(true).expect("it is a socket");
        self.stream.1.incoming().take_while(Result::is_ok).count()
    }

    /// How many datagrams have come.
    ///
    /// # Panics
    ///
    /// When the kernel does not say.
    #[must_use]
    pub fn received(&self) -> usize {
        self.datagram.1.set_nonblocking(true).expect("it is a socket");
        let come = || self.datagram.1.recv(&mut [0; 64]).ok();
        std::iter::from_fn(come).count()
    }
}

/// Passes a descriptor of `file`, open for writing, to each who connects to `socket`, as long as the test
/// runs.
///
/// # Panics
///
/// When it cannot be started.
pub fn pass(socket: &Path, file: &Path) {
    let listener = UnixListener::bind(socket).expect("the name is free");
    open_to_all(socket);
    let file = fs::File::options().write(true).open(file).expect("root may");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let descriptors = [file.as_raw_fd()];
            let passed = [ControlMessage::ScmRights(&descriptors)];
            // Who is gone already needs none.
            let _ = sendmsg::<()>(
                stream.as_raw_fd(),
                &[IoSlice::new(b"x")],
                &passed,
                MsgFlags::MSG_NOSIGNAL,
                None,
            );
        }
    });
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("root owns the file");
}
