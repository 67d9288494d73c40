//! Sends a run to an OpenTelemetry endpoint, as protobuf over HTTP: `POST URL/v1/traces`, then
//! `POST URL/v1/logs`. What is sent is made by [`report::otlp`].
//!
//! Nothing is sent twice by itself. Ids follow from the run, so who exports it again says the same
//! again.

mod send;
#[cfg(test)]
mod tests;

use std::fmt;

use journal::RunDir;
use report::otlp::Export;
use scoring::{Record, Report};

use self::send::{Client, Signal};
pub(crate) use self::send::{Endpoint, SendError};
use crate::commands::readable_effects;

/// How much was sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) spans: usize,
    pub(crate) logs: usize,
    to: String,
}

impl fmt::Display for Sent {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spans, logs) = (ending(self.spans), ending(self.logs));
        write!(
            to,
            "sent {} span{spans} and {} log record{logs} to {}",
            self.spans, self.logs, self.to
        )
    }
}

fn ending(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Sends the run and its calls, and its violations.
pub(crate) fn export(
    endpoint: &Endpoint,
    directory: &RunDir,
    report: &Report,
    record: &Record,
) -> Result<Sent, SendError> {
    let client = Client::new(endpoint)?;
    let export = Export::new(report, record);
    let last = readable_effects(directory).map(|effect| effect.boot_ns).max();
    let mut sent = Sent { to: endpoint.to_string(), ..Sent::default() };
    for request in export.traces(last) {
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let spans = scopes.map(|scope| scope.spans.len()).sum();
        client.post(Signal::Traces, &request, spans)?;
        sent.spans += spans;
    }
    for request in export.logs(readable_effects(directory)) {
        let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        let logs = scopes.map(|scope| scope.log_records.len()).sum();
        client.post(Signal::Logs, &request, logs)?;
        sent.logs += logs;
    }
    Ok(sent)
}
