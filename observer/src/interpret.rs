//! From a decoded record to an effect: who, what, what the policy says and who made it true.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    fs,
    net::SocketAddr,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use ebpf_common::{
    ArgKind, LabelId, ObjectKind, Record, Verb, Verdict,
    record::{Decoded, OUTCOME_UNKNOWN, record_flags, string},
    syscall::{COMPAT_BIT, X32_BIT, name_of},
    verb::taken_along_counts,
};
use journal::{
    Disposition, Effect, Enforcer, Object, Outcome, Source, Subject, clock::Clock, effect::OK,
    escape::escape, manifest::Mode,
};
use nix::{errno::Errno, sys::stat::SFlag};
use policy::{Compiled, PathLabels, Protocol, addresses::from_words, landlock, seccomp};
use serde_json::Value;

use crate::{epochs::Epochs, mounts::Mounts, object_path};

/// Whose leaf a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A tool call's.
    Call(u64),
    /// A component's.
    Component(String),
}

/// What Landlock does in the agent's sandbox.
#[derive(Clone, Copy, Debug, Default)]
pub struct LandlockInForce {
    /// The ABI; absent where Landlock does nothing.
    pub abi: Option<u32>,
    /// Whether it refuses signals out of the sandbox.
    pub scopes_signals: bool,
}

/// Turns records of one run into effects.
pub struct Interpreter {
    /// The policy that judged the record at hand.
    compiled: Compiled,
    epochs: Epochs,
    labels: PathLabels,
    mode: Mode,
    clock: Clock,
    mounts: Mounts,
    owners: HashMap<u64, Owner>,
    /// Path of the program that an exec started, by the exec's id.
    programs: HashMap<u64, String>,
    landlock: LandlockInForce,
    /// Names of the system calls that the sandbox's filter refuses.
    filtered: HashSet<&'static str>,
    binds: Vec<(PathBuf, PathBuf)>,
}

impl Interpreter {
    /// An interpreter for a run under this policy and these labelled roots.
    #[must_use]
    pub fn new(
        compiled: Compiled,
        labels: PathLabels,
        mode: Mode,
        clock: Clock,
        mounts: Mounts,
    ) -> Self {
        let refusals = seccomp::plan(compiled.tier()).refusals;
        Self {
            filtered: refusals.iter().map(|refusal| refusal.syscall).collect(),
            epochs: Epochs::new(compiled.clone()),
            compiled,
            labels,
            mode,
            clock,
            mounts,
            owners: HashMap::new(),
            programs: HashMap::new(),
            landlock: LandlockInForce::default(),
            binds: Vec::new(),
        }
    }

    /// Notes which directories stand in for others in the agent's mounts: the path as the agent sees
    /// it, and the directory on the host.
    pub fn set_binds(&mut self, binds: Vec<(PathBuf, PathBuf)>) {
        self.binds = binds;
    }

    /// Notes whose leaf this is.
    pub fn own(&mut self, leaf: u64, owner: Owner) {
        self.epochs.name(leaf);
        self.owners.insert(leaf, owner);
    }

    /// Whose leaf this is.
    #[must_use]
    pub fn owner(&self, leaf: u64) -> Option<&Owner> {
        self.owners.get(&leaf)
    }

    /// Notes what Landlock does.
    pub fn set_landlock(&mut self, landlock: LandlockInForce) {
        self.landlock = landlock;
    }

    /// Notes that another policy judges from this moment of CLOCK_BOOTTIME on.
    pub fn reload(&mut self, compiled: Compiled, from_boot_ns: u64) {
        self.epochs.push(compiled, from_boot_ns);
    }

    /// Remembers the program that an exec started. Records of one task come in order within one ring
    /// buffer but not across the two, so this runs ahead of [`Self::effect`].
    pub fn note_program(&mut self, decoded: &Decoded<'_>) {
        let record = &decoded.record;
        if record.verb == Verb::Exec && record.outcome == 0 {
            let path = object_path::kernel(decoded, string::PATH, &mut self.mounts);
            self.programs.insert(record.seq + 1, text(&path));
        }
    }

