//! `belljar replay`: a recorded run's calls again, under another policy, tier or kernel.

mod score;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use agent_runner::{
    Cancel,
    outside::{Answer, Front, Order},
};
use anyhow::anyhow;
use journal::{
    Entry, Label, Manifest, RunDir,
    escape::{unescape, visible},
    transcript::Event,
    verify::verify,
};
use policy::{Labelled, LabelledRoot};
use score::{Step, Translation};

use crate::{
    cli::{ModeArg, ReplayArgs, SettingArgs},
    commands::readable_effects,
    exit::{Exit, Failure, OrExit as _},
    run::{
        Settled,
        outside::{self, Door, Site},
    },
};

/// Where the files of runs lie; see `sandbox::stages`.
const STAGES: &str = "/var/lib/jobs";

/// Makes the calls again and judges them, then says what differed.
pub(crate) fn replay(arguments: ReplayArgs) -> Result<ExitCode, Failure> {
    let ReplayArgs { directory, mut setting } = arguments;
    let source = Source::read(&directory)?;
    source.complete(&mut setting)?;
    let json = setting.json;
    let door: Arc<dyn Door> = Arc::new(ReplayDoor { source, json, left_out: Arc::default() });
    outside::run(&setting, &door)
}

/// A recorded run.
struct Source {
    directory: PathBuf,
    manifest: Manifest,
    entries: Vec<Entry>,
    /// The component that a process number stood for.
    components: BTreeMap<i64, String>,
    /// Which of the scenario's instructions the agent got.
    instructions: String,
}

impl Source {
    fn read(path: &Path) -> Result<Self, Failure> {
        let directory = RunDir::open(path).or_exit(Exit::Data)?;
        if !verify(&directory, None).holds() {
            eprintln!(
                "belljar: warning: {} is not as it was signed: `belljar verify` says where",
                visible(&path.to_string_lossy())
            );
        }
        let manifest = directory.manifest().or_exit(Exit::Data)?;
        let entries = directory.transcript().or_exit(Exit::Data)?;
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>().or_exit(Exit::Data)?;
        if !entries.iter().any(|entry| matches!(entry.event, Event::Call { .. })) {
            let message = anyhow!("{} has no calls that could be made again", path.display());
            return Err(Failure::new(Exit::Data, message));
        }
        let mut components = BTreeMap::new();
        for effect in readable_effects(&directory) {
            let component = effect.object.label.strip_prefix("component:");
            if let (Some(tgid), Some(name)) = (effect.object.tgid, component) {
                components.insert(tgid, name.to_owned());
            }
        }
        let instructions = directory.scenario().or_exit(Exit::Data)?.instructions;
        Ok(Self { directory: path.to_owned(), manifest, entries, components, instructions })
    }

    /// Takes from the recorded run what the command line leaves open.
    fn complete(&self, setting: &mut SettingArgs) -> Result<(), Failure> {
        let recorded = &self.manifest;
        setting.scenario.get_or_insert_with(|| recorded.scenario.clone());
        if setting.instructions.is_none() {
            // A run of before there were several names none.
            setting.instructions = Some(self.instructions.clone()).filter(|it| !it.is_empty());
        }
        setting.tier.get_or_insert(recorded.tier.number());
        setting.seed.get_or_insert(recorded.seed);
        setting.mode.get_or_insert(match recorded.mode {
            journal::manifest::Mode::Observe => ModeArg::Observe,
            journal::manifest::Mode::Enforce => ModeArg::Enforce,
        });
        if setting.policy.is_none() {
            setting.policy = Some(self.directory.join(journal::files::name::POLICY));
        }
        if setting.labels.is_empty() {
            setting.labels = self.labels()?;
        }
        Ok(())
    }

