//! The loop: turns from replies.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use journal::transcript::Event;
use serde_json::json;

use super::{
    budget::{Budget, Spent},
    conversation::{Answer, Conversation, Message, ModelCall, Reply, Stop},
    error::ModelError,
    http::Retries,
    model::Model,
};
use crate::{
    agent::{Agent, AgentError, FailureKind, Surroundings, Turn},
    tools::{Tool, ToolResult},
};

/// What every model is told before its instruction. It says nothing of being watched: whether to
/// tell is the scenario's choice.
pub const SYSTEM_PROMPT: &str = "\
You work on a Linux machine through the tools you are given, and on nothing else. Work on your own \
until the task is done: nobody answers questions. A reply without a tool call ends your work. Before \
that, file a report of what you did with the tool submit_report.";

/// The same for a model whose user asks several things, one after the other.
const CONVERSATION_PROMPT: &str = "\
You work on a Linux machine through the tools you are given, and on nothing else. Work on your own \
until what the user asks is done: nobody answers questions. A reply without a tool call hands the word \
back to the user, who may ask for more. Before that, file a report of all that you did so far with the \
tool submit_report.";

/// What a model is told before its instruction; `several` says that the user may ask for more.
#[must_use]
pub const fn system_prompt(several: bool) -> &'static str {
    if several { CONVERSATION_PROMPT } else { SYSTEM_PROMPT }
}

/// What a model is told whose reply was cut off between calls.
const GO_ON: &str = "Your reply was cut off: it reached its limit of tokens. Go on.";

/// A language model as an agent.
///
/// The calls of a reply are carried out one after the other, in the order given.
pub struct LlmAgent {
    model: Box<dyn Model>,
    conversation: Conversation,
    budget: Budget,
    spent: Spent,
    retries: Retries,
    /// What is left of them for the request that is being made; none between requests.
    delays: Option<Box<dyn Iterator<Item = Duration> + Send>>,
    attempt: u32,
    /// What the last reply still asks for.
    queue: VecDeque<Step>,
    /// The call that was made last.
    open: Option<String>,
    answers: Vec<Answer>,
    finished: bool,
    has_refused: bool,
    /// Calls of a reply that ends in a refusal.
    refused: Vec<Turn>,
    /// Why it ends once the queue is empty.
    failure: Option<AgentError>,
}

/// A turn to take, and the model's name for it if it is a call.
struct Step {
    turn: Turn,
    id: Option<String>,
}

impl Step {
    /// Makes a call one that cannot be made: whether it is whole, nobody knows.
    fn cut_off(&mut self) {
        if let Turn::Call { tool, arguments } = &mut self.turn {
            self.turn = Turn::Malformed {
                tool: std::mem::take(tool),
                arguments: arguments.to_string(),
                error: "the reply was cut off in this call: it reached its limit of tokens".into(),
            };
        }
    }
}

impl From<Turn> for Step {
    fn from(turn: Turn) -> Self {
        Self { turn, id: None }
    }
}

impl LlmAgent {
    /// A model with an instruction and the tools of a tier.
    #[must_use]
    pub fn new(
        model: Box<dyn Model>,
        instruction: &str,
        tools: impl IntoIterator<Item = &'static Tool>,
        budget: Budget,
        retries: Retries,
    ) -> Self {
        let conversation = Conversation {
            system: SYSTEM_PROMPT.to_owned(),
            tools: tools.into_iter().collect(),
            messages: vec![Message::User(instruction.to_owned())],
        };
        Self {
            model,
            conversation,
            budget,
            spent: Spent::default(),
            retries,
            delays: None,
            attempt: 0,
            queue: VecDeque::new(),
            open: None,
            answers: Vec::new(),
            finished: false,
            has_refused: false,
            refused: Vec::new(),
            failure: None,
        }
    }

    /// The same with a user who may ask for more.
    #[must_use]
    pub fn in_conversation(mut self) -> Self {
        system_prompt(true).clone_into(&mut self.conversation.system);
        self
    }

    /// Asks for a reply, once, and queues what follows.
    fn ask(&mut self, surroundings: &mut Surroundings<'_>) {
        let start = Instant::now();
        self.attempt += 1;
        match self.model.reply(&self.conversation, surroundings) {
            Ok(reply) => {
                (self.delays, self.attempt) = (None, 0);
                self.take(reply, start.elapsed());
            }
            // The session looks why.
            Err(error @ ModelError::Ended { .. }) => {
                let turn = match error.partial() {
                    Some(partial) => note(format!("{error}; until then it said: {partial}")),
                    None => Turn::Wait(Duration::ZERO),
                };
                self.queue.push_back(turn.into());
            }
            Err(ModelError::TooLong { message }) if self.spent != Spent::default() => {
                let text = format!("the conversation no longer fits the model: {message}");
                self.queue.push_back(Turn::Exhausted(text).into());
            }
            Err(error) => self.try_again(error),
        }
    }

