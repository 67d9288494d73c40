//! Why a model gave no reply.

use std::{error::Error, time::Duration};

/// Why there is no reply. Messages hold what the server wrote, without the key: hostile text.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The end was asked for, or the time is over.
    #[error("the request was given up")]
    Ended {
        /// What the model had said until then.
        partial: String,
    },
    /// There is no connection, or it was silent for too long.
    #[error("the model's server cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The server has too much to do, or is at fault.
    #[error("the model's server answers {status}: {message}")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
        /// When it asks to be asked again.
        retry_after: Option<Duration>,
    },
    /// The reply is not whole: nothing of it was carried out.
    #[error("the reply broke off: {reason}")]
    Broken {
        /// How.
        reason: String,
        /// What the model had said until then.
        partial: String,
    },
    /// The server does not take the key, or wants one.
    #[error("the model's server refuses the key ({status}): {message}")]
    Key {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The conversation has grown longer than the model can read.
    #[error("the conversation no longer fits the model: {message}")]
    TooLong {
        /// The server's words.
        message: String,
    },
    /// The server does not take the request, such as a model that it does not have.
    #[error("the model's server refuses the request ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// What answers is no model's server, or does not stream.
    #[error("the model's server does not stream: its answer is `{content_type}`")]
    NoStream {
        /// The type of its answer.
        content_type: String,
    },
}

impl ModelError {
    /// Whether it may go well a while later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Busy { .. } | Self::Broken { .. } => true,
            Self::Ended { .. }
            | Self::Key { .. }
            | Self::TooLong { .. }
            | Self::Refused { .. }
            | Self::NoStream { .. } => false,
        }
    }

    /// How long the server asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What the model had said until then, if anything.
    #[must_use]
    pub fn partial(&self) -> Option<&str> {
        match self {
            Self::Ended { partial } | Self::Broken { partial, .. } => {
                Some(partial.as_str()).filter(|partial| !partial.is_empty())
            }
            _ => None,
        }
    }

    /// The server's words in it.
    pub(crate) fn words(&mut self) -> Option<&mut String> {
        match self {
            Self::Busy { message, .. }
            | Self::Key { message, .. }
            | Self::TooLong { message }
            | Self::Refused { message, .. }
            | Self::Broken { reason: message, .. }
            | Self::NoStream { content_type: message } => Some(message),
            Self::Ended { .. } | Self::Unreachable(_) => None,
        }
    }

    pub(crate) fn broken(reason: impl Into<String>) -> Self {
        Self::Broken { reason: reason.into(), partial: String::new() }
    }
}
