//! Clients that speak streamable HTTP, on loopback.

use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use rmcp::transport::{
    StreamableHttpServerConfig, StreamableHttpService,
    streamable_http_server::session::local::{LocalSessionManager, SessionConfig},
};

use super::{ServeError, ToolServer, on_thread, runtime};

/// Where clients ask, on an HTTP server.
pub const PATH: &str = "/mcp";

/// Fewest characters of a token.
const TOKEN_LENGTH: usize = 16;

/// What a client has to show: whoever is on this machine can reach the address.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A token that a header can carry (RFC 6750) and that is long enough.
    ///
    /// # Errors
    ///
    /// [`ServeError::Token`].
    pub fn new(text: &str) -> Result<Self, ServeError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if text.len() < TOKEN_LENGTH || !text.bytes().all(fits) {
            return Err(ServeError::Token);
        }
        Ok(Self(text.into()))
    }

    /// The token itself.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a header shows it. How long this takes does not tell how much of it was right.
    fn is_shown_by(&self, header: &[u8]) -> bool {
        let Some((scheme, shown)) = header.split_at_checked(7) else { return false };
        let differs = |(one, other): (&u8, &u8)| one ^ other;
        scheme.eq_ignore_ascii_case(b"bearer ")
            && shown.len() == self.0.len()
            && shown.iter().zip(self.0.as_bytes()).map(differs).fold(0, |all, it| all | it) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

/// A server on the loopback interface.
#[derive(Debug)]
pub struct HttpServer {
    /// Where it listens.
    pub address: SocketAddr,
}

impl HttpServer {
    /// What a client is to be told.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }
}

/// Serves any number of clients over streamable HTTP, as long as the process lives. A client that says
/// nothing for `idle` counts as gone.
///
/// # Errors
///
/// [`ServeError`].
pub fn serve_http(
    server: ToolServer,
    address: SocketAddr,
    token: Token,
    idle: Duration,
) -> Result<HttpServer, ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let runtime = runtime()?;
    // Only requests whose `Host` is loopback's are answered, and none that says that it comes from a
    // page in a browser: neither can such a page lead a name of its own here.
    let config = StreamableHttpServerConfig::default().enforce_origin_validation();
    let mut session = SessionConfig::default();
    session.keep_alive = Some(idle);
    let mut manager = LocalSessionManager::default();
    manager.session_config = session;
    let service =
        StreamableHttpService::new(move || Ok(server.distant_visitor()), Arc::new(manager), config);
    let router = axum::Router::new()
        .nest_service(PATH, service)
        .layer(from_fn_with_state(token, shows_token));
    on_thread(move || {
        let served = runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
        });
        if let Err(error) = served {
            tracing::warn!(%error, "clients are not served any more");
        }
    })?;
    Ok(HttpServer { address })
}

async fn shows_token(State(token): State<Token>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    if shown.is_some_and(|shown| token.is_shown_by(shown.as_bytes())) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_whole_or_not_at_all() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is_shown_by(b"Bearer 0123456789abcdef"));
        for header in ["Bearer 0123456789abcde", "Bearer 0123456789abcdee", "bearer", ""] {
            assert!(!token.is_shown_by(header.as_bytes()), "{header}");
        }
        for text in ["short", "0123456789 abcdef", "0123456789abcdefä"] {
            assert!(Token::new(text).is_err(), "{text}");
        }
        assert_eq!(format!("{token:?}"), "Token");
    }
}
