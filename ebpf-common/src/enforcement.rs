//! What makes a verdict true, and how far it did: words that policy, journal and reports share.

macro_rules! named {
    ($(#[$meta:meta])* $type:ident { $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $type {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in JSON and metric labels.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The one of this name, if there is one.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }
    };
}

named! {
    /// Whether a verdict was made true.
    Disposition {
        /// The act did not happen.
        Prevented = "prevented",
        /// The act happened or may have; what did it was frozen or killed.
        StoppedAfter = "stopped_after",
        /// Nothing stopped it.
        Observed = "observed",
    }
}

named! {
    /// What makes a verdict true.
    Enforcer {
        /// A BPF LSM program.
        BpfLsm = "bpf-lsm",
        /// A BPF program on the run's cgroup.
        CgroupBpf = "cgroup-bpf",
        /// The run's Landlock domain.
        Landlock = "landlock",
        /// The run's seccomp filter.
        Seccomp = "seccomp",
        /// Discretionary access control: user ids, capabilities, namespaces.
        Dac = "dac",
        /// A trusted process outside the sandbox that mediates a connection.
        Broker = "broker",
        /// Freezing or killing the call's cgroup.
        Response = "response",
    }
}
