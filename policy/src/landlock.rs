//! What Landlock is to do for a run: which rights it handles and which directories grant them.
//!
//! A right that a ruleset does not handle is unrestricted; one that it handles is denied except
//! below the directories that grant it. So a right is handled only where the policy denies it for
//! what lies outside every labelled root, and granted on the roots whose label allows it. Landlock
//! cannot take back below a directory what it granted on it: a denied root inside an allowed one,
//! or anywhere when the rest of the system is allowed, is in [`LandlockPlan::not_enforceable`].
//!
//! How renames are stopped (Linux, Documentation/userspace-api/landlock.rst, ABI 2):
//!
//! - The directory that loses the name must grant [`Right::RemoveFile`] or [`Right::RemoveDir`]; so
//!   must the other one when something that stood there is replaced.
//! - Between two directories both must grant [`Right::Refer`], else `EXDEV`. This is the one right
//!   that every ruleset for files denies, handled or not; a plan with file rights always handles it
//!   and grants it wherever the policy allows renames, `/` included. A file may not gain rights by
//!   the move either; that too is `EXDEV`.
//! - With ABI 1 nothing can grant it: every rename between directories is `EXDEV`.
//!
//! - The directory that gets the name must grant [`Right::Make`] or [`Right::MakeSymlink`] besides.
//!
//! Hard links between directories need `Refer` like renames, so they are `EXDEV` too where renames
//! are denied. Nothing stops changes of permission bits and owners.
//!
//! Below [`PASSED`] files can be opened for writing whatever the policy says: devices such as
//! `/dev/null` are there, and the run's own files of `/proc`. Components have the run's user, so that
//! their files of `/proc` are open to it too; what else lies there belongs to other users.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use ebpf_common::{Label, LabelId, Verb};

use crate::{
    compile::Compiled,
    labels::{LabelledRoot, PathLabels},
};

/// A right that a ruleset can handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// `LANDLOCK_ACCESS_FS_EXECUTE`: execute a file. ABI 1.
    Execute,
    /// `LANDLOCK_ACCESS_FS_REMOVE_FILE`: unlink or rename a file in a directory. ABI 1.
    RemoveFile,
    /// `LANDLOCK_ACCESS_FS_REMOVE_DIR`: remove or rename a directory in a directory. ABI 1.
    RemoveDir,
    /// `LANDLOCK_ACCESS_FS_REFER`: link or rename between directories. ABI 2.
    Refer,
    /// `LANDLOCK_ACCESS_FS_WRITE_FILE`: open a file for writing. ABI 1.
    WriteFile,
    /// `LANDLOCK_ACCESS_FS_TRUNCATE`: set a file's size, an open's `O_TRUNC` among the ways. ABI 3.
    Truncate,
    /// `LANDLOCK_ACCESS_FS_MAKE_*` but for symbolic links: create, link or rename into a directory.
    /// ABI 1.
    Make,
    /// `LANDLOCK_ACCESS_FS_MAKE_SYM`: the same for symbolic links. ABI 1.
    MakeSymlink,
}

/// Where opening files for writing is always granted.
pub const PASSED: [&str; 2] = ["/dev", "/proc"];

impl Right {
    const ALL: [Self; 8] = [
        Self::Execute,
        Self::RemoveFile,
        Self::RemoveDir,
        Self::Refer,
        Self::WriteFile,
        Self::Truncate,
        Self::Make,
        Self::MakeSymlink,
    ];

    /// Whether it can be granted on directories only, not on a single file.
    #[must_use]
    pub const fn is_for_directories(self) -> bool {
        !matches!(self, Self::Execute | Self::WriteFile | Self::Truncate)
    }

    /// The first version of the interface that knows it.
    const fn abi(self) -> u32 {
        match self {
            Self::Truncate => 3,
            Self::Refer => 2,
            _ => 1,
        }
    }