    /// What `--label` named: the scenario's own labels lie in the run's stage, and oversight's own are
    /// made anew.
    fn labels(&self) -> Result<Vec<Labelled>, Failure> {
        let stage = format!("{STAGES}/{}", self.manifest.run);
        let roots = self.manifest.labels.iter().filter(|(path, label)| {
            !path.starts_with(&stage) && !matches!(label, Label::Oversight)
        });
        roots
            .map(|(path, label)| {
                let real = unescape(path).map(OsString::from_vec).or_exit(Exit::Data)?;
                if !Path::new(&real).exists() {
                    let message = anyhow!(
                        "{} was labelled {} in the recorded run and is not there: make it, or name \
                         labels with --label",
                        visible(path),
                        label.name()
                    );
                    return Err(Failure::new(Exit::Data, message));
                }
                Ok(Labelled::Root(LabelledRoot { path: real.into(), label: *label }))
            })
            .collect()
    }

    fn translation(&self, site: &Site<'_>) -> Translation {
        let (before, now) = (&self.manifest.run, site.run);
        let paths = vec![(format!("{STAGES}/{before}"), format!("{STAGES}/{now}"))];
        let today = |name: &String| site.components.iter().find(|(other, _)| other == name);
        let processes = self.components.iter();
        let processes =
            processes.filter_map(|(tgid, name)| Some((*tgid, today(name).map(|(_, tgid)| *tgid)?)));
        Translation { paths, processes: processes.collect() }
    }
}

/// Calls that come from a record.
struct ReplayDoor {
    source: Source,
    json: bool,
    /// What could not be made again, in words.
    left_out: Arc<Mutex<Vec<String>>>,
}

impl Door for ReplayDoor {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn has_stdout(&self) -> bool {
        false
    }

    fn replays(&self) -> Option<&str> {
        Some(&self.source.manifest.run)
    }

    fn open(&self, front: Front, site: &Site<'_>) -> Result<(), Failure> {
        let steps = score::steps(&self.source.entries, &self.source.translation(site));
        let left_out = Arc::clone(&self.left_out);
        thread::Builder::new()
            .name("replay".to_owned())
            .spawn(move || play(steps, &front, &left_out))
            .map(drop)
            .or_exit(Exit::Os)
    }

    fn judged(&self, settled: &mut Result<Settled, Failure>) {
        let Ok(settled) = settled else { return };
        for what in lock(&self.left_out).iter() {
            settled.notices.push(format!("belljar: warning: not replayed: {what}"));
        }
        if self.json {
            return;
        }
        match difference(&self.source.directory, &settled.directory) {
            Ok(difference) => {
                settled.report.push_str(&format!(
                    "\nagainst the recorded run {} in {}:\n\n{difference}",
                    self.source.manifest.run,
                    visible(&self.source.directory.to_string_lossy())
                ));
            }
            Err(error) => {
                settled.notices.push(format!("belljar: warning: no comparison: {error:#}"));
            }
        }
    }
}

/// Makes the calls, each as soon as all have ended that had ended before it in the record.
fn play(steps: Vec<Step>, front: &Front, left_out: &Mutex<Vec<String>>) {
    let mut live: BTreeMap<u64, mpsc::Receiver<Answer>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Begin { call, request } => {
                let (sender, answer) = mpsc::channel();
                let Ok(cancel) = Cancel::new() else {
                    lock(left_out).push(format!("call {call}: no file descriptors are left"));
                    continue;
                };
                live.insert(call, answer);
                front.order(Order {
                    request,
                    cancel,
                    answer: Box::new(move |answer| {
                        // Where the run has ended, nobody waits.
                        let _ = sender.send(answer);
                    }),
                });
            }
            Step::Await(call) => {
                if let Some(answer) = live.remove(&call)
                    && answer.recv().is_err()
                {
                    lock(left_out).push(format!("call {call}, and those after it: the run ended"));
                    return;
                }
            }
            Step::LeftOut { call, tool, why } => {
                lock(left_out).push(format!("call {call}, {}: {why}", visible(&tool)));
            }
        }
    }
    // Calls that the recorded run did not wait for: its end cut them off, as this one's does.
    front.close();
}

fn difference(before: &Path, after: &Path) -> anyhow::Result<String> {
    let judged =
        |path: &Path| -> anyhow::Result<_> { Ok(scoring::score_run(&RunDir::open(path)?)?) };
    let (before, after) = (judged(before)?, judged(after)?);
    let difference = scoring::diff((&before.0, &before.1), (&after.0, &after.1));
    Ok(report::difference(&difference))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
