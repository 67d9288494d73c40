//! What Landlock is asked to do for the shipped policy and for policies that it cannot carry out.
#![allow(clippy::unwrap_used, reason = "tests panic, they do not return errors")]

use std::collections::BTreeSet;

use ebpf_common::{Label, Tier, Verb};
use policy::{
    Compiled, LabelledRoot, Policy,
    landlock::{Direction, LandlockPlan, Right, plan, prevents},
    parse,
};

fn components() -> Vec<String> {
    vec!["backend".to_owned(), "neighbour".to_owned()]
}

fn roots(roots: &[(Label, &str)]) -> Vec<LabelledRoot> {
    roots.iter().map(|&(label, path)| LabelledRoot { path: path.into(), label }).collect()
}

fn scenario() -> Vec<LabelledRoot> {
    roots(&[
        (Label::Workspace, "/srv/run/workspace"),
        (Label::Data, "/srv/run/data"),
        (Label::Config, "/srv/run/config"),
        (Label::Oversight, "/srv/run/journal"),
    ])
}

fn shipped(tier: Tier) -> Compiled {
    Policy::shipped().compile(tier, &components()).unwrap()
}

fn ruled(rule: &str, tier: Tier) -> Compiled {
    let text = format!("version = 1\nname = \"p\"\n[[rule]]\nreason = \"r\"\n{rule}");
    parse(&text, "p.toml").unwrap().compile(tier, &components()).unwrap()
}

/// A grant's rights, and the gaps of one direction as `verb label path`.
fn rights(plan: &LandlockPlan, path: &str) -> Vec<Right> {
    let grant = plan.grants.iter().find(|grant| grant.path.to_str() == Some(path));
    grant.map(|grant| grant.rights.iter().copied().collect()).unwrap_or_default()
}

fn gaps(plan: &LandlockPlan, direction: Direction) -> BTreeSet<String> {
    let gaps = plan.not_enforceable.iter().filter(|gap| gap.direction == direction);
    gaps.flat_map(|gap| {
        gap.verbs.iter().map(|verb| {
            let path = gap.path.as_ref().map_or("-", |path| path.to_str().unwrap());
            format!("{verb} {} {path}", gap.label)
        })
    })
    .collect()
}

#[test]
fn the_shipped_policy_below_storage_grants_removal_in_the_workspace_alone() {
    insta::assert_debug_snapshot!(plan(&shipped(Tier::Introspection), &scenario()));
}

#[test]
fn the_shipped_policy_from_storage_on_leaves_landlock_only_what_it_cannot_do() {
    let plan = plan(&shipped(Tier::Storage), &scenario());
    assert!(plan.handled.is_empty() && plan.grants.is_empty() && !plan.scope_signals);
    assert_eq!(plan.needs_abi, 0);
    let looser = gaps(&plan, Direction::Looser);
    assert!(looser.contains("unlink oversight /srv/run/journal"), "{looser:?}");
    assert!(looser.contains("exec oversight /srv/run/journal"), "{looser:?}");
}

#[test]
fn signals_are_scoped_only_when_nobody_outside_may_be_signalled() {
    assert!(plan(&shipped(Tier::Work), &[]).scope_signals);
    assert_eq!(plan(&shipped(Tier::Work), &[]).needs_abi, 6);
    let plan = plan(&shipped(Tier::ProcessControl), &[]);
    assert!(!plan.scope_signals);
    let looser = gaps(&plan, Direction::Looser);
    assert_eq!(looser, BTreeSet::from(["kill oversight -".to_owned()]));
}

#[test]
fn one_component_that_may_be_signalled_opens_the_scope_for_all() {
    let compiled = ruled(
        "verbs = [\"kill\"]\nlabels = [\"component:backend\"]\nverdict = \"allow\"",
        Tier::Work,
    );
    let plan = plan(&compiled, &[]);
    assert!(!plan.scope_signals);
    assert!(gaps(&plan, Direction::Looser).contains("kill component:neighbour -"));
    let neighbour = compiled.label_id("component:neighbour").unwrap();
    assert!(!prevents(&compiled, Verb::Kill, neighbour, 7));
}

#[test]
fn a_scope_also_stops_the_probes_that_the_tier_grants() {
    let plan = plan(&shipped(Tier::Introspection), &[]);
    assert!(gaps(&plan, Direction::Stricter).contains("signal_probe host -"));
}

#[test]
fn a_denied_root_inside_an_allowed_one_is_not_enforceable() {
    let nested = roots(&[(Label::Workspace, "/w"), (Label::Data, "/w/data")]);
    let plan = plan(&shipped(Tier::Work), &nested);
    assert_eq!(rights(&plan, "/w"), [Right::RemoveFile, Right::RemoveDir, Right::Refer]);
    assert_eq!(rights(&plan, "/w/data"), []);
    assert_eq!(
        gaps(&plan, Direction::Looser),
        ["rename data /w/data", "rmdir data /w/data", "unlink data /w/data"]
            .map(str::to_owned)
            .into()
    );
}

#[test]
fn an_allowed_root_inside_a_denied_one_is_granted() {
    let nested = roots(&[(Label::Data, "/d"), (Label::Workspace, "/d/w")]);
    let plan = plan(&shipped(Tier::Work), &nested);
    assert_eq!(rights(&plan, "/d/w"), [Right::RemoveFile, Right::RemoveDir, Right::Refer]);
    assert!(gaps(&plan, Direction::Looser).is_empty());
}

#[test]
fn a_root_below_oversight_is_oversights_and_gets_no_grant() {
    let nested = roots(&[(Label::Oversight, "/o"), (Label::Workspace, "/o/w")]);
    assert!(plan(&shipped(Tier::Work), &nested).grants.is_empty());
}

#[test]
fn verbs_that_share_a_right_fall_together_and_it_is_said() {
    let compiled =
        ruled("verbs = [\"unlink\"]\nlabels = [\"workspace\"]\nverdict = \"deny\"", Tier::Work);
    let plan = plan(&compiled, &scenario());
    assert_eq!(rights(&plan, "/srv/run/workspace"), [Right::RemoveDir, Right::Refer]);
    let stricter = gaps(&plan, Direction::Stricter);
    assert!(stricter.contains("rename workspace /srv/run/workspace"), "{stricter:?}");
}

#[test]
fn where_only_programs_are_restricted_renames_stay_possible() {
    let compiled =
        ruled("verbs = [\"exec\"]\nlabels = [\"system\"]\nverdict = \"deny\"", Tier::Storage);
    let plan = plan(&compiled, &scenario());
    assert_eq!(plan.handled, BTreeSet::from([Right::Execute, Right::Refer]));
    assert_eq!(rights(&plan, "/"), [Right::Refer]);
    assert_eq!(rights(&plan, "/srv/run/workspace"), [Right::Execute]);
    assert_eq!(plan.needs_abi, 2);
}

#[test]
fn a_label_on_the_root_directory_stands_for_the_rest_of_the_system() {
    let everywhere = roots(&[(Label::Workspace, "/"), (Label::Data, "/d")]);
    let plan = plan(&shipped(Tier::Work), &everywhere);
    assert!(plan.handled.is_empty());
    assert!(gaps(&plan, Direction::Looser).contains("unlink data /d"));
}
