//! Where two policies differ: every verb, label and tier to which they do not say the same.

use ebpf_common::{LabelId, Tier, Verb, Verdict};
use serde::Serialize;

use crate::{
    Policy,
    compile::{CompileError, Compiled},
};

/// A verb and label to which two policies say different things at some tiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The verb.
    pub verb: Verb,
    /// The label.
    pub label: String,
    /// The tiers at which it is so.
    pub tiers: Vec<Tier>,
    /// What the first policy says.
    pub before: Verdict,
    /// What the second says.
    pub after: Verdict,
    /// Why the second does.
    pub reason: String,
}

/// Compares two policies, for runs with these components.
///
/// # Errors
///
/// When one of them does not fit the components.
pub fn diff(
    before: &Policy,
    after: &Policy,
    components: &[String],
) -> Result<Vec<Difference>, CompileError> {
    let mut differences: Vec<Difference> = Vec::new();
    for tier in Tier::ALL {
        let (before, after) = (before.compile(tier, components)?, after.compile(tier, components)?);
        for &verb in Verb::ALL {
            for label in after.label_ids().filter(|label| verb.can_meet(label.label())) {
                compare(&mut differences, &before, &after, verb, label);
            }
        }
    }
    Ok(differences)
}

fn compare(
    differences: &mut Vec<Difference>,
    before: &Compiled,
    after: &Compiled,
    verb: Verb,
    label: LabelId,
) {
    let (was, is) = (before.verdict(verb, label), after.verdict(verb, label));
    if was == is {
        return;
    }
    let name = after.label_name(label);
    let same = |known: &&mut Difference| {
        known.verb == verb && known.label == name && known.before == was && known.after == is
    };
    match differences.iter_mut().find(same) {
        Some(known) => known.tiers.push(after.tier()),
        None => differences.push(Difference {
            verb,
            label: name,
            tiers: vec![after.tier()],
            before: was,
            after: is,
            reason: after.reason(verb, label),
        }),
    }
}
