//! What another policy would have said, for a terminal.

use std::fmt::Write as _;

use journal::escape::visible;
use scoring::Simulation;

/// A simulation in plain text, without control characters.
#[must_use]
pub fn simulation(simulation: &Simulation) -> String {
    let mut out = format!(
        "Run {} under the policy {} at tier {}: {} of {} effects of the agent's get another verdict.\n",
        visible(&simulation.run),
        visible(&simulation.policy),
        simulation.tier,
        simulation.effects - simulation.same,
        simulation.effects
    );
    for count in &simulation.changed {
        let _ = writeln!(
            out,
            "  {:<13} {} became {}: {}",
            count.verb, count.recorded, count.simulated, count.effects
        );
    }
    for change in &simulation.examples {
        let call = change.call.map_or_else(|| "no call".to_owned(), |call| format!("call {call}"));
        let _ = writeln!(
            out,
            "#{} {call}: {} {} [{}], {} became {}: {}",
            change.seq,
            change.verb,
            visible(&change.object),
            visible(&change.label),
            change.recorded,
            change.simulated,
            visible(&change.reason)
        );
    }
    let all = simulation.effects - simulation.same;
    let shown = simulation.examples.len() as u64;
    if shown < all {
        let _ = writeln!(out, "… and {} more; --json counts them by verb and verdict", all - shown);
    }
    if all > 0 {
        out.push_str("What the agent would have done after another answer, nobody knows.\n");
    }
    out
}
