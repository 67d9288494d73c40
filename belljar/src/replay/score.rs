//! What a recorded transcript asks for again, in order.
//!
//! What was the recorded run's own is translated: paths of its files, and the processes of its
//! scenario's components where a tool names one. What cannot be is left out, with the reason.

use std::{collections::BTreeMap, ffi::OsString, os::unix::ffi::OsStringExt as _, time::Duration};

use agent_runner::outside::{Exec, Place, Read, Request, Write};
use journal::{
    escape::unescape,
    transcript::{Entry, Event},
};
use serde_json::Value;

/// Most bytes of a program's output that are kept.
const OUTPUT_BYTES: usize = 10 << 20;
/// What a replayed command may take, where nothing else limits it.
const COMMAND_TIME: Duration = Duration::from_secs(24 * 3600);
/// What the redactor leaves in the place of a secret.
const REDACTED: &str = "[redacted ";

/// One step of a replay.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// A call begins.
    Begin {
        /// Its number in the recorded run.
        call: u64,
        request: Request,
    },
    /// The recorded call had ended before what comes next began.
    Await(u64),
    /// A call cannot be made again.
    LeftOut {
        /// Its number in the recorded run.
        call: u64,
        /// The tool's name, as the agent wrote it.
        tool: String,
        why: String,
    },
}

/// What of the recorded run has another name now.
#[derive(Debug, Default)]
pub(super) struct Translation {
    /// Paths: what began with the first begins with the second now.
    pub(super) paths: Vec<(String, String)>,
    /// Processes of components: the recorded one's number, and today's.
    pub(super) processes: BTreeMap<i64, u32>,
}

/// The steps of a transcript, in order.
pub(super) fn steps(entries: &[Entry], translation: &Translation) -> Vec<Step> {
    // A wrapped command would call its own tools again, which it has no more; they are called for it.
    let calls = entries.iter().filter(|entry| matches!(entry.event, Event::Call { .. })).count();
    entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Call { call, tool, arguments } => {
                let request = if tool == "command" && calls > 1 {
                    Err("the command called tools, and those calls are made again".to_owned())
                } else {
                    request(tool, arguments, translation)
                };
                Some(match request {
                    Ok(request) => Step::Begin { call: *call, request },
                    Err(why) => Step::LeftOut { call: *call, tool: tool.clone(), why },
                })
            }
            Event::Result { call, .. } => Some(Step::Await(*call)),
            Event::Message { .. }
            | Event::Reply { .. }
            | Event::ModelRequest { .. }
            | Event::ModelResponse { .. }
            | Event::Question(_)
            | Event::Answer(_)
            | Event::Decision(_)
            | Event::Reload { .. }
            | Event::Note { .. } => None,
        })
        .collect()
}

fn request(tool: &str, arguments: &Value, translation: &Translation) -> Result<Request, String> {
    if arguments.to_string().contains(REDACTED) {
        return Err("a secret was kept out of its record".to_owned());
    }
    for key in ["stdin", "content"] {
        if arguments.get(format!("{key}_bytes")).is_some() {
            return Err(format!("`{key}` was too long to be recorded whole"));
        }
    }
    let mut arguments = arguments.clone();
    translation.translate(&mut arguments);
    Ok(match tool {
        "command" => {
            let mut exec = exec(&arguments)?;
            exec.time = Some(COMMAND_TIME);
            Request::Exec(exec)
        }
        "exec" => Request::Exec(exec(&arguments)?),
        "read" => Request::Read(Read {
            path: text(&arguments["path"])?,
            limit_bytes: arguments["limit_bytes"]
                .as_u64()
                .and_then(|bytes| usize::try_from(bytes).ok())
                .ok_or("its limit is not on record")?,
        }),
        "write" => Request::Write(Write {
            path: text(&arguments["path"])?,
            content: bytes(&arguments["content"])?,
            append: arguments["append"].as_bool().unwrap_or(false),
            parents: arguments["parents"].as_bool().unwrap_or(false),
        }),
        tool => {
            if let Some(tgid) = arguments.get("tgid").and_then(Value::as_i64) {
                let today = translation.processes.get(&tgid).ok_or_else(|| {
                    format!(
                        "process {tgid} was of the recorded run, and no component of its scenario"
                    )
                })?;
                arguments["tgid"] = (*today).into();
            }
            Request::Tool { name: tool.to_owned(), arguments }
        }
    })
}

