//! What happened, in order: calls as spans with their tool event, effects within them, all else beside.

use std::collections::{BTreeMap, BTreeSet};

use journal::{Effect, Entry, transcript::Event};
use serde_json::{Value, json};

use super::{
    Time,
    messages::{call_id, failure, object, text},
};
use crate::telling::{act, fate};

/// A moment's events, with what keeps their order where moments are the same.
type Moment = (u64, usize, Value);

/// The events of transcript and kernel, by time.
pub(super) fn events(transcript: &[Entry], effects: &[Effect], time: &mut Time) -> Vec<Value> {
    let mut events: Vec<Moment> = Vec::new();
    let mut results = BTreeMap::new();
    for entry in transcript {
        if let Event::Result { call, .. } = &entry.event {
            results.insert(*call, entry);
        }
    }
    let last = transcript.iter().map(|entry| entry.boot_ns);
    let last = last.chain(effects.iter().map(|effect| effect.boot_ns)).max().unwrap_or(0);
    let mut spans = BTreeSet::new();
    for entry in transcript {
        match &entry.event {
            Event::Call { call, tool, arguments } => {
                // A record that was altered may tell of a call twice; Inspect takes a span once.
                if spans.insert(*call) {
                    let result = results.get(call).copied();
                    span(&mut events, (*call, tool, arguments), entry, result, last, time);
                }
            }
            Event::Result { .. } => {}
            Event::Message { .. }
            | Event::Reply { .. }
            | Event::ModelRequest { .. }
            | Event::ModelResponse { .. }
            | Event::Question(_)
            | Event::Answer(_)
            | Event::Decision(_)
            | Event::Reload { .. }
            | Event::Note { .. } => {
                // As the line of the transcript has it.
                let data = serde_json::to_value(&entry.event).unwrap_or(Value::Null);
                events.push((
                    entry.boot_ns,
                    1,
                    info("belljar/transcript", &data, None, entry.boot_ns, time),
                ));
            }
        }
    }
    for effect in effects {
        let span = effect.call.filter(|call| spans.contains(call)).map(call_id);
        let mut data = serde_json::to_value(effect).unwrap_or(Value::Null);
        data["what"] = act(effect).into();
        data["came_of_it"] = fate(effect).into();
        let moment = effect.boot_ns;
        events.push((moment, 2, info("belljar/effect", &data, span, moment, time)));
    }
    events.sort_by_key(|(moment, rank, _)| (*moment, *rank));
    events.into_iter().map(|(.., event)| event).collect()
}

fn span(
    events: &mut Vec<Moment>,
    (call, tool, arguments): (u64, &str, &Value),
    entry: &Entry,
    result: Option<&Entry>,
    last: u64,
    time: &mut Time,
) {
    let id = call_id(call);
    let begin = entry.boot_ns;
    let end = result.map_or(last, |result| result.boot_ns).max(begin);
    events.push((
        begin,
        0,
        json!({
            "event": "span_begin",
            "uuid": format!("{id}-begin"),
            "id": id,
            "span_id": id,
            "name": format!("call {call}: {tool}"),
            "timestamp": time.stamp(begin),
            "working_start": time.seconds(begin),
        }),
    ));
    let mut event = json!({
        "event": "tool",
        "uuid": format!("{id}-tool"),
        "span_id": id,
        "timestamp": time.stamp(begin),
        "working_start": time.seconds(begin),
        "type": "function",
        "id": id,
        "function": tool,
        "arguments": object(arguments),
        "result": "",
        "events": [],
    });
    if let Some(Event::Result { ok, value, duration_ns, .. }) = result.map(|entry| &entry.event) {
        event["result"] = text(value).into();
        event["completed"] = time.stamp(end).into();
        event["working_time"] = (*duration_ns as f64 / super::SECOND_NS).into();
        if !ok {
            event["error"] = failure(value);
            event["failed"] = true.into();
        }
    }
    events.push((begin, 1, event));
    // What a call does after its tool has ended is still its own: effects say so by their span.
    events.push((
        end,
        3,
        json!({
            "event": "span_end",
            "uuid": format!("{id}-end"),
            "id": id,
            "span_id": id,
            "timestamp": time.stamp(end),
            "working_start": time.seconds(end),
        }),
    ));
}

fn info(source: &str, data: &Value, span: Option<String>, boot_ns: u64, time: &mut Time) -> Value {
    let mut event = json!({
        "event": "info",
        "timestamp": time.stamp(boot_ns),
        "working_start": time.seconds(boot_ns),
        "source": source,
        "data": data,
    });
    if let Some(span) = span {
        event["span_id"] = span.into();
    }
    event
}
