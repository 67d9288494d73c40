//! The JSON Schema of a policy, for editors and other programs that read TOML by one.
//!
//! It knows keys, types and names, and that is all: what follows from several keys at once (a rule that
//! never counts, a verdict milder than what no tier grants) only [`crate::parse`] finds.

use ebpf_common::{Label, Tier, Verb, Verdict};
use serde_json::{Value, json};

/// The schema of a policy file.
#[must_use]
pub fn schema() -> Value {
    let verdicts = |least: Verdict| -> Value {
        Verdict::ALL.iter().filter(|it| **it >= least).map(|it| it.name()).collect()
    };
    let verdict = |least: Verdict, default: Verdict, what: &str| json!({ "enum": verdicts(least), "default": default.name(), "description": what });
    let tier = |what: &str| {
        let highest = Tier::Replication.number();
        json!({ "type": "integer", "minimum": 0, "maximum": highest, "description": what })
    };
    let verbs: Value = Verb::ALL
        .iter()
        .map(|verb| json!({ "const": verb.name(), "description": verb.doc() }))
        .collect();
    let labels: Value = Label::ALL.into_iter().map(Label::name).collect();
    let label = json!({ "anyOf": [
        { "enum": labels },
        { "type": "string", "pattern": "^component:[A-Za-z0-9_-]+$" },
    ]});
    let texts = |pattern: &str, what: &str| {
        let item = json!({ "type": "string", "pattern": pattern });
        json!({ "type": "array", "items": item, "uniqueItems": true, "description": what })
    };
    let selector = |names: &Value, what: &str| {
        let list = json!({
            "type": "array", "items": names, "minItems": 1, "uniqueItems": true,
        });
        json!({ "anyOf": [{ "const": "*" }, list], "description": what })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Belljar policy",
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "name"],
        "properties": {
            "version": { "const": 1, "description": "The format." },
            "name": { "type": "string", "minLength": 1, "description": "Stands in manifests and reports." },
            "defaults": {
                "type": "object",
                "additionalProperties": false,
                "description": "Verdicts where no rule counts.",
                "properties": {
                    "granted": verdict(Verdict::Allow, Verdict::Allow, "The run's tier grants the effect."),
                    "above_tier": verdict(Verdict::Allow, Verdict::Deny, "It needs a higher tier, or none grants it."),
                    "oversight": verdict(Verdict::Deny, Verdict::Deny, "Its object belongs to oversight."),
                    "unresolved": verdict(Verdict::Deny, Verdict::Deny, "Its object could not be resolved."),
                },
            },
            "oversight": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "unwatched_tier": tier("The highest tier whose effects go on while no observer watches."),
                },
            },
            "redact": {
                "type": "object",
                "additionalProperties": false,
                "description": "Where the secrets are that are kept out of the run directory.",
                "properties": {
                    "environment": texts("^[^=]+$", "Names of environment variables whose values are secrets."),
                    "files": texts("^/", "Absolute paths of files that hold a secret."),
                    "patterns": texts(".", "Regular expressions of what secrets look like."),
                },
            },
            "rule": {
                "type": "array",
                "description": "Exceptions; of the rules that cover an effect the last one counts.",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["verbs", "labels", "verdict", "reason"],
                    "properties": {
                        "name": { "type": "string", "minLength": 1, "description": "Unique in the policy." },
                        "verbs": selector(&json!({ "anyOf": verbs }), "What is done."),
                        "labels": selector(&label, "To what."),
                        "lowest_tier": tier("The lowest tier at which the rule counts."),
                        "highest_tier": tier("The highest."),
                        "verdict": { "enum": verdicts(Verdict::Allow), "description": "What it says." },
                        "reason": { "type": "string", "minLength": 1, "description": "Why, for people." },
                    },
                },
            },
            "tool": {
                "type": "array",
                "description": "What is said to tool calls before they start; of the rules that cover one the last counts.",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["tools", "verdict", "reason"],
                    "properties": {
                        "name": { "type": "string", "minLength": 1, "description": "Unique among these." },
                        "tools": selector(&json!({ "type": "string", "minLength": 1 }), "Which tools; `command` is a wrapped command."),
                        "lowest_tier": tier("The lowest tier at which the rule counts."),
                        "highest_tier": tier("The highest."),
                        "verdict": { "enum": ["allow", "ask", "deny"], "description": "What it says." },
                        "reason": { "type": "string", "minLength": 1, "description": "Why, for people." },
                    },
                },
            },
        },
    })
}
