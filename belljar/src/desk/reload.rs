//! Another policy takes the place of the run's: it is checked, kept in the run directory, put in force, and
//! put on record. The kernel's table is swapped in one moment. Landlock can only be tightened, for calls
//! that begin later; a policy that would loosen it is refused, and that is on record too. What seccomp
//! refuses depends on the tier alone, which stays.

use std::sync::{Arc, Weak};

use journal::{RunDir, escape::visible, files::name, transcript::Event};
use observer::protocol::Request;
use policy::{
    Compiled, LabelledRoot, Policy,
    landlock::{self, LandlockPlan},
};
use sandbox::Spawner;
use sha2::{Digest as _, Sha256};

use super::questions::Questions;
use crate::run::{Observer, parsed_policy};

/// What a reload has to know of the run.
pub(crate) struct Reloading {
    directory: RunDir,
    /// Number of the policy in force.
    number: u64,
    /// The domain that later calls are in, where there is one.
    domain: Option<Domain>,
}

/// The Landlock domain of a run.
pub(crate) struct Domain {
    pub(crate) spawner: Weak<Spawner>,
    pub(crate) plan: LandlockPlan,
    pub(crate) roots: Vec<LabelledRoot>,
}

impl Reloading {
    pub(super) fn new(directory: RunDir) -> Self {
        Self { directory, number: 0, domain: None }
    }
}

/// A policy that may take the other's place.
struct Fit {
    policy: Policy,
    compiled: Compiled,
    /// What Landlock is to do besides.
    tightened: Option<LandlockPlan>,
}

fn hash(policy: &Policy) -> String {
    hex::encode(Sha256::digest(policy.source()))
}

impl Questions {
    /// Notes the domain that calls of the agent are in.
    pub(crate) fn confined(&self, domain: Option<Domain>) {
        self.state().reloading.domain = domain;
    }

    /// Puts another policy in the place of the run's; in words what came of it, or why it was refused.
    pub(crate) fn reload(&self, text: &str, file: &str, who: &str) -> Result<String, String> {
        let old = hash(self.state().compiled.policy());
        let new = hex::encode(Sha256::digest(text));
        let done = self.try_reload(text, file);
        let (policy, detail) = match &done {
            Ok((number, what)) => (Some(*number), what.clone()),
            Err(why) => (None, why.clone()),
        };
        self.transcript().note(Event::Reload {
            policy,
            old_sha256: old,
            new_sha256: new,
            who: who.to_owned(),
            detail,
        });
        let told = match &done {
            Ok((number, what)) => {
                format!("the policy is replaced, by policy-{number}.toml: {what}")
            }
            Err(why) => format!("another policy was refused: {why}"),
        };
        self.tell(&format!("belljar: {} ({})", visible(&told), visible(who)));
        done.map(|_| told)
    }

    fn try_reload(&self, text: &str, file: &str) -> Result<(u64, String), String> {
        let Fit { policy, compiled, tightened } = self.fits(text, file)?;
        let observer = self.state().observer.clone().ok_or("nobody watches the run yet")?;
        let number = {
            let state = self.state();
            let reloading = &state.reloading;
            let number = reloading.number + 1;
            let name = name::reloaded_policy(number);
            let kept = reloading.directory.replace(&name, policy.source().as_bytes());
            kept.map_err(|error| format!("it cannot be kept: {:#}", anyhow::Error::from(error)))?;
            number
        };
        let what = match self.put_in_force(&observer, &policy, tightened.as_ref()) {
            Ok(what) => what.to_owned(),
            Err(why) => {
                // What judges nothing is no policy of the run's.
                let path = self.state().reloading.directory.file(&name::reloaded_policy(number));
                let _ = std::fs::remove_file(path);
                return Err(why);
            }
        };
        let mut state = self.state();
        state.asks |= compiled.asks();
        state.compiled = compiled;
        state.reloading.number = number;
        if let (Some(domain), Some(plan)) = (&mut state.reloading.domain, tightened) {
            domain.plan = plan;
        }
        Ok((number, what))
    }

    /// Tightens Landlock first, so that nothing is looser than either policy meanwhile.
    fn put_in_force(
        &self,
        observer: &Observer,
        policy: &Policy,
        tightened: Option<&LandlockPlan>,
    ) -> Result<&'static str, String> {
        if let Some(plan) = tightened {
            self.tighten(plan)?;
        }
        let text = (policy.source().to_owned(), policy.name().to_owned());
        match (observer.tell(&Request::Reload { policy: text }), tightened) {
            (Ok(()), None) => Ok("the kernel judges by it"),
            (Ok(()), Some(_)) => Ok(
                "the kernel judges by it, and calls that begin from here on are in a tighter Landlock \
                 domain",
            ),
            (Err(error), None) => Err(error.to_string()),
            (Err(error), Some(_)) => Err(format!(
                "{error}; the Landlock domain of later calls is tightened all the same"
            )),
        }
    }

    /// Checks a policy against the run.
    fn fits(&self, text: &str, file: &str) -> Result<Fit, String> {
        let policy = parsed_policy(text, file).map_err(|failure| failure.to_string())?;
        let state = self.state();
        let before = &state.compiled;
        let compiled = policy
            .compile(before.tier(), before.components())
            .map_err(|error| error.to_string())?;
        if policy.redact() != before.policy().redact() {
            return Err("what is kept out of the record is settled when a run begins: leave \
                        [redact] as it was"
                .to_owned());
        }
        let mut tightened = None;
        if let Some(domain) = &state.reloading.domain {
            let plan = landlock::plan(&compiled, &domain.roots);
            let loosened = plan.loosens(&domain.plan);
            if !loosened.is_empty() {
                return Err(format!(
                    "Landlock can only be tightened, and this would loosen it: {}",
                    loosened.join("; ")
                ));
            }
            tightened = (plan != domain.plan).then_some(plan);
        }
        Ok(Fit { policy, compiled, tightened })
    }

    /// Tightens the domain of later calls.
    fn tighten(&self, plan: &LandlockPlan) -> Result<(), String> {
        let (spawner, scoped) = {
            let state = self.state();
            let domain = state.reloading.domain.as_ref();
            let spawner = domain.and_then(|domain| domain.spawner.upgrade());
            (spawner, domain.is_some_and(|domain| domain.plan.scope_signals))
        };
        let spawner: Arc<Spawner> = spawner.ok_or("the run is at its end")?;
        let mut within = plan.clone();
        // The domain around it keeps signals in; one of its own would cut later calls off from earlier
        // ones.
        within.scope_signals &= !scoped;
        spawner.tighten(&within).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }
}
