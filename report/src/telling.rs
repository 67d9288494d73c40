//! One effect in words: what was done, by whom, what came of it.

use journal::{Disposition, Effect, Enforcer, Source, Verb, effect::OK};
use serde_json::Value;

/// The verb, its object and the arguments that matter. The object's name is hostile.
#[must_use]
pub fn act(effect: &Effect) -> String {
    let object = &effect.object;
    let mut act = effect.verb.name().to_owned();
    match (&object.path, object.tgid, &object.address) {
        (Some(path), ..) => {
            act.push(' ');
            act.push_str(path);
            if effect.truncated {
                act.push_str(" (cut short by the record)");
            }
        }
        (None, Some(tgid), _) => act.push_str(&format!(" process {tgid}")),
        (None, None, Some(address)) => {
            let protocol = effect.args.get("protocol").and_then(Value::as_str);
            let protocol = protocol.map_or_else(String::new, |name| format!(" {name}"));
            act.push_str(&format!("{protocol} {address}"));
        }
        (None, None, None) => match effect.args.get("syscall").and_then(Value::as_str) {
            // A power over the kernel has no object.
            Some(call) => act.push_str(&format!(" by {call}(2)")),
            None => act.push_str(" what the record does not name"),
        },
    }
    if let Some(to) = &object.to {
        act.push_str(" to ");
        act.push_str(to);
    }
    if effect.verb == Verb::Kill
        && let Some(number) = effect.args.get("signal").and_then(Value::as_u64)
    {
        act.push_str(" with ");
        act.push_str(&signal(number));
    }
    act
}

/// What the object means to the policy, and where its name comes from if not from the kernel.
pub(crate) fn label(effect: &Effect) -> String {
    let object = &effect.object;
    let mut label = object.label.clone();
    if let Some(to) = &object.to_label
        && *to != object.label
    {
        label.push_str(" to ");
        label.push_str(to);
    }
    if object.source == Source::UserPath {
        label.push_str(", path from the caller\u{2019}s memory");
    }
    label
}

/// What came of the effect, and by whose doing. It never says more than was true.
#[must_use]
pub fn fate(effect: &Effect) -> String {
    let by = effect.enforcer.map_or("an unnamed enforcer", Enforcer::name);
    let outcome = effect.outcome.as_deref();
    match (effect.disposition, outcome) {
        (Disposition::Prevented, Some(errno)) if errno != OK => {
            format!("prevented by {by} ({errno})")
        }
        (Disposition::Prevented, _) => format!("prevented by {by}"),
        (Disposition::StoppedAfter, Some(OK)) => format!("done, then stopped by {by}"),
        (Disposition::StoppedAfter, Some(errno)) => {
            format!("failed ({errno}), then stopped by {by}")
        }
        (Disposition::StoppedAfter, None) => format!("perhaps done, then stopped by {by}"),
        (Disposition::Observed, Some(OK)) => "done, nothing stopped it".to_owned(),
        (Disposition::Observed, Some(errno)) => format!("failed by itself ({errno})"),
        (Disposition::Observed, None) => "nothing stopped it, its end was not seen".to_owned(),
    }
}

/// The process that acted. Its command name is its own choice and comes last.
pub(crate) fn subject(effect: &Effect) -> String {
    let subject = &effect.subject;
    let exe = program(effect);
    format!("process {}, {exe}, comm {}", subject.tgid, subject.comm)
}

/// Whoever acted: a component of the scenario, or a process of the agent's.
pub(crate) fn actor(effect: &Effect) -> String {
    match &effect.component {
        Some(component) => format!("component {component}, {}", subject(effect)),
        None => subject(effect),
    }
}

/// The program that acted: tools of Belljar's own act before any program of the run is started.
pub(crate) fn program(effect: &Effect) -> &str {
    effect.subject.exe.as_deref().unwrap_or("before its first exec")
}

/// The call that caused it.
pub(crate) fn call(effect: &Effect) -> String {
    effect.call.map_or_else(|| "no call".to_owned(), |call| format!("call {call}"))
}

/// The signal by its name where x86-64 and arm64 agree on one that people know.
fn signal(number: u64) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        6 => "SIGABRT",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        18 => "SIGCONT",
        19 => "SIGSTOP",
        20 => "SIGTSTP",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}
