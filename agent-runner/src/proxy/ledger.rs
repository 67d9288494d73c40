//! What a run has asked of its model: on record, counted, within its budget.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use journal::{
    Entry,
    transcript::{Event, Repeats},
    writer::WriteError,
};
use serde_json::Value;

use super::{
    caller::Holder,
    dialect::{Asked, Refusal},
};
use crate::{
    cancel::Cancel,
    llm::{Budget, Spent, Usage},
    session::boot_ns,
    watch::{SharedTranscript, Transcript as _},
};

/// Most bytes of a body on record.
const BODY_LIMIT_BYTES: usize = 1 << 20;
/// Most bytes of all bodies on record. From there on each is cut to [`STUB_BYTES`].
const ROOM_BYTES: usize = 512 << 20;
const STUB_BYTES: usize = 4 << 10;
/// Most requests on record that the proxy refused: a program that does not listen would fill the
/// disk with them.
const REFUSED_LIMIT: u64 = 1000;
/// From how many bytes on a member of a body that an earlier one has as well is left out.
const MEMBER_BYTES: usize = 128;

/// The account of one run's requests.
pub(crate) struct Ledger {
    state: Mutex<State>,
    budget: Budget,
    cancel: Cancel,
}

struct State {
    transcript: SharedTranscript,
    /// Why the transcript could not be written, the first time.
    failed: Option<WriteError>,
    requests: u64,
    refused: u64,
    spent: Spent,
    room: usize,
    /// The last body of a conversation, whole.
    last: Option<(u64, Asked, Value)>,
}

/// A request on record whose answer is not.
#[derive(Debug)]
pub(crate) struct Open {
    number: u64,
    start: Instant,
    asked: Option<Asked>,
    body_bytes: usize,
    /// Whether it is counted as a reply, for now.
    counted: bool,
}

/// What a request is.
pub(crate) struct Request<'a> {
    pub(crate) line: &'a str,
    pub(crate) holder: Option<Holder>,
    /// What it asks for, where that is known.
    pub(crate) asked: Option<Asked>,
    pub(crate) body: &'a Value,
    pub(crate) body_bytes: usize,
}

/// What came of a request.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) status: Option<u16>,
    pub(crate) refusal: Option<String>,
    pub(crate) broken: Option<String>,
    pub(crate) streamed: bool,
    pub(crate) body: Value,
    pub(crate) body_bytes: u64,
    pub(crate) truncated: bool,
    pub(crate) usage: Usage,
}

