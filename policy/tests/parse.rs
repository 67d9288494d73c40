//! Policies as people write them, and what they are told of their mistakes.

use ebpf_common::{Tier, Verb, Verdict};
use miette::{GraphicalReportHandler, GraphicalTheme};
use policy::{MistakeKind, Policy, PolicyError, parse};
use proptest::prelude::*;

const HEAD: &str = "version = 1\nname = \"p\"\n";

fn mistakes(rules: &str) -> Vec<MistakeKind> {
    let error = parse(&format!("{HEAD}{rules}"), "p.toml").expect_err("the policy has a mistake");
    error.mistakes.into_iter().map(|mistake| mistake.kind).collect()
}

fn rule(fields: &str) -> String {
    format!("[[rule]]\n{fields}\nreason = \"r\"\n")
}

fn rendered(error: &PolicyError) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .render_report(&mut text, error)
        .expect("text takes every character");
    text
}

#[test]
fn six_mistakes_are_told_at_once_with_place_and_remedy() {
    let source = r#"version = 1
name = "careless"
colour = "red"

[defaults]
granted = "alow"

[[rule]]
verbs = ["ulnink", "rename"]
labels = ["data", "component:neigh bour"]
highest_tier = 7
verdict = "deny"
"#;
    let error = parse(source, "careless.toml").unwrap_err();
    insta::assert_snapshot!(rendered(&error));
}

#[test]
fn rules_that_contradict_the_rest_are_shown_with_what_they_clash_with() {
    let source = r#"version = 1
name = "contrary"

[[rule]]
name = "dead"
verbs = ["unlink"]
labels = ["data"]
verdict = "audit"
reason = "said over again below"

[[rule]]
name = "open"
verbs = ["kill", "signal_probe"]
labels = ["host", "oversight"]
verdict = "allow"
reason = "nobody may"

[[rule]]
name = "apart"
verbs = ["kill", "unlink"]
labels = ["component", "data", "config"]
verdict = "deny"
reason = "this one is right"

[[rule]]
name = "never"
verbs = ["exec"]
labels = ["host"]
verdict = "deny"
reason = "a process is not a program"
"#;
    insta::assert_snapshot!(rendered(&parse(source, "contrary.toml").unwrap_err()));
}

#[test]
fn the_shipped_policy_has_no_mistakes() {
    assert_eq!(Policy::shipped().name(), "default");
}

#[test]
fn the_example_in_the_documentation_has_no_mistakes_and_means_what_it_says() {
    let page = include_str!("../../docs/policy.md");
    let example = page.split("```").nth(1).expect("the page has an example");
    let source = example.strip_prefix("toml\n").expect("the example is TOML");
    let policy = parse(source, "docs/policy.md").unwrap_or_else(|error| panic!("{error:?}"));
    let compiled = policy.compile(Tier::Storage, &["neighbour".to_owned()]).unwrap();
    let verdict = |verb, label: &str| compiled.verdict(verb, compiled.label_id(label).unwrap());
    assert_eq!(verdict(Verb::Rename, "data"), Verdict::Audit);
    assert_eq!(verdict(Verb::Kill, "component:neighbour"), Verdict::Kill);
    assert_eq!(verdict(Verb::Unlink, "oversight"), Verdict::Freeze);
}

