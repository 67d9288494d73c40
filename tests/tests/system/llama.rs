//! A real server of OpenAI's wire format, as an agent's model and as a wrapped command's.

use std::fs;

use serde_json::Value;
use tests::{
    in_machine, llama::Llama, record::Record, run::Invocation, skip, venv, whole::until_whole,
    world::World,
};

const ON_THE_HOST: &str = "how a model is asked depends on no kernel: tried on the host alone";

fn events<'a>(record: &'a Record, event: &str) -> Vec<&'a Value> {
    record.transcript.iter().filter(|it| it["event"] == event).collect()
}

#[test]
fn a_model_behind_llama_cpp_is_an_agent() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    until_whole(|| {
        let world = World::new();
        let llama = match Llama::start(&world) {
            Ok(llama) => llama,
            Err(why) => return skip(&format!("llama.cpp's server cannot be had: {why}")),
        };
        // Half of the time it says nothing at all, which is a whole reply as well.
        let record = (1..=12).map(|seed: u32| {
            let ended = Invocation::run(&world, &format!("seed-{seed}"))
                .tier(0, "enforce")
                .args(["--no-metrics", "--agent", "llm:openai/tiny", "--base-url"])
                .args([llama.url()])
                .args(["--seed", &seed.to_string(), "--max-tokens", "200", "--budget-turns", "2"])
                .env("OPENAI_API_KEY", "")
                .finish();
            ended.assert_code(0);
            ended.record()
        });
        let record = record.into_iter().find(|record| !events(record, "call").is_empty());
        let record = record.expect("the model called no tool whatever its seed");
        record.assert_whole();
        let (calls, results) = (events(&record, "call"), events(&record, "result"));
        assert_eq!(calls.len(), results.len());
        let replies = events(&record, "reply");
        assert!(
            replies.iter().all(|reply| reply["input_tokens"].as_u64() > Some(100)),
            "{replies:?}"
        );
        // The grammar lets it call nothing that it was not offered.
        let offered = ["shell", "read_file", "write_file", "edit_file", "list_directory"];
        for call in calls {
            let tool = call["tool"].as_str().unwrap_or_default();
            assert!(offered.contains(&tool) || tool == "submit_report", "{call}");
        }
    });
}

/// Each asks once, with its provider's official package, and says what it was told to call.
const AGENTS: [(&str, &str); 2] = [
    (
        "openai",
        r#"
import openai

tool = {"type": "function", "function": {"name": "run", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}},
    "required": ["command"], "additionalProperties": False}}}
reply = openai.OpenAI().chat.completions.create(
    model="tiny", messages=[{"role": "user", "content": "Go."}], tools=[tool],
    tool_choice="required", max_tokens=200, seed=1)
print("told to", reply.choices[0].message.tool_calls[0].function.name)
"#,
    ),
    (
        "anthropic",
        r#"
import anthropic

tool = {"name": "run", "input_schema": {
    "type": "object", "properties": {"command": {"type": "string"}},
    "required": ["command"], "additionalProperties": False}}
with anthropic.Anthropic().messages.stream(
        model="tiny", messages=[{"role": "user", "content": "Go."}], tools=[tool],
        tool_choice={"type": "any"}, max_tokens=200) as stream:
    reply = stream.get_final_message()
print("told to", [block.name for block in reply.content if block.type == "tool_use"][0])
"#,
    ),
];

#[test]
fn a_wrapped_agent_of_either_provider_has_a_model_behind_llama_cpp() {
    if in_machine() {
        return skip(ON_THE_HOST);
    }
    let world = World::new();
    let llama = match Llama::start(&world) {
        Ok(llama) => llama,
        Err(why) => return skip(&format!("llama.cpp's server cannot be had: {why}")),
    };
    for (provider, agent) in AGENTS {
        let python = match venv::with(provider, &[provider]) {
            Ok(python) => python,
            Err(why) => return skip(&format!("the package `{provider}` cannot be had: {why}")),
        };
        let file = world.file(format!("asks-{provider}.py"));
        fs::write(&file, agent).expect("the world is writable");
        let (url, name) = match provider {
            "openai" => (llama.url(), "choices"),
            _ => (llama.root().to_owned(), "content"),
        };
        let ended = Invocation::run(&world, provider)
            .tier(0, "enforce")
            .args(["--no-metrics", "--model", &format!("{provider}/*"), "--base-url", &url])
            .args(["--env", "PYTHONDONTWRITEBYTECODE=1", "--"])
            .args([&python, &file])
            .env("OPENAI_API_KEY", "")
            .env("ANTHROPIC_API_KEY", "")
            .finish();
        ended.assert_code(0);
        assert!(ended.stdout.contains("told to run"), "{}", ended.stdout);
        let record = ended.record();
        let responses = events(&record, "model_response");
        let [response] = responses.as_slice() else { panic!("{responses:?}") };
        assert!(response["broken"].is_null(), "{response}");
        let first = &response["body"][name][0];
        let told = match provider {
            "openai" => &first["message"]["tool_calls"][0]["function"]["name"],
            _ => &first["name"],
        };
        assert_eq!(told, "run", "{response}");
        assert!(response["input_tokens"].as_u64() > Some(10), "{response}");
    }
}
