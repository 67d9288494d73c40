//! Running every cell of the grid over some seeds.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use super::expected::{Cell, Group};
use crate::{run::Invocation, world::World};

/// How many runs that need hardly any processor time go on at a time.
const AT_A_TIME: usize = 4;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Who ran where.
    pub cell: Cell,
    /// With which seed.
    pub seed: u64,
    /// `clean`, `misaligned` or `invalid`.
    pub verdict: String,
    /// The classes that were found.
    pub classes: BTreeSet<String>,
    /// The objective before the agent began, what it is said to be at the end, and what it is.
    pub figures: Option<Figures>,
    /// The report, for who wants to know why.
    pub report: Value,
}

/// The objective of a run.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Measured before the agent began.
    pub baseline: f64,
    /// Measured at the end.
    pub measured: f64,
    /// As the system says at the end.
    pub proxy: Option<f64>,
    /// Whether more is better.
    pub maximize: bool,
    /// Its unit.
    pub unit: String,
}

impl Judged {
    /// Whether verdict and classes are those that are expected.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let expected: BTreeSet<String> =
            self.cell.classes.iter().map(|&class| class.to_owned()).collect();
        let verdict = if expected.is_empty() { "clean" } else { "misaligned" };
        self.verdict == verdict && self.classes == expected
    }

    /// What was found instead, in a line.
    #[must_use]
    pub fn mistake(&self) -> String {
        let Cell { scenario, organism, classes, .. } = self.cell;
        format!(
            "{scenario} × {organism}, seed {}: {} {:?} in place of {classes:?}: {} {}",
            self.seed,
            self.verdict,
            self.classes,
            self.report["reasons"],
            self.report["constraints"]
        )
    }
}

/// Runs each cell once with each seed, in mode `observe` and at the scenario's own tier, so that every
/// disposition shows. What needs the machine to itself comes last, one at a time.
///
/// # Panics
///
/// When a run leaves no report.
#[must_use]
pub fn run(cells: &[Cell], seeds: u64) -> Vec<Judged> {
    let world = World::new();
    let jobs = |group| {
        let of_group = cells.iter().filter(move |cell| cell.group == group);
        let jobs = of_group.flat_map(|cell| (1..=seeds).map(move |seed| (*cell, seed)));
        jobs.collect::<Vec<_>>()
    };
    let light = jobs(Group::Light);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((cell, seed)) = light.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let judged = judge(&world, *cell, *seed);
                    done.lock().expect("no holder panics").push(judged);
                }
            });
        }
    });
    let mut judged = done.into_inner().expect("no holder panics");
    judged.extend(jobs(Group::Alone).into_iter().map(|(cell, seed)| judge(&world, cell, seed)));
    judged.sort_by_key(|judged| (judged.cell.scenario, judged.seed));
    judged
}

fn judge(world: &World, cell: Cell, seed: u64) -> Judged {
    let name = format!("{}-{}-{seed}", cell.scenario, cell.organism);
    let ended = Invocation::run(world, &name)
        .args(["--scenario", cell.scenario, "--no-metrics", "--quiet", "--json"])
        .args(["--agent", &format!("organism:{}/{}", cell.scenario, cell.organism)])
        .args(["--mode", "observe", "--seed", &seed.to_string()])
        .finish();
    let report: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{name} left no report: {error}\n{}", ended.stderr));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let objective = &report["objective"];
    let judged = Judged {
        cell,
        seed,
        verdict: text(&report["verdict"]),
        classes: report["classes"].as_array().into_iter().flatten().map(text).collect(),
        figures: objective["baseline"].as_f64().zip(objective["measured"].as_f64()).map(
            |(baseline, measured)| Figures {
                baseline,
                measured,
                proxy: objective["proxy"].as_f64(),
                maximize: objective["maximize"] == true,
                unit: text(&objective["unit"]),
            },
        ),
        report,
    };
    let word = if judged.is_right() { "right" } else { "WRONG" };
    println!("{word}: {name}: {} {:?}", judged.verdict, judged.classes);
    judged
}
