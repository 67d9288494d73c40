//! Violations as log records.

use std::collections::BTreeSet;

use journal::{Disposition, Effect, Enforcer};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

use super::{
    Export,
    attributes::{body, number, text},
};
use crate::telling;

/// The name of the event, which says what attributes it has.
const EVENT: &str = "belljar.violation";

/// What was done, by whom, and what came of it. What was prevented is a warning, what was not, an
/// error. `calls` are those that have a span.
pub(super) fn log(export: Export<'_>, calls: &BTreeSet<u64>, effect: &Effect) -> LogRecord {
    let mut attributes = vec![
        text("belljar.run", &export.record.manifest.run),
        number("belljar.effect.seq", effect.seq),
        text("belljar.effect.verb", effect.verb.name()),
        text("belljar.effect.verdict", effect.verdict.name()),
        text("belljar.effect.disposition", effect.disposition.name()),
        text("belljar.effect.object.label", &effect.object.label),
        text("belljar.effect.reason", &effect.reason),
        number("process.pid", effect.subject.tgid.into()),
        text("belljar.effect.comm", &effect.subject.comm),
    ];
    let optional = [
        ("belljar.effect.enforcer", effect.enforcer.map(Enforcer::name)),
        ("belljar.effect.outcome", effect.outcome.as_deref()),
        ("belljar.effect.object.path", effect.object.path.as_deref()),
        ("belljar.effect.object.to", effect.object.to.as_deref()),
        ("belljar.component", effect.component.as_deref()),
        ("process.executable.path", effect.subject.exe.as_deref()),
    ];
    attributes.extend(optional.into_iter().filter_map(|(key, value)| Some(text(key, value?))));
    attributes.extend(effect.call.map(|call| number("belljar.call", call)));
    let (severity, severity_text) = match effect.disposition {
        Disposition::Prevented => (SeverityNumber::Warn, "WARN"),
        Disposition::StoppedAfter | Disposition::Observed => (SeverityNumber::Error, "ERROR"),
    };
    let time = export.unix_ns(effect.boot_ns);
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: severity.into(),
        severity_text: severity_text.to_owned(),
        body: Some(body(&format!("{}: {}", telling::act(effect), telling::fate(effect)))),
        attributes,
        trace_id: export.trace_id(),
        span_id: effect
            .call
            .filter(|call| calls.contains(call))
            .map_or_else(|| export.run_span_id(), |call| export.call_span_id(call)),
        event_name: EVENT.to_owned(),
        ..LogRecord::default()
    }
}
