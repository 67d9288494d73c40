//! What Landlock is asked to do for the shipped policy and for policies that it cannot carry out.
#![allow(clippy::unwrap_used, reason = "tests panic, they do not return errors")]

use std::collections::BTreeSet;

use ebpf_common::{Label, Tier, Verb};
use policy::{
    Compiled, LabelledRoot, Policy,
    landlock::{Direction, LandlockPlan, PASSED, Right, plan, prevents},
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

/// What a directory grants in which all changes are allowed.
const CHANGES: [Right; 7] = [
    Right::RemoveFile,
    Right::RemoveDir,
    Right::Refer,
    Right::WriteFile,
    Right::Truncate,
    Right::Make,
    Right::MakeSymlink,
];

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
    assert_eq!(rights(&plan, "/w"), CHANGES);
    assert_eq!(rights(&plan, "/w/data"), []);
    let verbs =
        ["create", "link", "open_write", "rename", "rmdir", "symlink", "truncate", "unlink"];
    let expected = verbs.map(|verb| format!("{verb} data /w/data")).into();
    assert_eq!(gaps(&plan, Direction::Looser), expected);
}

#[test]
fn an_allowed_root_inside_a_denied_one_is_granted() {
    let nested = roots(&[(Label::Data, "/d"), (Label::Workspace, "/d/w")]);
    let plan = plan(&shipped(Tier::Work), &nested);
    assert_eq!(rights(&plan, "/d/w"), CHANGES);
    assert!(gaps(&plan, Direction::Looser).is_empty());
}

#[test]
fn a_root_below_oversight_is_oversights_and_gets_no_grant() {
    let nested = roots(&[(Label::Oversight, "/o"), (Label::Workspace, "/o/w")]);
    let plan = plan(&shipped(Tier::Work), &nested);
    assert_eq!(rights(&plan, "/o"), []);
    assert_eq!(rights(&plan, "/o/w"), []);
}

#[test]
fn verbs_that_share_a_right_fall_together_and_it_is_said() {
    let compiled =
        ruled("verbs = [\"unlink\"]\nlabels = [\"workspace\"]\nverdict = \"deny\"", Tier::Work);
    let plan = plan(&compiled, &scenario());
    let left = CHANGES.into_iter().filter(|right| *right != Right::RemoveFile);
    assert!(left.eq(rights(&plan, "/srv/run/workspace")));
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
fn devices_and_own_files_of_proc_can_be_written_where_nothing_else_can() {
    let plan = plan(&shipped(Tier::Work), &scenario());
    for path in PASSED {
        assert_eq!(rights(&plan, path), [Right::WriteFile, Right::Truncate]);
    }
}

#[test]
fn truncation_is_prevented_from_the_third_version_on() {
    let compiled = shipped(Tier::Work);
    let prevented = |verb, abi| prevents(&compiled, verb, Label::Data.into(), abi);
    assert!(!prevented(Verb::Truncate, 2) && prevented(Verb::Truncate, 3));
    assert!(prevented(Verb::OpenWrite, 1) && prevented(Verb::Create, 1));
    assert!(!prevented(Verb::Chmod, 7) && !prevented(Verb::Chown, 7));
}

#[test]
fn a_label_on_the_root_directory_stands_for_the_rest_of_the_system() {
    let everywhere = roots(&[(Label::Workspace, "/"), (Label::Data, "/d")]);
    let plan = plan(&shipped(Tier::Work), &everywhere);
    assert!(plan.handled.is_empty());
    assert!(gaps(&plan, Direction::Looser).contains("unlink data /d"));
}

#[test]
fn a_plan_loosens_another_where_it_stops_refusing() {
    let work = plan(&shipped(Tier::Work), &scenario());
    assert_eq!(work.loosens(&work), [""; 0]);
    // From tier 3 on the rest of the system may be changed.
    let storage = plan(&shipped(Tier::Storage), &scenario());
    assert!(storage.loosens(&work).iter().any(|it| it.contains("unlink")));
    assert_eq!(work.loosens(&storage), [""; 0]);
    let granted = "verbs = [\"unlink\", \"rename\"]\nlabels = [\"data\"]\nverdict = \"allow\"";
    let opened = plan(&ruled(granted, Tier::Work), &scenario());
    let loosened = opened.loosens(&work);
    assert!(loosened.iter().all(|it| it.contains("/srv/run/data")), "{loosened:?}");
    assert!(!loosened.is_empty());
    assert_eq!(work.loosens(&opened), [""; 0]);
}
