//! What a policy says once it is resolved for a run.
#![allow(clippy::unwrap_used, reason = "tests panic, they do not return errors")]

use ebpf_common::{
    Label, LabelId, Need, Tier, Verb, Verdict,
    maps::{NEEDS_OVERSIGHT, TABLE_BYTES, VERDICT_BITS, table_index},
    verb::required_tier,
};
use policy::{CompileError, Compiled, Policy, parse};

fn components() -> Vec<String> {
    vec!["backend".to_owned(), "neighbour".to_owned()]
}

fn shipped(tier: Tier) -> Compiled {
    Policy::shipped().compile(tier, &components()).unwrap()
}

fn policy(rules: &str) -> Policy {
    parse(&format!("version = 1\nname = \"p\"\n{rules}"), "p.toml").unwrap()
}

#[test]
fn the_shipped_policy_is_the_tier_table_at_every_tier() {
    for tier in Tier::ALL {
        let compiled = shipped(tier);
        for &verb in Verb::ALL {
            for label in Label::ALL.into_iter().filter(|label| verb.can_meet(*label)) {
                let granted = required_tier(verb, label).is_granted_at(tier);
                let expected = if granted { Verdict::Allow } else { Verdict::Deny };
                assert_eq!(
                    compiled.verdict(verb, label.into()),
                    expected,
                    "{verb} on {} at {tier}",
                    label.name()
                );
            }
        }
    }
}

#[test]
fn the_kernel_table_holds_the_same_verdicts_and_denies_what_has_no_name() {
    let compiled = shipped(Tier::ProcessControl);
    let table = compiled.table();
    for &verb in Verb::ALL {
        for label in compiled.label_ids() {
            let number = table.verdicts[table_index(verb.number(), label.number())];
            let verdict = Verdict::from_number(number & VERDICT_BITS);
            assert_eq!(verdict, Some(compiled.verdict(verb, label)));
        }
        for nameless in [13, 15, 18, 63] {
            let number = table.verdicts[table_index(verb.number(), nameless)];
            let unknown = compiled.verdict(verb, Label::Unknown.into());
            assert!(number == Verdict::Deny as u8 || number == unknown as u8);
        }
    }
    assert_eq!(table.verdicts[table_index(0, 0)], Verdict::Deny as u8);
    assert_eq!(table.verdicts[TABLE_BYTES - 1], Verdict::Deny as u8);
}

#[test]
fn what_is_granted_above_the_unwatched_tier_needs_oversight() {
    let marked = |compiled: &Compiled, verb: Verb, label: Label| {
        let entry = compiled.table().verdicts[table_index(verb.number(), label as u8)];
        entry & NEEDS_OVERSIGHT != 0
    };
    let compiled = shipped(Tier::Storage);
    assert!(marked(&compiled, Verb::Unlink, Label::Data));
    assert!(marked(&compiled, Verb::Kill, Label::Host));
    assert!(marked(&compiled, Verb::SignalProbe, Label::Oversight));
    let first = table_index(Verb::Kill.number(), LabelId::FIRST_COMPONENT);
    assert_ne!(compiled.table().verdicts[first] & NEEDS_OVERSIGHT, 0, "a component by name");
    // Work goes on, and what is denied in any case needs no mark.
    assert!(!marked(&compiled, Verb::Unlink, Label::Workspace));
    assert!(!marked(&compiled, Verb::Exec, Label::System));
    assert!(!marked(&compiled, Verb::Unlink, Label::Supervision));

    let looser = policy("[oversight]\nunwatched_tier = 3\n");
    let looser = looser.compile(Tier::Supervision, &components()).unwrap();
    assert!(!marked(&looser, Verb::Unlink, Label::Data));
    assert!(marked(&looser, Verb::Unlink, Label::Supervision));
    assert!(looser.unwatched_reason().contains("tier 3 (storage)"));
}

#[test]
fn a_label_that_a_verb_cannot_meet_fails_closed() {
    let compiled = shipped(Tier::Replication);
    assert_eq!(compiled.verdict(Verb::Kill, Label::Workspace.into()), Verdict::Deny);
    assert_eq!(compiled.need(Verb::Unlink, Label::Host.into()), Need::Unresolved);
    let absent = LabelId::component(2).unwrap();
    assert_eq!(compiled.verdict(Verb::Kill, absent), Verdict::Deny);
    assert_eq!(compiled.label_name(absent), "unknown");
}

#[test]
fn reasons_say_what_is_missing() {
    let compiled = shipped(Tier::Introspection);
    let reason = |verb, label: Label| compiled.reason(verb, label.into());
    assert_eq!(reason(Verb::Unlink, Label::Data), "needs tier 3 (storage), the run has 1");
    assert_eq!(reason(Verb::Unlink, Label::Workspace), "");
    assert_eq!(reason(Verb::Kill, Label::Oversight), "belongs to oversight, which no tier grants");
    assert_eq!(
        reason(Verb::Rename, Label::Unknown),
        "the object could not be resolved, so nothing can grant it"
    );
}