#[test]
fn what_is_to_be_redacted_is_read_and_mistakes_in_it_are_told_together() {
    let text =
        "[redact]\nenvironment = [\"TOKEN\"]\nfiles = [\"/etc/token\"]\npatterns = [\"sk-.{9}\"]\n";
    let policy = parse(&format!("{HEAD}{text}"), "p.toml").unwrap();
    let redact = policy.redact();
    assert_eq!(redact.environment, ["TOKEN"]);
    assert_eq!(redact.files, [std::path::PathBuf::from("/etc/token")]);
    assert_eq!(redact.patterns, ["sk-.{9}"]);
    let found = mistakes(
        "[redact]\nenvironment = [\"A=B\", \"A\", \"A\", 3]\nfiles = [\"relative\"]\n\
         patterns = [\"(\", \"x*\"]\nfile = []\n",
    );
    assert_eq!(found.len(), 7, "{found:?}");
    for expected in [
        "`A=B` cannot name an environment variable",
        "variable `A` is given twice",
        "`relative` is no absolute path",
        "not a regular expression: unclosed group",
        "this pattern matches nothing as well, so it would be found everywhere",
        "unknown key `file` in [redact]",
    ] {
        assert!(found.iter().any(|it| it.to_string() == expected), "{expected}: {found:?}");
    }
    assert_eq!(mistakes("redact = 3\n").len(), 1);
}

#[test]
fn text_that_is_not_toml_is_a_mistake_with_a_place() {
    let error = parse("version = \n[", "p.toml").unwrap_err();
    assert!(matches!(error.mistakes[0].kind, MistakeKind::Syntax { .. }));
}

#[test]
fn an_unknown_key_is_refused_everywhere() {
    for text in ["[default]", "[defaults]\nolder = 1", &rule("colour = 1")] {
        let found = mistakes(text);
        assert!(found.iter().any(|kind| matches!(kind, MistakeKind::UnknownKey { .. })), "{text}");
    }
}

#[test]
fn keys_that_must_be_there_are_missed() {
    let missing = |kinds: Vec<MistakeKind>| -> Vec<&'static str> {
        let keys = kinds.into_iter().map(|kind| match kind {
            MistakeKind::MissingKey { key, .. } => key,
            other => panic!("{other}"),
        });
        keys.collect()
    };
    assert_eq!(missing(mistakes("[[rule]]")), ["verbs", "labels", "verdict", "reason"]);
    let error = parse("", "p.toml").unwrap_err();
    let kinds = error.mistakes.into_iter().map(|mistake| mistake.kind).collect();
    assert_eq!(missing(kinds), ["version", "name"]);
}

#[test]
fn oversight_and_the_unresolved_cannot_be_granted_by_name_nor_by_default() {
    for (verbs, label, verdict) in [
        ("[\"unlink\"]", "oversight", "allow"),
        ("[\"kill\"]", "oversight", "ask"),
        ("\"*\"", "oversight", "audit"),
        ("[\"rename\"]", "unknown", "allow"),
    ] {
        let fields = format!("verbs = {verbs}\nlabels = [\"{label}\"]\nverdict = \"{verdict}\"");
        let found = mistakes(&rule(&fields));
        assert!(matches!(found[..], [MistakeKind::GrantsUngrantable { .. }]), "{found:?}");
    }
    let found = mistakes("[defaults]\noversight = \"audit\"\nunresolved = \"ask\"");
    assert!(matches!(
        found[..],
        [MistakeKind::DefaultTooMild { .. }, MistakeKind::DefaultTooMild { .. }]
    ));
}

#[test]
fn what_oversight_does_not_forbid_can_be_ruled_freely() {
    let fields = "verbs = [\"signal_probe\"]\nlabels = [\"oversight\"]\nverdict = \"audit\"";
    parse(&format!("{HEAD}{}", rule(fields)), "p.toml").expect("looking is a matter of tier");
}

#[test]
fn a_rule_that_several_later_ones_cover_together_never_counts() {
    let on = |labels: &str, verdict: &str| {
        rule(&format!("verbs = [\"unlink\"]\nlabels = {labels}\nverdict = \"{verdict}\""))
    };
    let first = on("[\"data\", \"config\"]", "audit");
    let covered = format!("{first}{}{}", on("[\"data\"]", "deny"), on("[\"config\"]", "deny"));
    assert_eq!(mistakes(&covered), [MistakeKind::Shadowed]);
    let in_part = format!("{HEAD}{first}{}", on("[\"data\"]", "deny"));
    parse(&in_part, "p.toml").expect("config is still the first rule's");
}

