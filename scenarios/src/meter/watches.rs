//! All that is watched in one run: what its constraints name, and whether its components live.

use std::time::Instant;

use journal::scenario::{Constraint, Ended};

use super::MeterError;
use crate::{
    definition::{ConstraintEntry, Probe, fill_in},
    load::LoadTotals,
    shell::Shell,
    stage::{AUDIT_LOG, PrepareError, Stage, Started, constraint},
    watch::{CommandWatch, ComponentWatch, FilesWatch, Finding, LifeWatch, LogWatch},
};

/// What is watched.
pub(super) struct Watches {
    constraints: Vec<(ConstraintEntry, Watch)>,
    lives: Vec<LifeWatch>,
}

/// Something that is watched for a constraint.
enum Watch {
    Component(ComponentWatch),
    Log(LogWatch),
    Files(FilesWatch),
    Command(CommandWatch),
    /// The effects will tell.
    Nothing,
}

impl Watch {
    fn begin(
        entry: &ConstraintEntry,
        stage: &Stage,
        started: &[Started],
        now: Instant,
    ) -> Result<Self, MeterError> {
        let unopened = |what: &str| {
            let what = what.to_owned();
            move |source| MeterError::Open { what, source }
        };
        Ok(match entry.probe.get_ref() {
            Probe::ComponentAlive { component, idle } => {
                let started = started
                    .iter()
                    .find(|started| started.name == *component)
                    .ok_or_else(|| MeterError::NotStarted(component.clone()))?;
                Self::Component(ComponentWatch::new(component, started.tgid, *idle, now))
            }
            Probe::AuditLogKept => {
                let service =
                    stage.service.as_ref().expect("a scenario with an audit log has a backend");
                let watch = LogWatch::open(&service.data, AUDIT_LOG, now);
                Self::Log(watch.map_err(unopened("the audit log"))?)
            }
            Probe::FilesKept { path, grows } => {
                let watch = FilesWatch::open(&stage.root, path, *grows, now);
                Self::Files(watch.map_err(unopened(path))?)
            }
            Probe::Command { run, .. } => {
                let text = fill_in(run, &stage.variables)
                    .map_err(|unknown| MeterError::Text { source: PrepareError::from(unknown) })?;
                Self::Command(CommandWatch::new(Shell::measuring(text, &stage.root), now))
            }
            Probe::Effects => Self::Nothing,
        })
    }

    fn finding(&mut self, load: &LoadTotals) -> Finding {
        match self {
            Self::Component(watch) => watch.finding(),
            Self::Log(watch) => watch.finding(load.validated),
            Self::Files(watch) => watch.finding(),
            Self::Command(watch) => watch.finding(),
            Self::Nothing => (None, String::new()),
        }
    }
}

impl Watches {
    pub(super) fn begin(
        stage: &Stage,
        started: &[Started],
        now: Instant,
    ) -> Result<Self, MeterError> {
        let constraints = stage.scenario.constraints.iter();
        let constraints = constraints
            .map(|entry| Ok((entry.clone(), Watch::begin(entry, stage, started, now)?)))
            .collect::<Result<_, MeterError>>()?;
        let lives = started.iter().map(|it| LifeWatch::new(&it.name, it.tgid)).collect();
        Ok(Self { constraints, lives })
    }

    /// Looks at what can be seen at once.
    pub(super) fn look(&mut self, now: Instant) {
        for (_, watch) in &mut self.constraints {
            match watch {
                Watch::Component(watch) => watch.look(now),
                Watch::Log(watch) => watch.look(now),
                Watch::Files(watch) => watch.look(now),
                Watch::Command(_) | Watch::Nothing => {}
            }
        }
    }

    /// Runs the commands that look.
    pub(super) async fn look_closely(&mut self) {
        for (_, watch) in &mut self.constraints {
            if let Watch::Command(watch) = watch
                && let Some(look) = watch.due()
                && let Ok(finding) = tokio::task::spawn_blocking(look).await
            {
                watch.found(finding, Instant::now());
            }
        }
    }

    /// Whether a component has not been seen working since `then`.
    pub(super) fn are_unsure_since(&self, then: Instant) -> bool {
        self.constraints.iter().any(|(_, watch)| match watch {
            Watch::Component(watch) => watch.is_unsure_since(then),
            _ => false,
        })
    }

    /// What was found, and which components have ended though no constraint says that they must not.
    pub(super) fn finish(mut self, load: &LoadTotals) -> (Vec<Constraint>, Vec<Ended>) {
        let constraints = self.constraints.iter_mut();
        let found = constraints.map(|(entry, watch)| constraint(entry, watch.finding(load)));
        let found = found.collect();
        let is_constrained = |name: &str| {
            self.constraints.iter().any(|(entry, _)| {
                matches!(entry.probe.get_ref(), Probe::ComponentAlive { component, .. } if component == name)
            })
        };
        let ended = self.lives.iter().filter_map(LifeWatch::ended);
        let ended = ended.filter(|name| !is_constrained(name)).map(|name| Ended {
            name: name.to_owned(),
            evidence: format!("The component {name} had ended before it was told to."),
        });
        (found, ended.collect())
    }
}
