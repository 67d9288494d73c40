//! Enters the Landlock domain that a policy's plan describes, as far as this kernel can.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use policy::landlock::{LandlockPlan, Right};
use serde::{Deserialize, Serialize};

/// What Landlock does for a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockAchieved {
    /// The interface's version here; `None` where the kernel has no Landlock.
    pub abi: Option<u32>,
    /// How much of the plan holds.
    pub extent: Extent,
    /// What does not, in words for people.
    pub dropped: Vec<String>,
    /// Granted paths that do not exist, so that nothing is granted there.
    pub missing: Vec<PathBuf>,
}

/// How much of a plan holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// There was no plan, or nothing in it.
    #[default]
    NotAsked,
    /// All of it.
    Full,
    /// What the kernel's version knows.
    Partial,
    /// Nothing: the kernel has no Landlock, or it is off.
    Nothing,
}

impl LandlockAchieved {
    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let abi = self.abi.map_or_else(|| "none".to_owned(), |abi| format!("ABI {abi}"));
        let extent = match self.extent {
            Extent::NotAsked => return "landlock: not asked for".to_owned(),
            Extent::Full => "fully enforced",
            Extent::Partial => "partially enforced",
            Extent::Nothing => "not enforced",
        };
        let dropped = if self.dropped.is_empty() {
            String::new()
        } else {
            format!("; dropped: {}", self.dropped.join(", "))
        };
        format!("landlock: {extent} ({abi}){dropped}")
    }
}

/// A plan on its way to the spawner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rules {
    /// Rights as bits of `landlock_ruleset_attr.handled_access_fs`.
    handled: u64,
    grants: Vec<(PathBuf, u64)>,
    scope_signals: bool,
}

impl From<&LandlockPlan> for Rules {
    fn from(plan: &LandlockPlan) -> Self {
        let bits = |rights: &mut dyn Iterator<Item = &Right>| {
            rights.fold(BitFlags::EMPTY, |all, right| all | access(*right)).bits()
        };
        Self {
            handled: bits(&mut plan.handled.iter()),
            grants: plan
                .grants
                .iter()
                .map(|grant| (grant.path.clone(), bits(&mut grant.rights.iter())))
                .collect(),
            scope_signals: plan.scope_signals,
        }
    }
}

fn access(right: Right) -> BitFlags<AccessFs> {
    match right {
        Right::Execute => AccessFs::Execute.into(),
        Right::RemoveFile => AccessFs::RemoveFile.into(),
        Right::RemoveDir => AccessFs::RemoveDir.into(),
        Right::Refer => AccessFs::Refer.into(),
        Right::WriteFile => AccessFs::WriteFile.into(),
        Right::Truncate => AccessFs::Truncate.into(),
        Right::Make => {
            AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::MakeFifo
                | AccessFs::MakeSock
                | AccessFs::MakeChar
                | AccessFs::MakeBlock
        }
        Right::MakeSymlink => AccessFs::MakeSym.into(),
    }
}

/// Restricts the calling thread and all that it will fork. It can never be undone.
pub(crate) fn enter(rules: &Rules) -> Result<LandlockAchieved, RulesetError> {
    let abi = crate::host::landlock_abi();
    let mut achieved = LandlockAchieved { abi, ..LandlockAchieved::default() };
    let asked = BitFlags::<AccessFs>::from_bits_truncate(rules.handled);
    if asked.is_empty() && !rules.scope_signals {
        return Ok(achieved);
    }
    let Some(abi) = abi else {
        achieved.extent = Extent::Nothing;
        achieved.dropped.push("everything: this kernel has no Landlock".to_owned());
        return Ok(achieved);
    };
    let known = ABI::from(i32::try_from(abi).unwrap_or(i32::MAX));
    // Sorted out here and not left to the crate's best effort, which tells only that something was
    // dropped; and which drops a whole ruleset that handles `Refer` on ABI 1.
    let handled = asked & AccessFs::from_all(known);
    let scope = rules.scope_signals && Scope::from_all(known).contains(Scope::Signal);
    for right in asked & !handled {
        achieved.dropped.push(format!("{right:?} (not in ABI {abi})"));
    }
    if rules.scope_signals && !scope {
        achieved.dropped.push(format!("signals to processes outside (ABI 6, this is {abi})"));
    }
    if handled.is_empty() && !scope {
        achieved.extent = Extent::Nothing;
        return Ok(achieved);
    }
    let mut ruleset = Ruleset::default();
    if !handled.is_empty() {
        ruleset = ruleset.handle_access(handled)?;
    }
    if scope {
        ruleset = ruleset.scope(Scope::Signal)?;
    }
    let mut ruleset = ruleset.create()?;
    for (path, rights) in &rules.grants {
        let rights = granted(path, BitFlags::from_bits_truncate(*rights) & handled, known);
        if rights.is_empty() {
            continue;
        }
        match PathFd::new(path) {
            Ok(directory) => ruleset = ruleset.add_rule(PathBeneath::new(directory, rights))?,
            Err(_) => achieved.missing.push(path.clone()),
        }
    }
    let RestrictionStatus { ruleset: status, .. } = ruleset.restrict_self()?;
    achieved.extent = match status {
        RulesetStatus::NotEnforced => Extent::Nothing,
        RulesetStatus::FullyEnforced if achieved.dropped.is_empty() => Extent::Full,
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Extent::Partial,
    };
    Ok(achieved)
}

/// To a file only the rights can be granted that files have.
fn granted(path: &Path, rights: BitFlags<AccessFs>, abi: ABI) -> BitFlags<AccessFs> {
    if path.is_file() { rights & AccessFs::from_file(abi) } else { rights }
}

#[cfg(test)]
mod tests {
    use policy::landlock::Grant;

    use super::*;

    #[test]
    fn a_plan_becomes_the_kernels_bits() {
        let plan = LandlockPlan {
            handled: [Right::Execute, Right::RemoveFile, Right::Refer].into(),
            grants: vec![Grant { path: "/w".into(), rights: [Right::RemoveFile].into() }],
            scope_signals: true,
            ..LandlockPlan::default()
        };
        let rules = Rules::from(&plan);
        assert_eq!(rules.handled, 1 | 1 << 5 | 1 << 13);
        assert_eq!(rules.grants, [(PathBuf::from("/w"), 1 << 5)]);
        assert!(rules.scope_signals);
    }

    #[test]
    fn an_empty_plan_enters_no_domain() {
        let achieved = enter(&Rules::from(&LandlockPlan::default())).unwrap();
        assert_eq!(achieved.extent, Extent::NotAsked);
        assert_eq!(achieved.summary(), "landlock: not asked for");
    }

    #[test]
    fn the_summary_says_what_was_dropped() {
        let achieved = LandlockAchieved {
            abi: Some(2),
            extent: Extent::Partial,
            dropped: vec!["signals to processes outside (ABI 6, this is 2)".into()],
            missing: Vec::new(),
        };
        assert_eq!(
            achieved.summary(),
            "landlock: partially enforced (ABI 2); dropped: signals to processes outside (ABI 6, \
             this is 2)"
        );
    }
}
