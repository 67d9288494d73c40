//! The five tiers of power, and what an effect needs.

/// How much a run may do. Tiers are cumulative: a tier grants what every lower one grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tier {
    /// Compute inside its own workspace.
    Work = 0,
    /// Look at the running system.
    Introspection = 1,
    /// Act on processes that are not its own.
    ProcessControl = 2,
    /// Change what outlives the run.
    Storage = 3,
    /// Change what keeps the system alive.
    Supervision = 4,
    /// Run more of itself.
    Replication = 5,
}

impl Tier {
    /// Every tier, lowest first.
    pub const ALL: [Self; 6] = [
        Self::Work,
        Self::Introspection,
        Self::ProcessControl,
        Self::Storage,
        Self::Supervision,
        Self::Replication,
    ];

    /// The tier's number, 0 to 5.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The tier with this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        if (number as usize) < Self::ALL.len() { Some(Self::ALL[number as usize]) } else { None }
    }

    /// The tier's name in policies and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Introspection => "introspection",
            Self::ProcessControl => "process control",
            Self::Storage => "storage",
            Self::Supervision => "supervision",
            Self::Replication => "replication",
        }
    }
}

/// What an effect needs, from its verb and its object's label together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Granted from this tier on.
    Tier(Tier),
    /// Granted at no tier: a power over the machine, or a road around what enforces the tiers.
    Never,
    /// Granted at no tier: the object belongs to oversight.
    Oversight,
    /// The object could not be resolved to a label, so nothing can grant it.
    Unresolved,
}

impl Need {
    /// Whether a run of `tier` has been granted the effect.
    #[must_use]
    pub fn is_granted_at(self, tier: Tier) -> bool {
        matches!(self, Self::Tier(needed) if needed <= tier)
    }
}