#[test]
fn a_rule_on_all_components_is_not_covered_by_one_on_a_single_component() {
    let on = |label: &str, more: &str| {
        rule(&format!("verbs = [\"kill\"]\nlabels = [\"{label}\"]\n{more}\nverdict = \"deny\""))
    };
    let text = format!("{HEAD}{}{}", on("component", ""), on("component:a", ""));
    parse(&text, "p.toml").expect("the other components are still the first rule's");
    let turned = format!("{}{}", on("component:a", ""), on("component", ""));
    assert_eq!(mistakes(&turned), [MistakeKind::Shadowed]);
    let at_one_tier =
        format!("{HEAD}{}{}", on("component:a", ""), on("component", "lowest_tier = 2"));
    parse(&at_one_tier, "p.toml").expect("below tier 2 the first rule counts");
}

#[test]
fn names_are_given_once() {
    let one = rule("name = \"n\"\nverbs = [\"unlink\"]\nlabels = [\"data\"]\nverdict = \"deny\"");
    let two = rule("name = \"n\"\nverbs = [\"unlink\"]\nlabels = [\"config\"]\nverdict = \"deny\"");
    assert!(matches!(
        mistakes(&format!("{one}{two}"))[..],
        [MistakeKind::Duplicate { what: "rule", .. }]
    ));
    let verbs = rule("verbs = [\"kill\", \"kill\"]\nlabels = \"*\"\nverdict = \"deny\"");
    assert!(matches!(mistakes(&verbs)[..], [MistakeKind::Duplicate { what: "verb", .. }]));
}

#[test]
fn tiers_are_checked_one_by_one_and_together() {
    let with = |tiers: &str| {
        mistakes(&rule(&format!("verbs = \"*\"\nlabels = \"*\"\nverdict = \"deny\"\n{tiers}")))
    };
    assert_eq!(with("lowest_tier = 6"), [MistakeKind::NoSuchTier { number: "6".to_owned() }]);
    assert_eq!(with("highest_tier = -1"), [MistakeKind::NoSuchTier { number: "-1".to_owned() }]);
    assert_eq!(
        with("lowest_tier = 3\nhighest_tier = 2"),
        [MistakeKind::TierRange { lowest: 3, highest: 2 }]
    );
    assert!(matches!(with("lowest_tier = \"1\"")[..], [MistakeKind::WrongType { .. }]));
}

#[test]
fn what_is_granted_cannot_fare_worse_than_what_is_not() {
    assert_eq!(
        mistakes("[defaults]\ngranted = \"deny\"\nabove_tier = \"audit\""),
        [MistakeKind::DefaultsInverted]
    );
}

#[test]
fn names_from_the_file_are_escaped_in_messages() {
    let found = mistakes(&rule("verbs = [\"a\\u001b[31m\"]\nlabels = \"*\"\nverdict = \"deny\""));
    assert!(!found[0].to_string().contains('\u{1b}'), "{found:?}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = parse(&text, "p.toml").map_err(|error| rendered(&error));
    }

    #[test]
    fn no_near_miss_makes_the_parser_panic(
        lines in proptest::collection::vec(
            prop::sample::select(vec![
                "version = 1", "name = \"p\"", "[defaults]", "granted = \"ask\"", "oversight = 3",
                "[[rule]]", "[rule]", "rule = [1]", "verbs = \"*\"", "verbs = [\"kill\", \"é\"]",
                "labels = \"*\"", "labels = [\"component:\", \"oversight\"]", "lowest_tier = 0x9",
                "highest_tier = 99999999999999999999", "verdict = \"allow\"", "verdict = \"freeze\"",
                "reason = \"\"", "reason = \"r\"", "labels = [\"data\"]", "verbs = [\"unlink\"]",
            ]),
            0..16,
        ),
    ) {
        let _ = parse(&lines.join("\n"), "p.toml").map_err(|error| rendered(&error));
    }
}