    /// The verbs that need the right. Landlock cannot tell them apart.
    const fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Execute => &[Verb::Exec],
            Self::RemoveFile => &[Verb::Unlink, Verb::Rename],
            Self::RemoveDir => &[Verb::Rmdir, Verb::Rename],
            Self::Refer => &[Verb::Rename, Verb::Link],
            // Verbs on cgroups need it too, but meet no file that others write to; mappings and holes
            // come after an open, and to Landlock an exchange is a rename.
            Self::WriteFile => &[Verb::OpenWrite],
            Self::Truncate => &[Verb::Truncate, Verb::OpenWrite],
            Self::Make => &[Verb::Create, Verb::Rename, Verb::Link],
            Self::MakeSymlink => &[Verb::Symlink, Verb::Rename, Verb::Link],
        }
    }

    /// Rights without which the verb does nothing, whatever it is done to.
    const fn needed(verb: Verb) -> &'static [Self] {
        match verb {
            Verb::Exec => &[Self::Execute],
            Verb::Unlink => &[Self::RemoveFile],
            Verb::Rmdir => &[Self::RemoveDir],
            Verb::Rename | Verb::Exchange => &[Self::RemoveFile, Self::RemoveDir],
            Verb::OpenWrite | Verb::WriteMap | Verb::Punch => &[Self::WriteFile],
            Verb::Truncate => &[Self::Truncate],
            Verb::Create => &[Self::Make],
            Verb::Symlink => &[Self::MakeSymlink],
            Verb::Link => &[Self::Make, Self::MakeSymlink],
            Verb::Chmod | Verb::Chown | Verb::Times | Verb::Setxattr => &[],
            // Files of processes are passed.
            Verb::OomAdjust => &[],
            Verb::CgroupWrite | Verb::CgroupMove | Verb::CgroupKill => &[Self::WriteFile],
            Verb::Fork | Verb::Exit | Verb::Kill | Verb::SignalProbe => &[],
            Verb::Priority | Verb::Affinity | Verb::Rlimit => &[],
            // A domain keeps them in whatever its rights are; nobody relies on that here.
            Verb::PtraceRead | Verb::PtraceAttach | Verb::MemoryAccess => &[],
            Verb::Mount
            | Verb::Unshare
            | Verb::Setns
            | Verb::Bpf
            | Verb::Perf
            | Verb::Fanotify
            | Verb::Module
            | Verb::Clock
            | Verb::Machine
            | Verb::Keyring
            | Verb::IoUring
            | Verb::Setuid
            | Verb::Capset
            | Verb::SyscallRefused => &[],
            // Its rules for TCP (ABI 4) know ports and no addresses.
            Verb::Connect | Verb::Bind | Verb::Listen | Verb::Send => &[],
            Verb::UnixConnect | Verb::Receive | Verb::MapExec => &[],
        }
    }
}

/// Rights that a directory, or a file, grants for itself and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The directory or file. To a file only rights that are not for directories can be granted.
    pub path: PathBuf,
    /// What it grants.
    pub rights: BTreeSet<Right>,
}

/// What Landlock is to do for a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LandlockPlan {
    /// Rights that are denied except where granted. Empty: no file rules at all.
    pub handled: BTreeSet<Right>,
    /// Where they are granted, in the order of paths.
    pub grants: Vec<Grant>,
    /// Whether signals to processes outside the run are stopped (`LANDLOCK_SCOPE_SIGNAL`).
    pub scope_signals: bool,
    /// The lowest Landlock ABI that can do all of it; 0 when there is nothing to do. With less,
    /// signals go free (below 6), and every rename between directories is refused (ABI 1).
    pub needs_abi: u32,
    /// Where the outcome differs from the policy.
    pub not_enforceable: Vec<Gap>,
}

/// Something that Landlock does otherwise than the policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The verbs that fare otherwise.
    pub verbs: Vec<Verb>,
    /// The label's name.
    pub label: String,
    /// The labelled root, for files.
    pub path: Option<PathBuf>,
    /// In which direction.
    pub direction: Direction,
    /// Why, in words for people.
    pub reason: &'static str,
}

/// How Landlock differs from the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Landlock lets through what the policy denies.
    Looser,
    /// Landlock stops what the policy allows.
    Stricter,
}

const INSIDE_ALLOWED: &str =
    "lies inside what is allowed, and Landlock cannot deny inside an allowed tree";
const ONE_RIGHT: &str =
    "Landlock has one right for this and for another verb that the policy denies here";
const ROOT_ITSELF: &str =
    "only the labelled root itself: Landlock judges a removal by the directory that it happens in";
const INTERPRETER: &str =
    "Landlock asks for the right on a program's loader and interpreter too, wherever they lie";
const ALL_OR_NONE: &str = "Landlock stops signals to all processes outside the run or to none, and \
                           others may be signalled; ownership still protects other users' processes";
const SAME_DOMAIN: &str = "the run's processes share one Landlock domain";
const PROBES_TOO: &str =
    "Landlock stops signal 0 with the other signals; that the target exists can still be seen";

