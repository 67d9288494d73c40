//! A reply under construction, from pieces.

use super::{
    conversation::{ModelCall, Reply},
    error::ModelError,
};
use crate::{agent::Surroundings, watch::Moment};

/// Most calls of one reply.
const CALL_LIMIT: usize = 128;

/// A reply of which more may come. What has come is shown at once.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    pub(crate) reply: Reply,
    /// The calls by the number that the server gives them.
    numbers: Vec<u64>,
    /// Whether the server has said why the reply ends: it is whole.
    pub(crate) ended: bool,
}

impl Assembly {
    /// Adds to the words.
    pub(crate) fn say(&mut self, piece: &str, surroundings: &mut Surroundings<'_>) {
        if !piece.is_empty() {
            self.reply.text.push_str(piece);
            surroundings.progress.show(Moment::Piece { text: piece });
        }
    }

    /// The call of this number, begun if it is new.
    pub(crate) fn call(&mut self, number: u64) -> Result<&mut ModelCall, ModelError> {
        let position = self.numbers.iter().position(|known| *known == number);
        let position = match position {
            Some(position) => position,
            None if self.numbers.len() >= CALL_LIMIT => {
                return Err(ModelError::broken(format!("it makes more than {CALL_LIMIT} calls")));
            }
            None => {
                self.numbers.push(number);
                self.reply.calls.push(ModelCall::default());
                self.numbers.len() - 1
            }
        };
        Ok(&mut self.reply.calls[position])
    }

    /// The number of a call that would be new.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.iter().max().map_or(0, |last| last + 1)
    }

    /// The number of the call that was begun last.
    pub(crate) fn last_number(&self) -> Option<u64> {
        self.numbers.last().copied()
    }

    /// The reply, if the stream came to its end and brought all of it.
    pub(crate) fn finish(mut self, streamed: Result<(), ModelError>) -> Result<Reply, ModelError> {
        match streamed {
            Ok(()) if self.ended => {
                for (index, call) in self.reply.calls.iter_mut().enumerate() {
                    if call.id.is_empty() {
                        call.id = format!("call_{index}");
                    }
                }
                Ok(self.reply)
            }
            Ok(()) => Err(ModelError::Broken {
                reason: "the stream ended before the reply did".to_owned(),
                partial: self.reply.told(),
            }),
            Err(ModelError::Broken { reason, .. }) => {
                Err(ModelError::Broken { reason, partial: self.reply.told() })
            }
            Err(ModelError::Ended { .. }) => Err(ModelError::Ended { partial: self.reply.told() }),
            Err(error) => Err(error),
        }
    }
}