    /// The effect that a record tells of.
    pub fn effect(&mut self, decoded: &Decoded<'_>) -> Effect {
        self.note_program(decoded);
        let record = &decoded.record;
        if let Some(compiled) = self.epochs.turn_to_time_of(record) {
            self.compiled = compiled;
        }
        let (object, label, to_label) = self.object(decoded);
        if let Some(compiled) = self.epochs.turn_to_verdict_of(record, label, to_label) {
            self.compiled = compiled;
        }
        // A component acts for the scenario, not for the agent: the tier does not bind it.
        let owner = self.owners.get(&record.leaf);
        let (call, component) = match owner {
            Some(Owner::Call(call)) => (Some(*call), None),
            Some(Owner::Component(name)) => (None, Some(name.clone())),
            None => (None, None),
        };
        let worst = self.compiled.decisive(record.verb, label, to_label);
        let moot = was_moot(record);
        let verdict = if component.is_some() {
            Verdict::Allow
        } else if record.has(record_flags::USER_PATH) {
            let verdict = self.compiled.verdict(record.verb, worst);
            if moot { self.compiled.verdict_for_absent(verdict, worst) } else { verdict }
        } else {
            record.verdict
        };
        let (disposition, enforcer) = self.disposition(record, verdict, worst);
        Effect {
            seq: record.seq,
            boot_ns: record.boot_ns,
            time: self.clock.rfc3339(record.boot_ns),
            verb: record.verb,
            subject: self.subject(record),
            call,
            component,
            object,
            args: arguments(decoded),
            verdict,
            disposition,
            enforcer,
            outcome: outcome(record.outcome),
            reason: match verdict {
                _ if record.has(record_flags::UNWATCHED) => self.compiled.unwatched_reason(),
                Verdict::Allow => String::new(),
                _ if record.approval != 0 => {
                    format!("asked for and approved: question {}", record.approval)
                }
                Verdict::Audit if moot => "there was nothing to act on".to_owned(),
                _ => self.compiled.reason(record.verb, worst),
            },
            approval: (record.approval != 0).then(|| u64::from(record.approval)),
            policy: self.epochs.number(),
            truncated: record.has(record_flags::TRUNCATED)
                || record.has(record_flags::UNFINISHED_WALK),
        }
    }

    /// Name of the policy's rule that decided on an effect, where one with a name did.
    pub(crate) fn rule_of(&self, effect: &Effect) -> Option<String> {
        let label = self.compiled.label_id(&effect.object.label)?;
        let to = effect.object.to_label.as_deref().and_then(|name| self.compiled.label_id(name));
        let label = self.compiled.decisive(effect.verb, label, to);
        self.compiled.rule(effect.verb, label)?.name.clone()
    }

    fn subject(&self, record: &Record) -> Subject {
        let comm = record.comm.split(|&byte| byte == 0).next().unwrap_or_default();
        Subject {
            tgid: record.tgid,
            tid: record.tid,
            uid: record.uid,
            exe: self.programs.get(&record.exec_id).cloned(),
            comm: escape(comm).into_owned(),
            exec_id: record.exec_id.checked_sub(1),
        }
    }

