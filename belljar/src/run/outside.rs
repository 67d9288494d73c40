//! Runs whose calls come from outside: from an MCP client, or from another program.

use std::{path::Path, process::ExitCode, sync::Arc, thread};

use agent_runner::{
    AgentEnd, Cancel, SessionError,
    outside::{Desk, Front, Orders},
};
use journal::Tier;

use super::{plan::Plan, settle::Settled, supervise::conduct, terminal::Terminal};
use crate::{cli::SettingArgs, exit::Failure};

/// Where callers come in.
pub(crate) trait Door: Send + Sync {
    /// As the manifest names the agent.
    fn name(&self) -> &'static str;

    /// Whether callers are spoken with over standard output, so that nothing else goes there.
    fn has_stdout(&self) -> bool;

    /// Lets callers in, once everything is in place. They hand their orders in at `front`.
    fn open(&self, front: Front, site: &Site<'_>) -> Result<(), Failure>;

    /// The run whose calls are made again, if they are some run's.
    fn replays(&self) -> Option<&str> {
        None
    }

    /// The run has been judged, or has failed, and nobody has been told so far.
    fn judged(&self, settled: &mut Result<Settled, Failure>);
}

/// What callers can be told of the run that they come into.
pub(crate) struct Site<'a> {
    pub(crate) run: &'a str,
    pub(crate) tier: Tier,
    /// What the agent is asked to do.
    pub(crate) instruction: &'a str,
    pub(crate) workspace: &'a Path,
    pub(crate) directory: &'a Path,
    pub(crate) terminal: &'a Terminal,
    /// Name and first process of each component of the scenario.
    pub(crate) components: &'a [(String, u32)],
}

/// Carries a run from start to verdict whose calls come in at a door.
pub(crate) fn run(setting: &SettingArgs, door: &Arc<dyn Door>) -> Result<ExitCode, Failure> {
    let plan = Plan::outside(setting, door)?;
    conduct(setting, plan, Some(&**door))
}

/// Has a desk serve while an agent works that hands in orders; the desk closes with the agent's end.
/// What was declared at the desk counts.
pub(super) fn beside(
    desk: Desk<'_>,
    orders: Orders,
    front: &Front,
    cancel: &Cancel,
    work: impl FnOnce() -> Result<AgentEnd, SessionError>,
) -> Result<AgentEnd, SessionError> {
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let served = desk.serve(orders);
            if served.is_err() {
                cancel.cancel();
            }
            served
        });
        let end = work();
        front.close();
        let served = serving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let mut end = end?;
        end.calls = served.calls;
        if served.declared.filed {
            end.declared = served.declared;
        }
        Ok(end)
    })
}
