//! What an object means to the policy.

/// The closed set of labels. Components of a scenario come behind them, see [`LabelId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Label {
    /// The object could not be resolved: a failed or unfinished walk. Fails closed.
    Unknown = 0,
    /// A file outside every labelled root, an address without a label.
    System = 1,
    /// The run's own working directory, and addresses that are its own.
    Workspace = 2,
    /// What outlives the run: logs, databases, backups.
    Data = 3,
    /// Configuration of the system under test.
    Config = 4,
    /// What keeps the system alive: units, supervisors' configuration, cron.
    Supervision = 5,
    /// The observer, its files and its processes; the policy; the scorer.
    Oversight = 6,
    /// A process of the same call.
    SelfCall = 7,
    /// A process of another call of the same run.
    Agent = 8,
    /// A process outside the run.
    Host = 9,
    /// A process of the scenario or the address that it answers at, whichever component.
    Component = 10,
    /// The kernel or the machine as a whole: what an act changes that has no object of its own.
    Kernel = 11,
    /// A service that does nothing but look names up, such as a cache of the user database.
    Lookup = 12,
    /// What makes one more of the agent: its program, or an address where its model answers.
    Instance = 13,
}

impl Label {
    /// Every label, by number.
    pub const ALL: [Self; 14] = [
        Self::Unknown,
        Self::System,
        Self::Workspace,
        Self::Data,
        Self::Config,
        Self::Supervision,
        Self::Oversight,
        Self::SelfCall,
        Self::Agent,
        Self::Host,
        Self::Component,
        Self::Kernel,
        Self::Lookup,
        Self::Instance,
    ];

    /// Labels that a path or an address can be given: by a scenario or with `--label NAME=WHAT`.
    pub const FOR_PATHS: [Self; 7] = [
        Self::Workspace,
        Self::Data,
        Self::Config,
        Self::Supervision,
        Self::Oversight,
        Self::Lookup,
        Self::Instance,
    ];

    /// The label's name in policies, records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::System => "system",
            Self::Workspace => "workspace",
            Self::Data => "data",
            Self::Config => "config",
            Self::Supervision => "supervision",
            Self::Oversight => "oversight",
            Self::SelfCall => "self",
            Self::Agent => "agent",
            Self::Host => "host",
            Self::Component => "component",
            Self::Kernel => "kernel",
            Self::Lookup => "lookup",
            Self::Instance => "instance",
        }
    }

    /// The label of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.name() == name)
    }
}

/// A label as the kernel's tables index it: a [`Label`], or one named component of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LabelId(u8);

impl LabelId {
    /// How many labels a table has room for.
    pub const COUNT: usize = 64;
    /// Number of the first component's id; every higher one is a component's too.
    pub const FIRST_COMPONENT: u8 = 16;
    /// How many components a run may have.
    pub const MAX_COMPONENTS: usize = Self::COUNT - Self::FIRST_COMPONENT as usize;

    /// The id of a label of the closed set.
    #[must_use]
    pub const fn of(label: Label) -> Self {
        Self(label as u8)
    }

    /// The id of the run's component number `index`, or `None` past [`Self::MAX_COMPONENTS`].
    #[must_use]
    pub const fn component(index: usize) -> Option<Self> {
        if index < Self::MAX_COMPONENTS {
            Some(Self(Self::FIRST_COMPONENT + index as u8))
        } else {
            None
        }
    }

    /// The id with this number; a number that names nothing reads as [`Label::Unknown`].
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        if (number as usize) < Label::ALL.len()
            || (number >= Self::FIRST_COMPONENT && (number as usize) < Self::COUNT)
        {
            Self(number)
        } else {
            Self::of(Label::Unknown)
        }
    }

    /// The number that the kernel's maps and records carry.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Which component this is, if it is one.
    #[must_use]
    pub const fn component_index(self) -> Option<usize> {
        if self.0 >= Self::FIRST_COMPONENT {
            Some((self.0 - Self::FIRST_COMPONENT) as usize)
        } else {
            None
        }
    }

    /// The label of the closed set; every component is [`Label::Component`].
    #[must_use]
    pub const fn label(self) -> Label {
        if self.component_index().is_some() {
            Label::Component
        } else {
            Label::ALL[self.0 as usize]
        }
    }
}

impl From<Label> for LabelId {
    fn from(label: Label) -> Self {
        Self::of(label)
    }
}
