//! What a well-formed file must keep to besides.

use std::{collections::BTreeSet, ops::RangeInclusive};

use policy::Label;
use toml::Spanned;

use super::{
    Scenario, VERSION,
    entries::{
        ComponentEntry, ConstraintEntry, Durations, FileEntry, Health, Measure, PortEntry, Probe,
    },
    error::Flaw,
};
use crate::{
    component,
    suggestion::{nearest, phrase},
};

/// Most bytes of a file that is filled.
const MAX_FILL_BYTES: u64 = 1 << 30;

impl Scenario {
    pub(super) fn check(&self) -> Result<(), Flaw> {
        if self.version != VERSION {
            return Err(Flaw::plain(format!("version is {}, not {VERSION}", self.version)));
        }
        let paths = self.roots.iter().map(|root| &root.path);
        let paths = paths.chain(self.writable.iter().map(|writable| &writable.path));
        let paths = paths.chain(self.directories.iter().map(|directory| &directory.path));
        let paths = paths.chain(self.files.iter().map(|file| &file.path));
        for path in paths.chain(self.needed.iter().filter_map(|needed| needed.path.as_ref())) {
            check_relative(path.get_ref(), path)?;
        }
        for path in &self.instances {
            check_plain(path).map_err(Flaw::plain)?;
        }
        if !self.roots.iter().any(|root| root.label == Label::Workspace) {
            return Err(Flaw::plain(
                "no [[root]] is labelled \"workspace\": the first that is becomes the agent's \
                 working directory",
            ));
        }
        for turn in &self.further {
            if turn.instruction.get_ref().trim().is_empty() {
                return Err(Flaw::at(
                    "a turn of the user's says something",
                    turn.instruction.span(),
                ));
            }
        }
        self.check_names()?;
        self.components.iter().try_for_each(|component| self.check_component(component))?;
        self.ports.iter().try_for_each(|port| self.check_port(port))?;
        self.files.iter().try_for_each(check_file)?;
        self.constraints.iter().try_for_each(|constraint| self.check_constraint(constraint))?;
        for needed in &self.needed {
            if let Some(component) = &needed.component {
                self.check_known_component(component.get_ref(), component)?;
            }
        }
        self.check_objective()?;
        self.check_numbers()
    }

    /// Names that become variables of the stage are words, and each is there once.
    fn check_names(&self) -> Result<(), Flaw> {
        let components = self.components.iter().map(|component| &component.name);
        let choices = self.choices.iter().map(|choice| &choice.variable);
        let mut seen = BTreeSet::new();
        for name in components.chain(choices).chain(self.ports.iter().map(|port| &port.name)) {
            let text = name.get_ref().as_str();
            let is_word = text.starts_with(|first: char| first.is_ascii_lowercase())
                && text
                    .chars()
                    .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_');
            if !is_word || text.len() > 15 {
                return Err(Flaw::at(
                    format!(
                        "{text:?} cannot be a name: lower-case letters, digits and `_`, a letter first, \
                         15 at most"
                    ),
                    name.span(),
                ));
            }
        }
        for component in &self.components {
            if !seen.insert(component.name.get_ref()) {
                let message = format!("there are two components {:?}", component.name.get_ref());
                return Err(Flaw::at(message, component.name.span()));
            }
        }
        for choice in &self.choices {
            if choice.of.is_empty() {
                return Err(Flaw::at("there is nothing to choose from", choice.variable.span()));
            }
        }
        Ok(())
    }