impl Ledger {
    pub(crate) fn new(transcript: SharedTranscript, budget: Budget, cancel: Cancel) -> Self {
        let state = State {
            transcript,
            failed: None,
            requests: 0,
            refused: 0,
            spent: Spent::default(),
            room: ROOM_BYTES,
            last: None,
        };
        Self { state: Mutex::new(state), budget, cancel }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request on record and counts it. The refusal is that of a budget.
    pub(crate) fn open(&self, request: &Request<'_>) -> (Open, Option<Refusal>) {
        let mut state = self.lock();
        state.requests += 1;
        let works = request.asked.is_some_and(Asked::is_work);
        let exhausted = self.budget.exhausted(&state.spent).filter(|_| works);
        let counted = works && exhausted.is_none();
        if counted {
            state.spent.begin();
        }
        let open = Open {
            number: state.requests,
            start: Instant::now(),
            asked: request.asked,
            body_bytes: request.body_bytes,
            counted,
        };
        if state.refused < REFUSED_LIMIT {
            let event = state.request(request);
            self.append(&mut state, event);
        }
        (open, exhausted.map(Refusal::Budget))
    }

    /// Puts on record what came of a request.
    pub(crate) fn close(&self, open: &Open, outcome: Outcome) {
        let mut state = self.lock();
        if open.counted {
            let came = outcome.status.is_some_and(|status| status < 300);
            if came {
                let request_bytes = open.body_bytes as u64;
                let reply_bytes = match open.asked {
                    Some(Asked::Embedding) => 0,
                    _ => outcome.body_bytes,
                };
                state.spent.count(outcome.usage, request_bytes, reply_bytes);
            } else {
                state.spent.give_back();
            }
        }
        if outcome.refusal.is_some() {
            state.refused += 1;
            if state.refused > REFUSED_LIMIT {
                return;
            }
        }
        let (body, cut) = state.fit(outcome.body);
        let event = Event::ModelResponse {
            request: open.number,
            status: outcome.status,
            refusal: outcome.refusal,
            broken: outcome.broken,
            streamed: outcome.streamed,
            body,
            body_bytes: outcome.body_bytes,
            truncated: cut || outcome.truncated,
            input_tokens: outcome.usage.input,
            output_tokens: outcome.usage.output,
            duration_ns: nanoseconds(open.start.elapsed()),
        };
        self.append(&mut state, event);
    }

    /// Ends the account.
    pub(crate) fn finish(&self) -> Result<(), WriteError> {
        let mut state = self.lock();
        let more = state.refused.saturating_sub(REFUSED_LIMIT);
        if more > 0 {
            let text = format!("{more} more requests to the model were refused");
            self.append(&mut state, Event::Note { text });
        }
        state.failed.take().map_or(Ok(()), Err)
    }

    /// Appends an event. What cannot be put on record ends the agent.
    fn append(&self, state: &mut State, event: Event) {
        let entry = Entry { boot_ns: boot_ns(), event };
        if let Err(error) = state.transcript.append(&entry) {
            state.failed.get_or_insert(error);
            self.cancel.cancel();
        }
    }
}

impl State {
    fn request(&mut self, request: &Request<'_>) -> Event {
        let mut body = request.body.clone();
        let mut repeats = None;
        if let Some(asked) = request.asked.filter(|_| body.is_object()) {
            if let Some((number, last_asked, last)) = &self.last
                && *last_asked == asked
            {
                repeats = leave_out(*number, last, &mut body);
            }
            if asked.is_work() {
                self.last = Some((self.requests, asked, request.body.clone()));
            }
        }
        let (body, truncated) = self.fit(body);
        Event::ModelRequest {
            request: self.requests,
            call: request.holder.map(|holder| holder.call),
            tgid: request.holder.map(|holder| holder.tgid),
            line: request.line.to_owned(),
            body,
            repeats,
            body_bytes: request.body_bytes as u64,
            truncated,
        }
    }

    /// A body that fits on record: one that is too long becomes the beginning of its text.
    fn fit(&mut self, body: Value) -> (Value, bool) {
        let text = match &body {
            Value::String(text) => text.clone(),
            body => body.to_string(),
        };
        let limit = if self.room > BODY_LIMIT_BYTES { BODY_LIMIT_BYTES } else { STUB_BYTES };
        self.room = self.room.saturating_sub(text.len().min(limit));
        if text.len() <= limit {
            return (body, false);
        }
        (Value::String(text[..text.floor_char_boundary(limit)].to_owned()), true)
    }
}

/// Leaves out of a body what an earlier one has as well.
fn leave_out(request: u64, last: &Value, body: &mut Value) -> Option<Repeats> {
    let body = body.as_object_mut()?;
    let mut repeats = Repeats { request, members: Vec::new(), messages: 0 };
    for name in ["messages", "input"] {
        let (Some(Value::Array(before)), Some(Value::Array(now))) =
            (last.get(name), body.get_mut(name))
        else {
            continue;
        };
        if !before.is_empty() && now.starts_with(before) {
            repeats.messages = before.len() as u64;
            now.drain(..before.len());
        }
    }
    body.retain(|name, value| {
        let same = last.get(name.as_str()) == Some(value)
            && value.to_string().len() >= MEMBER_BYTES
            // A text of one's own is the prompt, and short texts tell.
            && !matches!(name.as_str(), "messages" | "input");
        if same {
            repeats.members.push(name.clone());
        }
        !same
    });
    (repeats.messages > 0 || !repeats.members.is_empty()).then_some(repeats)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_conversation_repeats_is_left_out() {
        let tools = json!([{ "name": "x".repeat(MEMBER_BYTES) }]);
        let last = json!({ "model": "m", "tools": tools, "messages": [1, 2] });
        let mut body = json!({ "model": "m", "tools": tools, "messages": [1, 2, 3] });
        let repeats = leave_out(4, &last, &mut body).unwrap();
        assert_eq!(repeats, Repeats { request: 4, members: vec!["tools".to_owned()], messages: 2 });
        assert_eq!(body, json!({ "model": "m", "messages": [3] }));
        let mut other = json!({ "model": "m", "messages": [2, 1] });
        assert_eq!(leave_out(4, &last, &mut other), None);
        assert_eq!(other["messages"], json!([2, 1]));
    }
}