    fn object(&mut self, decoded: &Decoded<'_>) -> (Object, LabelId, Option<LabelId>) {
        let record = &decoded.record;
        match record.verb.object() {
            ObjectKind::Kernel => {
                let label = record.label();
                let label_name = self.compiled.label_name(label);
                (
                    Object { label: label_name, source: Source::Kernel, ..Object::default() },
                    label,
                    None,
                )
            }
            ObjectKind::Process => {
                let label = record.label();
                let number = i64::from(record.object_number);
                let object = Object {
                    label: self.compiled.label_name(label),
                    source: Source::Kernel,
                    tgid: Some(if record.has(record_flags::GROUP) { -number } else { number }),
                    call: match self.owners.get(&record.object_id) {
                        Some(Owner::Call(call)) => Some(*call),
                        _ => None,
                    },
                    ..Object::default()
                };
                (object, label, None)
            }
            ObjectKind::Address => {
                let label = record.label();
                let address = SocketAddr::new(from_words(record.address()), record.port);
                let object = Object {
                    label: self.compiled.label_name(label),
                    source: Source::Kernel,
                    address: Some(address.to_string()),
                    ..Object::default()
                };
                (object, label, None)
            }
            kind @ (ObjectKind::File | ObjectKind::FilePair) => {
                let from_user = record.has(record_flags::USER_PATH);
                let has_file = !from_user && !record.is_abstract();
                let pair = kind == ObjectKind::FilePair;
                let is_rename = record.verb.renames();
                let mut file = |which, kernel| {
                    let (path, label) = self.file(decoded, which, kernel);
                    let label = if is_rename && from_user {
                        self.taken_along(record.verb, &path, label)
                    } else {
                        label
                    };
                    (path, label)
                };
                let (path, label) = file(string::PATH, record.label());
                let to = pair.then(|| file(string::TO, LabelId::from_number(record.to_label)));
                if let Some((to, _)) = &to
                    && is_rename
                    && record.outcome == 0
                {
                    self.moved(record, &path, to);
                }
                let object = Object {
                    label: self.compiled.label_name(label),
                    source: if from_user { Source::UserPath } else { Source::Kernel },
                    path: Some(text(&path)),
                    to_label: to.as_ref().map(|(_, label)| self.compiled.label_name(*label)),
                    to: to.as_ref().map(|(path, _)| text(path)),
                    device: has_file.then(|| device(record.object_number)),
                    inode: has_file.then_some(record.object_id),
                    ..Object::default()
                };
                (object, label, to.map(|(_, label)| label))
            }
        }
    }

    /// Path and label of a file; the label that the kernel found, unless it only had a string.
    fn file(&mut self, decoded: &Decoded<'_>, which: usize, kernel: LabelId) -> (PathBuf, LabelId) {
        let record = &decoded.record;
        if record.is_abstract() {
            return (OsStr::from_bytes(decoded.strings[which]).into(), kernel);
        }
        if !record.has(record_flags::USER_PATH) {
            return (object_path::kernel(decoded, which, &mut self.mounts), kernel);
        }
        // Components live in the host's own mounts.
        let binds = match self.owners.get(&record.leaf) {
            Some(Owner::Component(_)) => &[][..],
            Some(Owner::Call(_)) | None => &self.binds,
        };
        let written = object_path::user(decoded, which, &mut self.mounts, binds);
        // What was refused and leads through a directory that is not there any more may have led
        // anywhere; where the act succeeded, the agent could reach it by that path.
        let lost = !written.resolved && record.outcome == -(Errno::EACCES as i32);
        let cut = !written.absolute && record.has(record_flags::UNFINISHED_WALK);
        let label = if lost || cut {
            ebpf_common::Label::Unknown
        } else {
            self.labels.label(&written.path)
        };
        (written.path, LabelId::of(label))
    }

    /// Takes note of a rename that happened: paths are labelled by their text where the kernel does
    /// not label them by identity.
    fn moved(&mut self, record: &Record, from: &Path, to: &Path) {
        if record.verb == Verb::Rename {
            self.labels.moved(from, to);
            return;
        }
        // No path can be this one: it is not absolute.
        let aside = Path::new("aside");
        self.labels.moved(from, aside);
        self.labels.moved(to, from);
        self.labels.moved(aside, to);
    }

    /// The label that decides on a rename of `path`: its own, or that of a labelled root which moves
    /// along.
    fn taken_along(&self, verb: Verb, path: &Path, own: LabelId) -> LabelId {
        let judged = |label| (label, self.compiled.verdict(verb, label));
        let below = self.labels.below(path).map(LabelId::of);
        below.fold(own, |found, label| {
            if taken_along_counts(judged(found), judged(label)) { label } else { found }
        })
    }

