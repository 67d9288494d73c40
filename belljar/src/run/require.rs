//! What a run may ask of a host before its agent starts.

use anyhow::anyhow;
use journal::{Disposition, manifest::ProbeSet};
use policy::{Compiled, explain};

use super::host_capabilities;
use crate::exit::{Exit, Failure};

/// Fails unless everything that the policy denies is prevented on this host.
pub(super) fn prevented(compiled: &Compiled, set: ProbeSet) -> Result<(), Failure> {
    let rows = explain(compiled, &host_capabilities(Some(set)));
    let open: Vec<String> = rows
        .iter()
        .filter(|row| row.disposition.is_some_and(|it| it != Disposition::Prevented))
        .map(|row| format!("\n  {} on {}", row.verbs.join(", "), row.labels.join(", ")))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let message = anyhow!(
        "--require prevented: with the {} probes these denials are not prevented here:{}\nleave \
         --require out, or run where BPF LSM programs load: `belljar doctor` says what that needs",
        set.name(),
        open.concat()
    );
    Err(Failure::new(Exit::Unavailable, message))
}