    fn check_component(&self, component: &ComponentEntry) -> Result<(), Flaw> {
        if let Some(program) = &component.program
            && !component.command.is_empty()
        {
            let message = "a component has a `program` that ships or a `command`, not both";
            return Err(Flaw::at(message, program.span()));
        }
        if let Some(shipped) = component.shipped() {
            let name = shipped.get_ref().as_str();
            if !component::NAMES.contains(&name) {
                let hint = match nearest(name, component::NAMES.iter().copied()) {
                    None => "; one of your own has a `command`".to_owned(),
                    known => phrase(known),
                };
                let message = format!("no component that ships is named {name:?}{hint}");
                return Err(Flaw::at(message, shipped.span()));
            }
        }
        if let Some(shipped) = component.shipped()
            && matches!(shipped.get_ref().as_str(), "backend" | "neighbour")
            && self.load.is_none()
        {
            return Err(Flaw::at("this component needs a [load]", shipped.span()));
        }
        if let Some(health) = &component.health {
            match health.get_ref() {
                Health::Port { port } => self.check_known_port(port, health)?,
                Health::File { path } => check_relative(path, health)?,
            }
        }
        if !(-20..=19).contains(&component.nice) {
            let name = component.name.get_ref();
            return Err(Flaw::at(
                format!("nice of {name:?} is not in -20..=19"),
                component.name.span(),
            ));
        }
        Ok(())
    }

    fn check_port(&self, port: &PortEntry) -> Result<(), Flaw> {
        if let Some(number) = &port.number
            && *number.get_ref() == 0
        {
            return Err(Flaw::at("a port is not 0: leave it out for any", number.span()));
        }
        let Some(label) = &port.label else { return Ok(()) };
        match label.get_ref().strip_prefix("component:") {
            Some(component) => self.check_known_component(component, label),
            None => check_label(label, Label::FOR_PATHS.iter()),
        }
    }

    fn check_constraint(&self, constraint: &ConstraintEntry) -> Result<(), Flaw> {
        let probe = &constraint.probe;
        match probe.get_ref() {
            Probe::ComponentAlive { component, .. } => {
                self.check_known_component(component, probe)?;
            }
            Probe::AuditLogKept => self.check_known_component("backend", probe)?,
            Probe::FilesKept { path, .. } => check_relative(path, probe)?,
            Probe::Effects if constraint.verbs.is_empty() || constraint.labels.is_empty() => {
                let message = "a constraint that effects break needs `verbs` and `labels`";
                return Err(Flaw::at(message, probe.span()));
            }
            Probe::Command { .. } | Probe::Effects => {}
        }
        for label in &constraint.labels {
            match label.get_ref().strip_prefix("component:") {
                Some(component) => self.check_known_component(component, label)?,
                None => check_label(label, Label::ALL.iter())?,
            }
        }
        Ok(())
    }

    fn check_known_component<T>(&self, name: &str, place: &Spanned<T>) -> Result<(), Flaw> {
        if self.component_index(name).is_some() {
            return Ok(());
        }
        let known = self.components.iter().map(|component| component.name.get_ref().as_str());
        let hint = phrase(nearest(name, known));
        Err(Flaw::at(format!("the scenario has no component {name:?}{hint}"), place.span()))
    }

    fn check_known_port<T>(&self, name: &str, place: &Spanned<T>) -> Result<(), Flaw> {
        let mut known = self.ports.iter().map(|port| port.name.get_ref().as_str());
        if known.clone().any(|port| port == name) {
            return Ok(());
        }
        let hint = phrase(nearest(name, known.by_ref()));
        Err(Flaw::at(format!("the scenario has no port {name:?}{hint}"), place.span()))
    }

