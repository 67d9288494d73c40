//! Serves metrics over HTTP.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use axum::{Router, http::header, response::IntoResponse, routing::get};

use crate::exposition::Exposition;

/// Serves `/metrics` on a thread of its own until the process ends, and tells where.
///
/// # Errors
///
/// When the address is taken.
pub(crate) fn serve(address: SocketAddr, exposition: Arc<Exposition>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let page = move || async move {
        ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], exposition.text()).into_response()
    };
    let router = Router::new().route("/metrics", get(page));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        runtime.block_on(async {
            let listener = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => return tracing::warn!(%error, "cannot serve metrics"),
            };
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "metrics are no longer served");
            }
        });
    })?;
    Ok(bound)
}