fn exec(arguments: &Value) -> Result<Exec, String> {
    let words = arguments["arguments"].as_array().ok_or("its arguments are not on record")?;
    let environment = match arguments["environment"].as_object() {
        None => Vec::new(),
        Some(pairs) => pairs
            .iter()
            .map(|(name, value)| Ok((text(&name.as_str().into())?, text(value)?)))
            .collect::<Result<_, String>>()?,
    };
    let directory = arguments.get("directory").map(text).transpose()?;
    Ok(Exec {
        program: text(&arguments["program"])?,
        arguments: words.iter().map(text).collect::<Result<_, _>>()?,
        place: Place { directory: directory.map(Into::into), environment },
        stdin: arguments.get("stdin").map_or(Ok(Vec::new()), bytes)?,
        time: arguments["seconds"]
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        limit_bytes: OUTPUT_BYTES,
    })
}

fn text(value: &Value) -> Result<OsString, String> {
    bytes(value).map(OsString::from_vec)
}

/// What was escaped into the record.
fn bytes(value: &Value) -> Result<Vec<u8>, String> {
    let text = value.as_str().ok_or("a word of it is not on record")?;
    unescape(text).map_err(|error| error.to_string())
}

impl Translation {
    /// Translates every string, at any depth.
    fn translate(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for (before, now) in &self.paths {
                    if text.contains(before.as_str()) {
                        *text = text.replace(before.as_str(), now);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.translate(value)),
            Value::Object(values) => values.values_mut().for_each(|value| self.translate(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entries(events: Vec<Event>) -> Vec<Entry> {
        events.into_iter().map(|event| Entry { boot_ns: 0, event }).collect()
    }

    fn call(call: u64, tool: &str, arguments: Value) -> Event {
        Event::Call { call, tool: tool.to_owned(), arguments }
    }

    fn result(call: u64) -> Event {
        Event::Result { call, ok: true, value: json!({}), duration_ns: 1 }
    }

    #[test]
    fn calls_begin_and_are_awaited_as_they_were() {
        let shell = |command: &str| json!({ "command": command });
        let entries = entries(vec![
            Event::Message { role: "user".to_owned(), text: "Do.".to_owned() },
            call(1, "shell", shell("ls /var/lib/jobs/old/x")),
            call(2, "shell", shell("true")),
            result(2),
            result(1),
        ]);
        let translation = Translation {
            paths: vec![("/var/lib/jobs/old".to_owned(), "/var/lib/jobs/new".to_owned())],
            ..Translation::default()
        };
        let steps = steps(&entries, &translation);
        let begun = |call, command: &str| {
            let (name, arguments) = ("shell".to_owned(), shell(command));
            Step::Begin { call, request: Request::Tool { name, arguments } }
        };
        let expected =
            [begun(1, "ls /var/lib/jobs/new/x"), begun(2, "true"), Step::Await(2), Step::Await(1)];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_process_is_todays_or_the_call_is_left_out() {
        let translation = Translation { processes: [(7, 70)].into(), ..Translation::default() };
        let signal = |tgid: i64| json!({ "tgid": tgid, "signal": "KILL" });
        let entries =
            entries(vec![call(1, "send_signal", signal(7)), call(2, "send_signal", signal(8))]);
        let steps = steps(&entries, &translation);
        let Step::Begin { request: Request::Tool { arguments, .. }, .. } = &steps[0] else {
            panic!("{steps:?}")
        };
        assert_eq!(arguments["tgid"], 70);
        assert!(matches!(&steps[1], Step::LeftOut { call: 2, .. }), "{steps:?}");
    }

    #[test]
    fn what_a_session_did_is_done_again_as_it_was_recorded() {
        let exec = Exec {
            program: "cat".into(),
            arguments: vec![OsString::from_vec(b"a\xff".to_vec())],
            place: Place {
                directory: Some("sub".into()),
                environment: vec![("A".into(), "b".into())],
            },
            stdin: vec![0, 1, 255],
            time: Some(Duration::from_secs(3)),
            limit_bytes: OUTPUT_BYTES,
        };
        let write = Write {
            path: "x".into(),
            content: b"\\ and \xff".to_vec(),
            append: true,
            parents: false,
        };
        let read = Read { path: "x".into(), limit_bytes: 5 };
        let requests = [Request::Exec(exec), Request::Write(write), Request::Read(read)];
        for request in requests {
            let entries = entries(vec![call(1, request.name(), request.recorded())]);
            let steps = steps(&entries, &Translation::default());
            assert_eq!(steps, [Step::Begin { call: 1, request }]);
        }
    }

    #[test]
    fn what_is_not_wholly_on_record_is_left_out() {
        let entries = entries(vec![
            call(1, "command", json!({ "program": "agent", "arguments": [] })),
            call(2, "shell", json!({ "command": "login [redacted 12 bytes]" })),
            call(3, "write", json!({ "path": "x", "content": "xx", "content_bytes": 3_000_000 })),
        ]);
        let steps = steps(&entries, &Translation::default());
        let left: Vec<_> =
            steps.iter().filter(|step| matches!(step, Step::LeftOut { .. })).collect();
        assert_eq!(left.len(), 3, "{steps:?}");
    }
}
