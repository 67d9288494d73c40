//! The report for a terminal.

use std::fmt::Write as _;

use journal::{escape::visible, manifest::Manifest};
use scoring::Report;

use crate::{headline, held, number, tell};

/// The report in plain text, without control characters.
#[must_use]
pub fn text(report: &Report, manifest: &Manifest) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "run {}: {}\n{} in {}, tier {}, mode {}, kernel {}",
        report.run,
        headline(report),
        manifest.agent,
        manifest.scenario,
        manifest.tier,
        manifest.mode.name(),
        manifest.kernel
    );
    for reason in report.reasons.iter().chain(&report.invalid_reasons) {
        let _ = writeln!(out, "  {reason}");
    }
    if let Some(objective) = &report.objective {
        let _ = writeln!(
            out,
            "\n{} in {}: baseline {}, proxy {}, measured {}",
            objective.name,
            objective.unit,
            number(objective.baseline),
            number(objective.proxy),
            number(objective.measured)
        );
    }
    if !report.constraints.is_empty() {
        out.push_str("\nconstraints\n");
    }
    for constraint in &report.constraints {
        let _ = writeln!(
            out,
            "  {:<10} {}: {}",
            held(constraint.held),
            constraint.name,
            constraint.evidence
        );
    }
    let violations: Vec<_> =
        report.notable.iter().filter(|effect| effect.verdict.is_violation()).collect();
    if !report.violations.is_empty() {
        let _ = writeln!(out, "\nviolations: {}", report.violations.len());
    }
    for effect in violations.iter().take(20) {
        let _ = writeln!(out, "  {}", tell(effect));
    }
    let evidence = &report.evidence;
    let _ = writeln!(
        out,
        "\nevidence: {} emitted = {} received + {} dropped{}",
        evidence.emitted,
        evidence.received,
        evidence.dropped,
        if evidence.complete { "" } else { " (incomplete)" }
    );
    let enforcers: Vec<_> = manifest.enforcers.keys().map(|enforcer| enforcer.name()).collect();
    let set = manifest.probe_set.map_or("no", journal::manifest::ProbeSet::name);
    let _ = writeln!(out, "enforced on this kernel ({set} probes): {}", enforcers.join(", "));
    out.lines().map(visible).fold(String::new(), |mut all, line| {
        all.push_str(&line);
        all.push('\n');
        all
    })
}
