//! What the record should say of an act, compared with what it says.

use std::{collections::BTreeMap, os::unix::ffi::OsStrExt as _, path::Path};

use journal::{Disposition, Effect, Enforcer, Source, Verb, Verdict, escape::escape};
use serde_json::{Value, json};

use crate::record::Record;

/// How far an act came, which decides where its object's identity is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// A hook of the `lsm` set saw it.
    Hook,
    /// It failed before any hook: only the caller's words tell what was meant.
    Never,
    /// The kernel's own object is known in both probe sets.
    Always,
}

/// One effect, as it should be recorded.
#[derive(Clone, Debug)]
pub struct Expected {
    verb: Verb,
    label: String,
    path: Option<String>,
    to: Option<(String, String)>,
    tgid: Option<i64>,
    address: Option<String>,
    args: BTreeMap<String, Value>,
    verdict: Verdict,
    disposition: Disposition,
    enforcer: Option<Enforcer>,
    outcome: Option<String>,
    reached: Reached,
}

/// The escaped form of a path, as the record has it.
#[must_use]
pub fn path_text(path: &Path) -> String {
    escape(path.as_os_str().as_bytes()).into_owned()
}

impl Expected {
    fn new(verb: Verb, label: &str, reached: Reached) -> Self {
        Self {
            verb,
            label: label.to_owned(),
            path: None,
            to: None,
            tgid: None,
            address: None,
            args: BTreeMap::new(),
            verdict: Verdict::Allow,
            disposition: Disposition::Observed,
            enforcer: None,
            outcome: Some("ok".to_owned()),
            reached,
        }
    }

    /// A verb on a file that a hook sees.
    #[must_use]
    pub fn file(verb: Verb, label: &str, path: &Path) -> Self {
        let reached = if verb == Verb::Exec { Reached::Always } else { Reached::Hook };
        Self { path: Some(path_text(path)), ..Self::new(verb, label, reached) }
    }

    /// A rename.
    #[must_use]
    pub fn rename(from: (&str, &Path), to: (&str, &Path), flags: u32) -> Self {
        let exchanges = flags & 2 != 0;
        let verb = if exchanges { Verb::Exchange } else { Verb::Rename };
        let mut new = Self::file(verb, from.0, from.1);
        new.to = Some((to.0.to_owned(), path_text(to.1)));
        new.args.insert("flags".to_owned(), json!(format!("{flags:#x}")));
        new
    }

    /// A verb with one argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.args.insert(name.to_owned(), value.into());
        self
    }

    /// A file, directory or device that was made.
    #[must_use]
    pub fn created(label: &str, path: &Path, kind: &str) -> Self {
        Self::file(Verb::Create, label, path).with("type", kind)
    }

    /// A hard link.
    #[must_use]
    pub fn link(from: (&str, &Path), to: (&str, &Path)) -> Self {
        let mut new = Self::file(Verb::Link, from.0, from.1);
        new.to = Some((to.0.to_owned(), path_text(to.1)));
        new
    }

    /// The kernel's own object is known in both probe sets.
    #[must_use]
    pub fn by_descriptor(mut self) -> Self {
        self.reached = Reached::Always;
        self
    }

    /// A signal: `kill`, or `signal_probe` for signal 0.
    #[must_use]
    pub fn signal(signal: i32, label: &str, tgid: i64) -> Self {
        let verb = if signal == 0 { Verb::SignalProbe } else { Verb::Kill };
        let mut new = Self::new(verb, label, Reached::Always);
        new.tgid = Some(tgid);
        new.args = [("signal".to_owned(), json!(signal)), ("pid".to_owned(), json!(tgid))].into();
        new
    }

    /// An act on a process that is no signal.
    #[must_use]
    pub fn on_process(verb: Verb, label: &str, tgid: i64) -> Self {
        Self { tgid: Some(tgid), ..Self::new(verb, label, Reached::Always) }
    }

    /// A verb on an address, whose end no probe sees.
    #[must_use]
    pub fn address(verb: Verb, label: &str, protocol: &str, address: &str) -> Self {
        let mut new = Self::new(verb, label, Reached::Always).without_outcome();
        new.address = Some(address.to_owned());
        new.args.insert("protocol".to_owned(), json!(protocol));
        new
    }

    /// A power, which has no object.
    #[must_use]
    pub fn on_kernel(verb: Verb, label: &str) -> Self {
        Self::new(verb, label, Reached::Always)
    }

    /// It ended with this outcome.
    #[must_use]
    pub fn outcome(mut self, outcome: &str) -> Self {
        self.outcome = Some(outcome.to_owned());
        self
    }

    /// No probe can tell how it ended.
    #[must_use]
    pub fn without_outcome(mut self) -> Self {
        self.outcome = None;
        self
    }

    /// It failed before any hook was reached.
    #[must_use]
    pub fn before_hooks(mut self, outcome: &str) -> Self {
        self.reached = Reached::Never;
        self.outcome(outcome)
    }

    /// The kernel's own object is known only to a hook.
    #[must_use]
    pub fn by_hook(mut self) -> Self {
        self.reached = Reached::Hook;
        self
    }

    /// The policy marks it.
    #[must_use]
    pub fn marked(mut self) -> Self {
        self.verdict = Verdict::Audit;
        self
    }

    /// The policy denies it, and nothing stopped it.
    #[must_use]
    pub fn denied(mut self) -> Self {
        self.verdict = Verdict::Deny;
        self
    }

    /// The policy denies it, and this stopped it.
    #[must_use]
    pub fn prevented(mut self, enforcer: Enforcer) -> Self {
        self.disposition = Disposition::Prevented;
        self.enforcer = Some(enforcer);
        self.denied()
    }

    fn text(&self, has_lsm: bool) -> String {
        let from_kernel = match self.reached {
            Reached::Always => true,
            Reached::Hook => has_lsm,
            Reached::Never => false,
        };
        let source = if from_kernel { Source::Kernel } else { Source::UserPath };
        text(&Parts {
            verb: self.verb,
            label: &self.label,
            source,
            path: self.path.as_deref(),
            to: self.to.as_ref().map(|(label, path)| (label.as_str(), path.as_str())),
            tgid: self.tgid,
            address: self.address.as_deref(),
            args: &self.args,
            verdict: self.verdict,
            disposition: self.disposition,
            enforcer: self.enforcer,
            outcome: self.outcome.as_deref(),
        })
    }
}