    /// Whether a violation was stopped, and by whom. Never more than was true: what merely failed
    /// was prevented by nobody.
    fn disposition(
        &self,
        record: &Record,
        verdict: Verdict,
        label: LabelId,
    ) -> (Disposition, Option<Enforcer>) {
        const OBSERVED: (Disposition, Option<Enforcer>) = (Disposition::Observed, None);
        if !verdict.is_violation() {
            return OBSERVED;
        }
        let prevented = |enforcer| (Disposition::Prevented, Some(enforcer));
        let errno = (record.outcome < 0 && record.outcome != OUTCOME_UNKNOWN)
            .then(|| Errno::from_raw(-record.outcome));
        match errno {
            Some(Errno::EPERM)
                if record.has(record_flags::JUDGED) && record.has(record_flags::ENFORCED) =>
            {
                prevented(if record.verb.object() == ObjectKind::Address {
                    Enforcer::CgroupBpf
                } else {
                    Enforcer::BpfLsm
                })
            }
            Some(Errno::EPERM) if self.filter_refuses(record) => prevented(Enforcer::Seccomp),
            // A call of another ABI: the filter has killed the process for it.
            None if self.filter_refuses(record) => prevented(Enforcer::Seccomp),
            Some(Errno::EPERM) if record.verb.object() == ObjectKind::Process => {
                let own = label.component_index().is_some()
                    || matches!(
                        label.label(),
                        ebpf_common::Label::Agent | ebpf_common::Label::SelfCall
                    );
                let scoped = self.landlock.scopes_signals
                    && matches!(record.verb, Verb::Kill | Verb::SignalProbe)
                    && (own || belongs_to(record.object_number, record.uid));
                prevented(if scoped { Enforcer::Landlock } else { Enforcer::Dac })
            }
            Some(Errno::EACCES | Errno::EXDEV)
                if self.landlock_refuses(record.leaf, record.verb, label) =>
            {
                prevented(Enforcer::Landlock)
            }
            Some(Errno::EPERM | Errno::EACCES | Errno::EROFS) => prevented(Enforcer::Dac),
            Some(_) => OBSERVED,
            None if self.mode == Mode::Enforce
                && matches!(verdict, Verdict::Ask | Verdict::Freeze | Verdict::Kill) =>
            {
                (Disposition::StoppedAfter, Some(Enforcer::Response))
            }
            None => OBSERVED,
        }
    }

    /// Whether the sandbox's filter refuses the system call that a record tells of.
    fn filter_refuses(&self, record: &Record) -> bool {
        let Some(ArgKind::Syscall) = record.verb.args().first().map(|arg| arg.kind) else {
            return false;
        };
        let number = record.args[0];
        number & (COMPAT_BIT | X32_BIT) != 0
            || name_of(number).is_some_and(|name| self.filtered.contains(name))
    }

    fn landlock_refuses(&self, leaf: u64, verb: Verb, label: LabelId) -> bool {
        let compiled = self.epochs.domain(leaf);
        self.landlock.abi.is_some_and(|abi| landlock::prevents(compiled, verb, label, abi))
    }
}

/// Whether a process that still lives is a user's, so that ownership refuses that user nothing.
fn belongs_to(tgid: u32, uid: u32) -> bool {
    fs::metadata(format!("/proc/{tgid}")).is_ok_and(|process| process.uid() == uid)
}

/// Whether the act failed because what it named was not there, or what it was to make was. Where a
/// hook has judged the object, it has not.
fn was_moot(record: &Record) -> bool {
    !record.has(record_flags::JUDGED)
        && record.verb.moot().iter().any(|(_, errno)| record.outcome == -errno)
}

fn text(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes()).into_owned()
}

fn device(number: u32) -> String {
    format!("{}:{}", number >> 20, number & 0xf_ffff)
}

