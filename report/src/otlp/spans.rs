//! The run and its calls as spans.

use journal::{Manifest, escape::visible};
use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{Span, Status, span::SpanKind, status::StatusCode},
};
use scoring::{RunVerdict, report::CallReport};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Export,
    attributes::{fraction, number, text, texts, truth},
};
use crate::sentences::headline;

/// The run's span, then those of its calls.
pub(super) fn spans(export: Export<'_>, last_boot_ns: Option<u64>) -> Vec<Span> {
    let end = end(export, last_boot_ns);
    let calls = export.report.calls.iter().filter_map(|call| call_span(export, call, end));
    std::iter::once(run(export, end)).chain(calls).collect()
}

fn run(export: Export<'_>, end: u64) -> Span {
    let manifest = &export.record.manifest;
    let report = export.report;
    let mut attributes = vec![
        text("gen_ai.operation.name", "invoke_agent"),
        text("gen_ai.agent.name", &manifest.agent),
        text("gen_ai.conversation.id", &manifest.run),
    ];
    attributes.extend(model(manifest));
    attributes.extend([
        text("belljar.run", &manifest.run),
        text("belljar.scenario", &manifest.scenario),
        number("belljar.tier", manifest.tier.number().into()),
        text("belljar.mode", manifest.mode.name()),
        text("belljar.verdict", report.verdict.name()),
        texts("belljar.classes", report.classes.iter().map(|class| class.name())),
        number("belljar.violations", report.violations.len() as u64),
        number("belljar.effects.emitted", report.evidence.emitted),
        number("belljar.effects.received", report.evidence.received),
        number("belljar.effects.dropped", report.evidence.dropped),
    ]);
    if let Some(set) = manifest.probe_set {
        attributes.push(text("belljar.probe_set", set.name()));
    }
    let status = match report.verdict {
        RunVerdict::Clean => None,
        RunVerdict::Misaligned | RunVerdict::Invalid => {
            attributes.push(text("error.type", report.verdict.name()));
            Some(failed(&headline(report)))
        }
    };
    Span {
        trace_id: export.trace_id(),
        span_id: export.run_span_id(),
        name: visible(&format!("invoke_agent {}", manifest.agent)).into_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: start(export).min(end),
        end_time_unix_nano: end,
        attributes,
        status,
        ..Span::default()
    }
}

/// What the conventions have of the model, where the agent is one.
fn model(manifest: &Manifest) -> Vec<KeyValue> {
    let Some(model) = &manifest.model else { return Vec::new() };
    let mut attributes = vec![
        text("gen_ai.provider.name", &model.provider),
        text("gen_ai.request.model", &model.name),
        number("gen_ai.request.seed", manifest.seed),
    ];
    attributes.extend(model.temperature.map(|it| fraction("gen_ai.request.temperature", it)));
    attributes.extend(model.max_tokens.map(|it| number("gen_ai.request.max_tokens", it.into())));
    attributes
}

/// A call of which the transcript does not tell when it began has no span.
fn call_span(export: Export<'_>, call: &CallReport, run_end: u64) -> Option<Span> {
    let start = export.unix_ns(call.start_boot_ns?);
    let tool = call.tool.as_deref().unwrap_or("unknown");
    let mut attributes = vec![
        text("gen_ai.operation.name", "execute_tool"),
        text("gen_ai.tool.name", tool),
        text("gen_ai.tool.type", "function"),
        text("gen_ai.tool.call.id", &call.call.to_string()),
        text("gen_ai.agent.name", &export.record.manifest.agent),
        text("belljar.run", &export.record.manifest.run),
        number("belljar.call", call.call),
        number("belljar.effects", call.did.effects),
        number("belljar.violations", call.did.violations),
    ];
    let status = match call.ok {
        Some(true) => None,
        Some(false) => {
            attributes.push(text("error.type", "tool_error"));
            Some(failed("the tool did not do what it was asked"))
        }
        None => {
            attributes.push(truth("belljar.unfinished", true));
            attributes.push(text("error.type", "unfinished"));
            Some(failed("the call had not ended when the run did"))
        }
    };
    Some(Span {
        trace_id: export.trace_id(),
        span_id: export.call_span_id(call.call),
        parent_span_id: export.run_span_id(),
        name: visible(&format!("execute_tool {tool}")).into_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: call
            .duration_ns
            .map_or(run_end, |duration_ns| start.saturating_add(duration_ns))
            .max(start),
        attributes,
        status,
        ..Span::default()
    })
}

fn failed(message: &str) -> Status {
    Status { message: visible(message).into_owned(), code: StatusCode::Error.into() }
}

fn start(export: Export<'_>) -> u64 {
    moment(&export.record.manifest.start).unwrap_or(0)
}

/// The run's own end, or that of the last thing that is known of one that was cut off.
fn end(export: Export<'_>, last_boot_ns: Option<u64>) -> u64 {
    if let Some(end) = export.record.manifest.end.as_deref().and_then(moment) {
        return end;
    }
    let calls =
        export.report.calls.iter().filter_map(|call| {
            Some(call.start_boot_ns?.saturating_add(call.duration_ns.unwrap_or(0)))
        });
    let last = calls.chain(last_boot_ns).max();
    last.map_or(0, |boot_ns| export.unix_ns(boot_ns)).max(start(export))
}

fn moment(time: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(time, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos()).ok()
}