struct Parts<'a> {
    verb: Verb,
    label: &'a str,
    source: Source,
    path: Option<&'a str>,
    to: Option<(&'a str, &'a str)>,
    tgid: Option<i64>,
    address: Option<&'a str>,
    args: &'a BTreeMap<String, Value>,
    verdict: Verdict,
    disposition: Disposition,
    enforcer: Option<Enforcer>,
    outcome: Option<&'a str>,
}

/// One line that two effects share only if they are the same act with the same end.
fn text(parts: &Parts<'_>) -> String {
    let Parts { verb, label, source, path, to, tgid, address, args, .. } = parts;
    let object = match (path, tgid, address) {
        (Some(path), ..) => (*path).to_owned(),
        (_, Some(tgid), _) => tgid.to_string(),
        (.., Some(address)) => (*address).to_owned(),
        _ => String::new(),
    };
    let to = to.map(|(label, path)| format!(" to {label} {path}")).unwrap_or_default();
    let end = parts.outcome.unwrap_or("unknown");
    let by = parts.enforcer.map(|enforcer| format!(" by {}", enforcer.name())).unwrap_or_default();
    let (verdict, disposition) = (parts.verdict.name(), parts.disposition.name());
    format!(
        "{verb} {label} {object}{to} {args:?} ({source:?}): {end}, {verdict}, {disposition}{by}"
    )
}

/// An effect as one line.
#[must_use]
pub fn effect_text(effect: &Effect) -> String {
    let to = effect.object.to_label.as_deref().zip(effect.object.to.as_deref());
    let mut args = effect.args.clone();
    // What a program was given is looked at by a test of its own.
    args.retain(|name, _| !name.starts_with("argv"));
    text(&Parts {
        verb: effect.verb,
        label: &effect.object.label,
        source: effect.object.source,
        path: effect.object.path.as_deref(),
        to,
        tgid: effect.object.tgid,
        address: effect.object.address.as_deref(),
        args: &args,
        verdict: effect.verdict,
        disposition: effect.disposition,
        enforcer: effect.enforcer,
        outcome: effect.outcome.as_deref(),
    })
}

/// Checks that one process did exactly this, in this order; births and ends of processes are not
/// looked at.
///
/// # Panics
///
/// When an effect is missing, is there twice or differs; both lists are shown where they part.
#[track_caller]
pub fn assert_did(record: &Record, tgid: u32, expected: &[Expected]) {
    let mut effects: Vec<_> = record
        .effects
        .iter()
        .filter(|effect| effect.subject.tgid == tgid)
        .filter(|effect| !matches!(effect.verb, Verb::Fork | Verb::Exit))
        .collect();
    // The journal is in order of arrival, which the two ring buffers do not share.
    effects.sort_by_key(|effect| effect.seq);
    let found: Vec<_> = effects.iter().map(|effect| effect_text(effect)).collect();
    let wanted: Vec<_> = expected.iter().map(|one| one.text(record.has_lsm())).collect();
    let mut differences = String::new();
    let (mut left, mut right) = (wanted.as_slice(), found.as_slice());
    while let (Some(want), Some(have)) = (left.first(), right.first()) {
        if want == have {
            (left, right) = (&left[1..], &right[1..]);
        } else if right.contains(want) {
            differences += &format!("not expected: {have}\n");
            right = &right[1..];
        } else if left.contains(have) {
            differences += &format!("missing:      {want}\n");
            left = &left[1..];
        } else {
            differences += &format!("expected:     {want}\nrecorded:     {have}\n");
            (left, right) = (&left[1..], &right[1..]);
        }
    }
    for want in left {
        differences += &format!("missing:      {want}\n");
    }
    for have in right {
        differences += &format!("not expected: {have}\n");
    }
    assert!(differences.is_empty(), "process {tgid}:\n{differences}");
}