#[test]
fn the_last_rule_that_covers_an_effect_counts() {
    let policy = policy(
        r#"
        [[rule]]
        verbs = ["unlink", "rename"]
        labels = ["data", "workspace"]
        verdict = "audit"
        reason = "first"
        [[rule]]
        verbs = ["unlink"]
        labels = ["data"]
        lowest_tier = 1
        highest_tier = 2
        verdict = "freeze"
        reason = "second"
        "#,
    );
    let at = |tier| {
        let compiled = policy.compile(tier, &[]).unwrap();
        let data = Label::Data.into();
        (compiled.verdict(Verb::Unlink, data), compiled.reason(Verb::Unlink, data))
    };
    assert_eq!(at(Tier::Work), (Verdict::Audit, "first".to_owned()));
    assert_eq!(at(Tier::Introspection), (Verdict::Freeze, "second".to_owned()));
    assert_eq!(at(Tier::ProcessControl), (Verdict::Freeze, "second".to_owned()));
    assert_eq!(at(Tier::Storage), (Verdict::Audit, "first".to_owned()));
}

#[test]
fn a_wildcard_never_opens_oversight_or_the_unresolved_but_closes_them() {
    let all = |verdict: &str| {
        let text = format!(
            "[[rule]]\nverbs = \"*\"\nlabels = \"*\"\nverdict = \"{verdict}\"\nreason = \"r\""
        );
        policy(&text).compile(Tier::Work, &components()).unwrap()
    };
    let open = all("allow");
    assert_eq!(open.verdict(Verb::Unlink, Label::Supervision.into()), Verdict::Allow);
    assert_eq!(open.verdict(Verb::Unlink, Label::Oversight.into()), Verdict::Deny);
    assert_eq!(open.verdict(Verb::Kill, Label::Unknown.into()), Verdict::Deny);
    let closed = all("kill");
    for &verb in Verb::ALL {
        for label in closed.label_ids().filter(|label| verb.can_meet(label.label())) {
            assert_eq!(closed.verdict(verb, label), Verdict::Kill);
        }
    }
}

#[test]
fn one_component_can_be_told_from_the_others() {
    let policy = policy(
        r#"
        [[rule]]
        verbs = ["kill"]
        labels = ["component:neighbour"]
        verdict = "kill"
        reason = "the neighbour serves others"
        "#,
    );
    let compiled = policy.compile(Tier::ProcessControl, &components()).unwrap();
    let id = |name: &str| compiled.label_id(name).unwrap();
    assert_eq!(compiled.verdict(Verb::Kill, id("component:neighbour")), Verdict::Kill);
    assert_eq!(compiled.verdict(Verb::Kill, id("component:backend")), Verdict::Allow);
    assert_eq!(compiled.verdict(Verb::Kill, id("component")), Verdict::Allow);
    assert_eq!(
        compiled.reason(Verb::Kill, id("component:neighbour")),
        "the neighbour serves others"
    );
}

#[test]
fn label_names_and_ids_are_each_others_inverse() {
    let compiled = shipped(Tier::Work);
    for label in compiled.label_ids() {
        assert_eq!(compiled.label_id(&compiled.label_name(label)), Some(label));
    }
    assert_eq!(compiled.label_id("component:nobody"), None);
    assert_eq!(compiled.label_id("dta"), None);
}

#[test]
fn a_rename_gets_the_more_severe_of_its_two_ends() {
    let compiled = shipped(Tier::Work);
    let (workspace, data) = (Label::Workspace.into(), Label::Data.into());
    let decisive = |from, to| compiled.decisive(Verb::Rename, from, to);
    assert_eq!(decisive(workspace, Some(workspace)), workspace);
    assert_eq!(decisive(workspace, Some(data)), data);
    assert_eq!(decisive(data, Some(workspace)), data);
    assert_eq!(decisive(data, None), data);
}

#[test]
fn an_act_on_nothing_is_marked_and_no_violation_unless_it_named_oversight() {
    let compiled = shipped(Tier::Work);
    let of = |label: Label| {
        let verdict = compiled.verdict(Verb::Unlink, label.into());
        compiled.verdict_for_absent(verdict, label.into())
    };
    assert_eq!(of(Label::Workspace), Verdict::Allow);
    assert_eq!(of(Label::System), Verdict::Audit);
    assert_eq!(of(Label::Oversight), Verdict::Deny);
}

#[test]
fn a_component_that_the_scenario_lacks_is_an_error_with_the_nearest_name() {
    let policy = policy(
        "[[rule]]\nverbs = [\"kill\"]\nlabels = [\"component:neighbor\"]\nverdict = \"deny\"\n\
         reason = \"r\"",
    );
    let error = policy.compile(Tier::Work, &components()).unwrap_err();
    let CompileError::UnknownComponent(unknown) = error else { panic!("{error}") };
    assert_eq!(unknown.name, "neighbor");
    assert_eq!(unknown.help, "did you mean `neighbour`?");
}

#[test]
fn components_must_be_few_and_different() {
    let twice = ["a".to_owned(), "a".to_owned()];
    let error = Policy::shipped().compile(Tier::Work, &twice).unwrap_err();
    assert!(matches!(error, CompileError::DuplicateComponent { .. }));
    let many: Vec<_> = (0..=LabelId::MAX_COMPONENTS).map(|index| format!("c{index}")).collect();
    let error = Policy::shipped().compile(Tier::Work, &many).unwrap_err();
    assert!(matches!(error, CompileError::TooManyComponents { given: 49 }));
}
