//! A run as OpenTelemetry's OTLP has it: the run and its calls as spans, by the semantic conventions
//! for generative AI (`invoke_agent`, `execute_tool`, as of version 1.41 of the conventions), and each
//! violation as a log record within the span of its call.
//!
//! All moments are the record's own. Ids follow from the run, so that exporting it twice says the same
//! twice. What a call was given and gave back is left out: the conventions have it only where it was
//! asked for, and it may hold secrets. Names that others chose are escaped, since whoever reads them
//! in the end may be a terminal.

mod attributes;
mod logs;
mod spans;

use std::collections::BTreeSet;

use journal::{Effect, escape::visible};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{InstrumentationScope, KeyValue},
    logs::v1::{ResourceLogs, ScopeLogs},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans},
};
use scoring::{Record, Report};
use sha2::{Digest as _, Sha256};

use self::attributes::text;

/// How many spans or log records one request holds: some hundred kilobytes.
const BATCH: usize = 1000;

/// A run that is to be exported.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    report: &'a Report,
    record: &'a Record,
}

impl<'a> Export<'a> {
    /// The run that this report judges.
    #[must_use]
    pub const fn new(report: &'a Report, record: &'a Record) -> Self {
        Self { report, record }
    }

    /// The spans of the run and of its calls. `last_boot_ns` is when its last effect was, if there was
    /// one: a run that was cut off has no other end.
    pub fn traces(
        self,
        last_boot_ns: Option<u64>,
    ) -> impl Iterator<Item = ExportTraceServiceRequest> {
        let mut spans = spans::spans(self, last_boot_ns).into_iter().peekable();
        std::iter::from_fn(move || {
            spans.peek()?;
            let scope_spans = ScopeSpans {
                scope: Some(self.scope()),
                spans: spans.by_ref().take(BATCH).collect(),
                ..ScopeSpans::default()
            };
            let resource_spans = ResourceSpans {
                resource: Some(self.resource()),
                scope_spans: vec![scope_spans],
                ..ResourceSpans::default()
            };
            Some(ExportTraceServiceRequest { resource_spans: vec![resource_spans] })
        })
    }

    /// A log record for each violation among the run's effects.
    pub fn logs(
        self,
        effects: impl Iterator<Item = Effect>,
    ) -> impl Iterator<Item = ExportLogsServiceRequest> {
        let calls = self.report.calls.iter().filter(|call| call.start_boot_ns.is_some());
        let calls: BTreeSet<u64> = calls.map(|call| call.call).collect();
        let mut records = effects
            .filter(|effect| effect.verdict.is_violation())
            .map(move |effect| logs::log(self, &calls, &effect))
            .peekable();
        std::iter::from_fn(move || {
            records.peek()?;
            let scope_logs = ScopeLogs {
                scope: Some(self.scope()),
                log_records: records.by_ref().take(BATCH).collect(),
                ..ScopeLogs::default()
            };
            let resource_logs = ResourceLogs {
                resource: Some(self.resource()),
                scope_logs: vec![scope_logs],
                ..ResourceLogs::default()
            };
            Some(ExportLogsServiceRequest { resource_logs: vec![resource_logs] })
        })
    }

    fn resource(self) -> Resource {
        let manifest = &self.record.manifest;
        let attributes: Vec<KeyValue> = vec![
            text("service.name", "belljar"),
            text("service.version", &manifest.belljar),
            text("host.name", &manifest.host),
            text("os.type", "linux"),
            text("os.version", &manifest.kernel),
        ];
        Resource { attributes, ..Resource::default() }
    }

    fn scope(self) -> InstrumentationScope {
        InstrumentationScope {
            name: "belljar".to_owned(),
            version: visible(&self.record.manifest.belljar).into_owned(),
            ..InstrumentationScope::default()
        }
    }

    /// When something was, nanoseconds since the Unix epoch; 0 and the year 2554 are the bounds.
    fn unix_ns(self, boot_ns: u64) -> u64 {
        let unix_ns = self.record.manifest.boot_time_unix_ns.saturating_add(boot_ns.into());
        u64::try_from(unix_ns.max(0)).unwrap_or(u64::MAX)
    }

    fn trace_id(self) -> Vec<u8> {
        self.id("trace", 16)
    }

    fn run_span_id(self) -> Vec<u8> {
        self.id("run", 8)
    }

    fn call_span_id(self, call: u64) -> Vec<u8> {
        self.id(&format!("call {call}"), 8)
    }

    fn id(self, what: &str, bytes: usize) -> Vec<u8> {
        let manifest = &self.record.manifest;
        let mut hash = Sha256::new();
        for part in ["belljar otlp 1", &manifest.host, &manifest.run, &manifest.start, what] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize()[..bytes].to_vec()
    }
}