/// An outcome as the journal spells it.
fn outcome(number: i32) -> Outcome {
    match number {
        OUTCOME_UNKNOWN => None,
        0.. => Some(OK.to_owned()),
        failed => {
            let errno = Errno::from_raw(-failed);
            if errno == Errno::UnknownErrno {
                Some(format!("E{}", -failed))
            } else {
                Some(format!("{errno:?}"))
            }
        }
    }
}

fn arguments(decoded: &Decoded<'_>) -> BTreeMap<String, Value> {
    let record = &decoded.record;
    let declared = record.verb.args().iter().zip(record.args);
    let mut arguments: BTreeMap<String, Value> = declared
        .map(|(arg, value)| {
            let value = match arg.kind {
                ArgKind::Signal => Value::from(value),
                ArgKind::Pid => Value::from(value as u32 as i32),
                ArgKind::Protocol => Protocol::from_number(value)
                    .map_or_else(|| Value::from(value), |protocol| Value::from(protocol.name())),
                ArgKind::CloneFlags | ArgKind::RenameFlags | ArgKind::OpenFlags => {
                    Value::from(format!("{value:#x}"))
                }
                ArgKind::FileMode => Value::from(format!("{value:04o}")),
                ArgKind::FileType => Value::from(file_type(value as u32)),
                ArgKind::Id => Value::from(value as u32 as i32),
                ArgKind::WaitStatus => wait_status(value as u32),
                ArgKind::Operation => Value::from(value as u32),
                ArgKind::Bytes => Value::from(value),
                ArgKind::Syscall => Value::from(syscall(value)),
            };
            (arg.name.to_owned(), value)
        })
        .collect();
    if record.verb == Verb::Exec {
        if record.outcome != 0 {
            // Nobody has counted what was not given to a program.
            arguments.remove("argv_bytes");
        }
        match decoded.strings[string::ARGV] {
            // Nobody could read them.
            [] => drop(arguments.remove("argv_bytes")),
            given => {
                let given = given.strip_suffix(&[0]).unwrap_or(given);
                let given = given.split(|&byte| byte == 0).map(escape).collect::<Vec<_>>();
                arguments.insert("argv".to_owned(), Value::from(given));
            }
        }
    }
    arguments
}

/// A system call as people call it.
fn syscall(number: u64) -> String {
    if number & COMPAT_BIT != 0 {
        return format!("i386 {}", number & !COMPAT_BIT);
    }
    if number & X32_BIT != 0 {
        return format!("x32 {}", number & !X32_BIT);
    }
    name_of(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// The type that a mode tells of, inode(7).
fn file_type(mode: u32) -> &'static str {
    match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => "regular",
        SFlag::S_IFDIR => "directory",
        SFlag::S_IFCHR => "character device",
        SFlag::S_IFBLK => "block device",
        SFlag::S_IFIFO => "fifo",
        SFlag::S_IFSOCK => "socket",
        SFlag::S_IFLNK => "symbolic link",
        _ => "unknown",
    }
}

/// `{"code": 1}` or `{"signal": 9}`, as wait(2) reads a status.
fn wait_status(status: u32) -> Value {
    let (key, value) =
        if status & 0x7f == 0 { ("code", (status >> 8) & 0xff) } else { ("signal", status & 0x7f) };
    serde_json::json!({ key: value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_spelled_as_the_kernel_names_them() {
        assert_eq!(outcome(0).as_deref(), Some("ok"));
        assert_eq!(outcome(-1).as_deref(), Some("EPERM"));
        assert_eq!(outcome(-2).as_deref(), Some("ENOENT"));
        assert_eq!(outcome(OUTCOME_UNKNOWN), None);
        assert_eq!(outcome(-4000).as_deref(), Some("E4000"));
    }

    #[test]
    fn a_wait_status_tells_code_or_signal() {
        assert_eq!(wait_status(0x100), serde_json::json!({"code": 1}));
        assert_eq!(wait_status(9), serde_json::json!({"signal": 9}));
    }
}
