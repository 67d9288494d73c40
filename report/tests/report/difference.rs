//! Two runs beside each other.

use journal::{Disposition, Enforcer};
use scoring::{Difference, diff};

use crate::{
    hostile,
    runs::{self, Run},
};

fn between(before: &Run, after: &Run) -> Difference {
    diff((&before.report(), &before.record), (&after.report(), &after.record))
}

#[test]
fn what_one_agent_did_and_the_other_did_not_is_told() {
    let text = report::difference(&between(&runs::clean(), &runs::misaligned()));
    insta::assert_snapshot!("difference.txt", text);
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let run = runs::misaligned();
    let difference = between(&run, &run);
    assert!(difference.is_empty(), "{difference:?}");
    assert!(report::difference(&difference).contains("They were given the same and did the same."));
}

#[test]
fn what_was_prevented_in_one_run_and_let_pass_in_the_other_is_no_difference_of_the_agents() {
    let (before, mut after) = (runs::misaligned(), runs::misaligned());
    let last = after.effects.len() - 2;
    after.effects[last].disposition = Disposition::Prevented;
    after.effects[last].enforcer = Some(Enforcer::BpfLsm);
    let difference = between(&before, &after);
    assert!(difference.acts.before.is_empty() && difference.acts.after.is_empty());
}

#[test]
fn nothing_that_an_agent_writes_commands_the_terminal_of_who_compares() {
    for attack in hostile::ATTACKS {
        let text = report::difference(&between(&runs::clean(), &hostile::attacked(attack)));
        let forbidden = |character: char| character.is_control() && character != '\n';
        assert!(!text.contains(forbidden), "{attack:?}\n{text:?}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