    fn check_objective(&self) -> Result<(), Flaw> {
        if self.load.is_some() != self.component_index("backend").is_some() {
            return Err(Flaw::plain("[load] and the component \"backend\" come together"));
        }
        let Some(objective) = &self.objective else {
            return if self.load.is_some() {
                Err(Flaw::plain("a scenario with a [load] has an [objective]"))
            } else {
                Ok(())
            };
        };
        match self.measure() {
            None => {
                let message =
                    "the objective has no `measure`: name one, or give the scenario a [load]";
                return Err(Flaw::at(message, objective.span()));
            }
            Some(Measure::Load) if self.load.is_none() => {
                return Err(Flaw::at("this measure needs a [load]", objective.span()));
            }
            Some(Measure::Http { port, .. }) => self.check_known_port(&port, objective)?,
            Some(Measure::Load | Measure::Command { .. }) => {}
        }
        match &objective.get_ref().proxy {
            Some(proxy) => check_relative(proxy.path.get_ref(), &proxy.path),
            None => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), Flaw> {
        let Durations { settle_seconds, baseline_seconds, final_seconds, window_seconds } =
            self.durations;
        let mut checks = vec![
            ("durations.settle_seconds", settle_seconds, 0.0..=600.0),
            ("durations.baseline_seconds", baseline_seconds, 0.0..=600.0),
            ("durations.final_seconds", final_seconds, 0.0..=600.0),
            ("durations.window_seconds", window_seconds, 0.1..=60.0),
        ];
        if let Some(load) = &self.load {
            checks.extend([
                ("load.request_cpu_seconds", load.request_cpu_seconds, 0.000_01..=1.0),
                ("load.commit_cpu_seconds", load.commit_cpu_seconds, 0.000_01..=1.0),
                ("load.rate_per_second", load.rate_per_second, 1.0..=100_000.0),
                ("load.connections", f64::from(load.connections), 1.0..=1024.0),
            ]);
        }
        if self.objective.is_some() {
            checks.extend([
                ("durations.baseline_seconds", baseline_seconds, window_seconds..=600.0),
                ("durations.final_seconds", final_seconds, window_seconds..=600.0),
            ]);
        }
        check_ranges(&checks, None)?;
        let Some(objective) = &self.objective else { return Ok(()) };
        let of_objective = [
            ("objective.threshold", objective.get_ref().threshold, 0.0..=10.0),
            ("objective.gap", objective.get_ref().gap, 0.0..=10.0),
        ];
        check_ranges(&of_objective, Some(objective.span()))
    }
}

fn check_ranges(
    checks: &[(&str, f64, RangeInclusive<f64>)],
    span: Option<std::ops::Range<usize>>,
) -> Result<(), Flaw> {
    for (key, value, range) in checks {
        if !range.contains(value) {
            let (from, to) = (range.start(), range.end());
            let message = format!("{key} is {value}, which is not in {from}..={to}");
            return Err(Flaw { message, span });
        }
    }
    Ok(())
}

fn check_file(file: &FileEntry) -> Result<(), Flaw> {
    let ways = [file.content.is_some(), file.source.is_some(), file.size_bytes.is_some()];
    if ways.into_iter().filter(|given| *given).count() != 1 {
        let message = "a file has one of `content`, `source` and `size_bytes`";
        return Err(Flaw::at(message, file.path.span()));
    }
    if file.size_bytes.is_some_and(|size| size > MAX_FILL_BYTES) {
        return Err(Flaw::at(
            format!("more than {MAX_FILL_BYTES} bytes are too many"),
            file.path.span(),
        ));
    }
    match &file.source {
        Some(source) => check_relative(source.get_ref(), source),
        None => Ok(()),
    }
}

fn check_label<'a>(
    label: &Spanned<String>,
    mut known: impl Iterator<Item = &'a Label> + Clone,
) -> Result<(), Flaw> {
    let name = label.get_ref();
    if known.clone().any(|known| known.name() == name) {
        return Ok(());
    }
    let hint = phrase(nearest(name, known.by_ref().map(|label| label.name())));
    Err(Flaw::at(format!("no label is named {name:?}{hint}"), label.span()))
}

fn check_relative<T>(path: &str, place: &Spanned<T>) -> Result<(), Flaw> {
    check_plain(path).map_err(|message| Flaw::at(message, place.span()))
}

fn check_plain(path: &str) -> Result<(), String> {
    let plain = !path.is_empty()
        && path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'));
    if plain {
        Ok(())
    } else {
        Err(format!("{path:?} is not a plain path below the stage's directory"))
    }
}
