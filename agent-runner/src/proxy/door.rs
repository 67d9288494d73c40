//! Where the sandbox finds its model: an address of loopback, and a token.

use std::{
    fs::File,
    io::{self, Read as _},
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener as AsyncListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::{caller::Caller, dialect::Dialect};

/// How long to wait where no connection can be taken: no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);
/// Most connections at a time; more wait. Each takes a descriptor of the supervisor's.
const CONNECTIONS: usize = 128;

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
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        Ok(Guarded { listener, own: self.address, uid, places })
    }
}

/// A door at which it is looked who comes.
#[derive(Debug)]
pub(crate) struct Guarded {
    listener: AsyncListener,
    own: SocketAddr,
    uid: u32,
    places: Arc<Semaphore>,
}

impl Listener for Guarded {
    type Io = Seated;
    type Addr = Caller;

    async fn accept(&mut self) -> (Seated, Caller) {
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await.expect("the places are never closed");
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            match Caller::of(peer, self.own) {
                Some(caller) if caller.uid == self.uid => {
                    // Pieces of a stream are small, and each is waited for.
                    let _ = stream.set_nodelay(true);
                    return (Seated { stream, _place: place }, caller);
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

/// A connection that takes one of the places.
#[derive(Debug)]
pub(crate) struct Seated {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Seated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Seated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected<IncomingStream<'_, Guarded>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Guarded>) -> Self {
        *stream.remote_addr()
    }
}