/// Plans a run's Landlock ruleset from the verdicts and the labelled roots.
#[must_use]
pub fn plan(compiled: &Compiled, roots: &[LabelledRoot]) -> LandlockPlan {
    let labels = PathLabels::new(roots.iter().cloned());
    // Oversight above a root makes it oversight's: ask the labeller, not the root.
    let roots: BTreeMap<PathBuf, Label> =
        roots.iter().map(|root| (root.path.clone(), labels.label(&root.path))).collect();
    let mut files = Files { compiled, labels, roots, plan: LandlockPlan::default() };
    for right in Right::ALL {
        files.add(right);
    }
    let mut plan = files.finish();
    signals(compiled, &mut plan);
    let rights = plan.handled.iter().map(|right| right.abi()).max().unwrap_or(0);
    plan.needs_abi = if plan.scope_signals { 6 } else { rights };
    plan
}

/// Whether a ruleset planned by [`plan`] stops what the policy denies, when no labelled root lies
/// inside another. `abi` is the host's Landlock ABI, 0 for none.
#[must_use]
pub fn prevents(compiled: &Compiled, verb: Verb, label: LabelId, abi: u32) -> bool {
    if is_allowed(compiled, verb, label) || label.label() == Label::Unknown {
        return false;
    }
    match verb {
        Verb::Kill | Verb::SignalProbe => {
            abi >= 6
                && foreign(compiled).any(|foreign| foreign == label)
                && scopes_signals(compiled)
        }
        // The outermost rights decide: what `system` may do, nothing below can be denied.
        _ => {
            let needed = Right::needed(verb);
            let denied =
                |right: &Right| abi >= right.abi() && !grants(compiled, *right, Label::System);
            !needed.is_empty() && needed.iter().all(denied)
        }
    }
}

struct Files<'a> {
    compiled: &'a Compiled,
    labels: PathLabels,
    roots: BTreeMap<PathBuf, Label>,
    plan: LandlockPlan,
}

impl Files<'_> {
    fn add(&mut self, right: Right) {
        let outermost = self.labels.label(Path::new("/"));
        let handled = !grants(self.compiled, right, outermost);
        if handled {
            self.plan.handled.insert(right);
            self.stricter(right, outermost, None);
        }
        let mut granted: Vec<PathBuf> = Vec::new();
        // The map's order puts a directory before what lies below it.
        for (path, label) in self.roots.clone() {
            let inside_granted = !handled || granted.iter().any(|above| path.starts_with(above));
            match (grants(self.compiled, right, label), inside_granted) {
                (true, true) => {}
                (true, false) => {
                    if matches!(right, Right::RemoveFile | Right::RemoveDir) {
                        let verbs = right.verbs();
                        self.gap(verbs, label, Some(&path), Direction::Stricter, ROOT_ITSELF);
                    }
                    self.grant(&path, right);
                    granted.push(path);
                }
                (false, true) => {
                    let denied = self.select(right, label, false);
                    self.gap(&denied, label, Some(&path), Direction::Looser, INSIDE_ALLOWED);
                }
                (false, false) => self.stricter(right, label, Some(&path)),
            }
        }
        if handled && right == Right::Execute {
            self.gap(right.verbs(), outermost, None, Direction::Stricter, INTERPRETER);
        }
    }

    fn finish(mut self) -> LandlockPlan {
        if !self.plan.handled.is_empty() && self.plan.handled.insert(Right::Refer) {
            self.grant(Path::new("/"), Right::Refer);
        }
        for right in [Right::WriteFile, Right::Truncate] {
            if self.plan.handled.contains(&right) {
                PASSED.iter().for_each(|path| self.grant(Path::new(path), right));
            }
        }
        self.plan.grants.sort_by(|one, other| one.path.cmp(&other.path));
        self.plan
    }

    /// The verbs of a right that the policy allows, or denies, on a label.
    fn select(&self, right: Right, label: Label, allowed: bool) -> Vec<Verb> {
        let verbs = right.verbs().iter().copied();
        verbs.filter(|verb| is_allowed(self.compiled, *verb, label.into()) == allowed).collect()
    }

    /// Notes the verbs that suffer because they share a right with a denied one.
    fn stricter(&mut self, right: Right, label: Label, path: Option<&Path>) {
        let allowed = self.select(right, label, true);
        self.gap(&allowed, label, path, Direction::Stricter, ONE_RIGHT);
    }

    fn grant(&mut self, path: &Path, right: Right) {
        if let Some(grant) = self.plan.grants.iter_mut().find(|grant| grant.path == path) {
            grant.rights.insert(right);
        } else {
            self.plan.grants.push(Grant { path: path.to_owned(), rights: [right].into() });
        }
    }

    fn gap(
        &mut self,
        verbs: &[Verb],
        label: Label,
        path: Option<&Path>,
        direction: Direction,
        reason: &'static str,
    ) {
        if verbs.is_empty() {
            return;
        }
        let same = self.plan.not_enforceable.iter_mut().find(|gap| {
            gap.label == label.name()
                && gap.path.as_deref() == path
                && gap.direction == direction
                && gap.reason == reason
        });
        if let Some(gap) = same {
            gap.verbs.extend(verbs);
            gap.verbs.sort_unstable();
            gap.verbs.dedup();
        } else {
            self.plan.not_enforceable.push(Gap {
                verbs: verbs.to_vec(),
                label: label.name().to_owned(),
                path: path.map(Path::to_owned),
                direction,
                reason,
            });
        }
    }
}

