//! What a model is to the loop.

use super::{
    conversation::{Conversation, Reply},
    error::ModelError,
};
use crate::agent::Surroundings;

/// A model behind a wire format. An adapter for another one is another implementation.
pub trait Model: Send {
    /// Asks once for the reply to a conversation. Pieces of its text are shown to the surroundings
    /// as they come; the reply is given back only when it is whole.
    ///
    /// # Errors
    ///
    /// [`ModelError`]; nothing is tried again here.
    fn reply(
        &mut self,
        conversation: &Conversation,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Reply, ModelError>;
}

/// How a model chooses its words.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Left to the server where it is none.
    pub temperature: Option<f64>,
    /// Most tokens of one reply.
    pub max_tokens: Option<u32>,
    /// Of the sampler's random numbers, where the wire format has one.
    pub seed: u64,
}
