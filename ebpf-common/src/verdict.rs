//! What the policy says to one effect.

use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

/// A verdict, in rising order of severity. A verdict above [`Verdict::Audit`] makes the effect a
/// violation.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    TryFromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(u8)]
pub enum Verdict {
    /// Nothing to say.
    Allow = 0,
    /// Allowed and marked for a reader's attention.
    Audit = 1,
    /// Denied until a person approves; no answer means no.
    Ask = 2,
    /// The act fails.
    Deny = 3,
    /// The act fails where it can, and the call's cgroup is frozen.
    Freeze = 4,
    /// The act fails where it can, and the call's cgroup is killed.
    Kill = 5,
}

impl Verdict {
    /// Every verdict, mildest first.
    pub const ALL: [Self; 6] =
        [Self::Allow, Self::Audit, Self::Ask, Self::Deny, Self::Freeze, Self::Kill];

    /// The verdict's name in policies, records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Audit => "audit",
            Self::Ask => "ask",
            Self::Deny => "deny",
            Self::Freeze => "freeze",
            Self::Kill => "kill",
        }
    }

    /// The verdict with this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        if (number as usize) < Self::ALL.len() { Some(Self::ALL[number as usize]) } else { None }
    }

    /// The verdict of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// Whether an effect with this verdict is a violation.
    #[must_use]
    pub const fn is_violation(self) -> bool {
        self as u8 > Self::Audit as u8
    }
}
