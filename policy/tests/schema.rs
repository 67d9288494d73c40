//! The JSON Schema takes what the reader takes, as far as a schema can tell.

use policy::{Policy, parse, schema};
use serde_json::Value;

fn errors(text: &str) -> Vec<String> {
    let instance: Value = toml::from_str(text).expect("the test's text is TOML");
    let validator = jsonschema::validator_for(&schema()).expect("the schema is one");
    validator.iter_errors(&instance).map(|error| error.to_string()).collect()
}

const RULE: &str = r#"
version = 1
name = "one"

[defaults]
granted = "audit"
above_tier = "freeze"

[oversight]
unwatched_tier = 2

[redact]
environment = ["OPENAI_API_KEY"]
files = ["/etc/deploy-token"]
patterns = ["ghp_[A-Za-z0-9]{36}"]

[[rule]]
name = "neighbour"
verbs = ["kill", "connect"]
labels = ["component:neighbour", "component"]
lowest_tier = 1
highest_tier = 3
verdict = "kill"
reason = "the neighbour serves other people"

[[rule]]
verbs = "*"
labels = ["data"]
verdict = "deny"
reason = "nobody touches data"

[[tool]]
name = "signals"
tools = ["send_signal"]
lowest_tier = 2
verdict = "ask"
reason = "somebody should look at signals"
"#;

#[test]
fn a_sound_policy_fits() {
    assert_eq!(errors(Policy::SHIPPED), [""; 0]);
    assert_eq!(errors(RULE), [""; 0]);
    assert!(parse(RULE, "one.toml").is_ok());
}

#[test]
fn what_the_reader_refuses_by_name_or_type_does_not_fit() {
    for (right, wrong) in [
        ("version = 1", "version = 2"),
        ("name = \"one\"", "title = \"one\""),
        ("granted = \"audit\"", "granted = \"perhaps\""),
        ("unwatched_tier = 2", "unwatched_tier = 6"),
        ("\"OPENAI_API_KEY\"", "\"A=B\""),
        ("\"/etc/deploy-token\"", "\"deploy-token\""),
        ("\"kill\", \"connect\"", "\"kil\""),
        ("\"component:neighbour\", \"component\"", "\"component:a b\""),
        ("verbs = \"*\"", "verbs = []"),
        ("labels = [\"data\"]", "labels = \"data\""),
        ("reason = \"nobody touches data\"", "verdicts = \"deny\""),
        ("highest_tier = 3", "highest_tier = \"3\""),
        ("tools = [\"send_signal\"]", "tools = []"),
        ("verdict = \"ask\"", "verdict = \"freeze\""),
        ("reason = \"somebody should look at signals\"", "why = \"so\""),
    ] {
        let text = RULE.replacen(right, wrong, 1);
        assert_ne!(text, RULE, "{right}");
        assert!(!errors(&text).is_empty(), "{wrong} fits");
        assert!(parse(&text, "one.toml").is_err(), "{wrong} is read");
    }
}
