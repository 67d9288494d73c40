//! Where two policies differ.

use ebpf_common::{Tier, Verb, Verdict};
use policy::{Policy, diff, parse};

#[test]
fn a_policy_does_not_differ_from_itself() {
    assert_eq!(diff(&Policy::shipped(), &Policy::shipped(), &[]).ok(), Some(vec![]));
}

#[test]
fn a_stricter_rule_is_told_with_its_tiers_and_its_reason() {
    let text = "version = 1\nname = \"p\"\n[[rule]]\nverbs = [\"unlink\"]\nlabels = [\"data\"]\n\
                verdict = \"deny\"\nreason = \"data stays\"\n";
    let strict = parse(text, "p.toml").expect("the policy is sound");
    let plain = parse("version = 1\nname = \"q\"\n", "q.toml").expect("the policy is sound");
    let differences = diff(&plain, &strict, &[]).expect("no component is named");
    // Below tier 3 both deny.
    let [difference] = differences.as_slice() else { panic!("{differences:?}") };
    assert_eq!((difference.verb, difference.label.as_str()), (Verb::Unlink, "data"));
    assert_eq!((difference.before, difference.after), (Verdict::Allow, Verdict::Deny));
    assert_eq!(difference.tiers, [Tier::Storage, Tier::Supervision, Tier::Replication]);
    assert!(difference.reason.contains("data stays"), "{}", difference.reason);
}