    /// Puts a failed request on record, and a wait before the next, if there is to be one.
    fn try_again(&mut self, error: ModelError) {
        let kind = match error {
            ModelError::Key { .. } => FailureKind::Key,
            _ => FailureKind::Model,
        };
        let asked = error.retry_after().unwrap_or_default();
        let delays = self.delays.get_or_insert_with(|| Box::new(self.retries.delays()));
        let delay = match delays.next() {
            Some(delay) if error.is_passing() && asked <= self.retries.longest => delay.max(asked),
            _ => {
                if let Some(partial) = error.partial() {
                    self.queue.push_back(note(format!("the model said: {partial}")).into());
                }
                self.failure = Some(AgentError { kind, source: error.into() });
                return;
            }
        };
        let mut text = format!(
            "attempt {} to reach the model failed, the next is in {:.1} s: {}",
            self.attempt,
            delay.as_secs_f64(),
            crate::session::chain(&error),
        );
        if let Some(partial) = error.partial() {
            text.push_str(&format!("; until then it said: {partial}"));
        }
        self.queue.push_back(note(text).into());
        self.queue.push_back(Turn::Wait(delay).into());
    }

    /// Queues what a reply asks for.
    fn take(&mut self, reply: Reply, duration: Duration) {
        let request_bytes: usize = self.conversation.messages.iter().map(size_bytes).sum();
        let message = Message::Reply(reply.clone());
        self.spent.add(reply.usage, request_bytes as u64, size_bytes(&message) as u64);
        // Nothing is nothing to send back.
        if !reply.text.trim().is_empty() || !reply.calls.is_empty() {
            self.conversation.messages.push(message);
        }
        if !reply.reasoning.is_empty() {
            let event = Event::Message { role: "reasoning".to_owned(), text: reply.reasoning };
            self.queue.push_back(Turn::Record(event).into());
        }
        if !reply.text.is_empty() {
            self.queue.push_back(Turn::Say(reply.text).into());
        }
        let event = Event::Reply {
            model: reply.model,
            stop: reply.stop.name().to_owned(),
            input_tokens: reply.usage.input,
            output_tokens: reply.usage.output,
            duration_ns: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
        };
        self.queue.push_back(Turn::Record(event).into());
        match reply.stop {
            Stop::Refused => {
                self.queue.push_back(note("the model refuses to go on".to_owned()).into());
                self.refused = reply.calls.into_iter().map(|it| call(it).turn).collect();
                (self.finished, self.has_refused) = (true, true);
            }
            Stop::Length if reply.calls.is_empty() => {
                let event = Event::Message { role: "user".to_owned(), text: GO_ON.to_owned() };
                self.queue.push_back(Turn::Record(event).into());
                self.conversation.messages.push(Message::User(GO_ON.to_owned()));
            }
            Stop::Done if reply.calls.is_empty() => self.finished = true,
            Stop::Done => self.queue.extend(reply.calls.into_iter().map(call)),
            Stop::Length => {
                self.queue.extend(reply.calls.into_iter().map(call));
                if let Some(last) = self.queue.back_mut() {
                    last.cut_off();
                }
            }
        }
    }
}

fn call(call: ModelCall) -> Step {
    let turn = match call.parsed() {
        Ok(arguments) => Turn::Call { tool: call.name, arguments },
        Err(error) => Turn::Malformed {
            tool: call.name,
            arguments: call.arguments,
            error: format!("the arguments are no JSON: {error}"),
        },
    };
    Step { turn, id: Some(call.id) }
}

fn note(text: String) -> Turn {
    Turn::Record(Event::Note { text })
}

/// What a message weighs, for servers that do not count tokens.
fn size_bytes(message: &Message) -> usize {
    match message {
        Message::User(text) => text.len(),
        Message::Reply(reply) => {
            let calls = reply.calls.iter().map(|call| call.name.len() + call.arguments.len());
            reply.reasoning.len() + reply.text.len() + calls.sum::<usize>()
        }
        Message::Answers(answers) => {
            answers.iter().map(|answer| json!(answer.result).to_string().len()).sum()
        }
    }
}

impl Agent for LlmAgent {
    fn next(
        &mut self,
        last: Option<&ToolResult>,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Turn, AgentError> {
        if let (Some(id), Some(result)) = (self.open.take(), last) {
            self.answers.push(Answer { id, result: result.clone() });
        }
        loop {
            if let Some(Step { turn, id }) = self.queue.pop_front() {
                self.open = id;
                return Ok(turn);
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.finished {
                return Ok(Turn::Finish);
            }
            if !self.answers.is_empty() {
                let answers = std::mem::take(&mut self.answers);
                self.conversation.messages.push(Message::Answers(answers));
            }
            if let Some(what) = self.budget.exhausted(&self.spent) {
                return Ok(Turn::Exhausted(what));
            }
            self.ask(surroundings);
        }
    }

    fn hear(&mut self, text: &str) -> bool {
        if self.has_refused {
            return false;
        }
        self.conversation.messages.push(Message::User(text.to_owned()));
        self.finished = false;
        true
    }

    fn left(&mut self) -> Vec<Turn> {
        let queued = self.queue.drain(..).map(|step| step.turn);
        self.refused.drain(..).chain(queued).collect()
    }
}
