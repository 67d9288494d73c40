//! Clients that speak line by line: over standard streams, or a unix socket.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rmcp::ServiceExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};

use super::{ServeError, ToolServer, on_thread, runtime};

/// Most clients at a time at a socket that the sandbox reaches; others wait.
const CLIENTS: usize = 64;

/// Serves one client over this process's standard input and output until it closes them, then closes
/// the desk. Nothing else may use them meanwhile.
///
/// # Errors
///
/// [`ServeError::Thread`].
pub fn serve_stdio(server: ToolServer) -> Result<(), ServeError> {
    let runtime = runtime()?;
    on_thread(move || {
        let (stdin, stdout) = rmcp::transport::stdio();
        runtime.block_on(serve(&server, stdin, stdout));
        server.close();
        // A thread that reads standard input cannot be ended; it goes with the process.
        runtime.shutdown_background();
    })
}

/// Serves any number of clients at a unix socket that it makes, for this user alone, as long as the
/// process lives.
///
/// # Errors
///
/// [`ServeError::Socket`], [`ServeError::Thread`].
pub fn serve_unix(server: ToolServer, path: &Path, uid: u32) -> Result<(), ServeError> {
    let failed = |source| ServeError::Socket { path: path.to_owned(), source };
    let runtime = runtime()?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::UnixListener::bind(path).map_err(failed)?
    };
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    chown(path, Some(uid), Some(uid)).map_err(failed)?;
    on_thread(move || {
        runtime.block_on(async {
            let room = Arc::new(Semaphore::new(CLIENTS));
            // Nobody closes it.
            while let Ok(place) = Arc::clone(&room).acquire_owned().await {
                match listener.accept().await {
                    Ok((client, _)) => {
                        let server = server.clone();
                        tokio::spawn(async move {
                            let (reader, writer) = client.into_split();
                            serve(&server, reader, writer).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a client of the tools was not let in");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    })
}

async fn serve(
    server: &ToolServer,
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
) {
    match server.visitor().serve((reader, writer)).await {
        Ok(client) => drop(client.waiting().await),
        Err(error) => tracing::warn!(%error, "a client of the tools does not speak MCP"),
    }
}