fn signals(compiled: &Compiled, plan: &mut LandlockPlan) {
    plan.scope_signals = scopes_signals(compiled);
    let own = [Label::SelfCall, Label::Agent].into_iter().map(LabelId::of);
    for (label, is_foreign) in
        foreign(compiled).map(|label| (label, true)).chain(own.map(|label| (label, false)))
    {
        let (stopped, reason) = match (is_foreign, plan.scope_signals) {
            (true, true) => (true, PROBES_TOO),
            (true, false) => (false, ALL_OR_NONE),
            (false, _) => (false, SAME_DOMAIN),
        };
        let differs = |verb: &Verb| is_allowed(compiled, *verb, label) == stopped;
        let verbs: Vec<_> = [Verb::Kill, Verb::SignalProbe].into_iter().filter(differs).collect();
        if !verbs.is_empty() {
            plan.not_enforceable.push(Gap {
                verbs,
                label: compiled.label_name(label),
                path: None,
                direction: if stopped { Direction::Stricter } else { Direction::Looser },
                reason,
            });
        }
    }
}

/// The labels of processes outside the run's Landlock domain. `component` as such stands in where
/// the run has none by name.
fn foreign(compiled: &Compiled) -> impl Iterator<Item = LabelId> {
    let components = (0..compiled.components().len()).filter_map(LabelId::component);
    let nameless = compiled.components().is_empty().then_some(Label::Component);
    [Label::Host, Label::Oversight].into_iter().chain(nameless).map(LabelId::of).chain(components)
}

/// Signals are scoped when nobody outside may be signalled: Landlock knows no exceptions.
fn scopes_signals(compiled: &Compiled) -> bool {
    foreign(compiled).all(|label| !is_allowed(compiled, Verb::Kill, label))
}

fn grants(compiled: &Compiled, right: Right, label: Label) -> bool {
    right.verbs().iter().all(|verb| is_allowed(compiled, *verb, label.into()))
}

fn is_allowed(compiled: &Compiled, verb: Verb, label: LabelId) -> bool {
    !compiled.verdict(verb, label).is_violation()
}

impl LandlockPlan {
    /// What a domain by `before` goes on to refuse although this plan does not: a domain can only be
    /// tightened. Empty where this plan is as strict everywhere, so that a domain by it within the
    /// other one is what it says.
    #[must_use]
    pub fn loosens(&self, before: &Self) -> Vec<String> {
        let mut loosened = Vec::new();
        for right in &before.handled {
            if !self.handled.contains(right) {
                loosened.push(format!("{} everywhere", verbs_of(*right)));
                continue;
            }
            let granted = |plan: &Self, path: &Path| {
                plan.grants
                    .iter()
                    .any(|grant| path.starts_with(&grant.path) && grant.rights.contains(right))
            };
            let mine = self.grants.iter().filter(|grant| grant.rights.contains(right));
            for grant in mine.filter(|grant| !granted(before, &grant.path)) {
                loosened.push(format!("{} below {}", verbs_of(*right), grant.path.display()));
            }
        }
        if before.scope_signals && !self.scope_signals {
            loosened.push("signals to processes outside the run".to_owned());
        }
        loosened
    }
}

/// The verbs that a right is for, in words.
fn verbs_of(right: Right) -> String {
    right.verbs().iter().map(|verb| verb.name()).collect::<Vec<_>>().join(" and ")
}
