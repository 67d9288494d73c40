//! Language models as agents.
//!
//! The model is asked from here, outside the sandbox: its key and its connection never reach what
//! its calls start. [`Model`] is one request and one streamed reply, whatever the wire format;
//! [`LlmAgent`] makes turns of replies, keeps the conversation, the budget, and tries again what
//! failed for a while.

mod agent;
mod anthropic;
mod assembly;
mod budget;
mod conversation;
mod error;
mod http;
mod model;
mod openai;
mod refusal;

pub use agent::{LlmAgent, SYSTEM_PROMPT, system_prompt};
pub use anthropic::Anthropic;
pub use budget::{Budget, Price};
pub use conversation::{Answer, Conversation, Message, ModelCall, Reply, Stop, Usage};
pub use error::ModelError;
pub use http::{ApiKey, ConnectError, Connection, Retries, endpoint};
pub use model::{Model, Sampling};
pub use openai::OpenAi;

pub(crate) use budget::Spent;
pub(crate) use http::{base_address, client};
