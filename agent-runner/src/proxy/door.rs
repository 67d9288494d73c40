//! Where the sandbox finds its model: an address of loopback, and a token.

use std::{
    fs::File,
    io::{self, Read as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    net::{TcpListener as AsyncListener, TcpStream},
    time::sleep,
};

use super::{caller::Caller, dialect::Dialect};

/// How long to wait where no connection can be taken: no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// A door that is there, and behind which nobody is yet: who comes waits.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    token: Arc<str>,
}

impl Door {
    /// Opens one at a port of the kernel's choice, with a new token.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut bytes = [0_u8; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        Ok(Self { listener, address, token })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The variables by which clients of a wire format find it, and the token in a key's place.
    #[must_use]
    pub fn environment(&self, dialect: Dialect) -> [(&'static str, String); 2] {
        let [base, key] = dialect.variables();
        [(base, dialect.base(self.address)), (key, self.token.to_string())]
    }

    pub(crate) fn token(&self) -> Arc<str> {
        Arc::clone(&self.token)
    }

    /// Lets those in who are of a user; to be called within a runtime.
    pub(crate) fn guarded(self, uid: u32) -> io::Result<Guarded> {
        let listener = AsyncListener::from_std(self.listener)?;
        Ok(Guarded { listener, own: self.address, uid })
    }
}

/// A door at which it is looked who comes.
#[derive(Debug)]
pub(crate) struct Guarded {
    listener: AsyncListener,
    own: SocketAddr,
    uid: u32,
}

impl Listener for Guarded {
    type Io = TcpStream;
    type Addr = Caller;

    async fn accept(&mut self) -> (TcpStream, Caller) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            match Caller::of(peer, self.own) {
                Some(caller) if caller.uid == self.uid => {
                    // Pieces of a stream are small, and each is waited for.
                    let _ = stream.set_nodelay(true);
                    return (stream, caller);
                }
                Some(Caller { uid, .. }) => {
                    tracing::warn!(uid, "somebody who is not of the run came for its model");
                }
                // Gone already.
                None => {}
            }
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Connected<IncomingStream<'_, Guarded>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Guarded>) -> Self {
        *stream.remote_addr()
    }
}
