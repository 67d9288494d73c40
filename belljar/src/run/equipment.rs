//! What the calls of a run need, made for each of them.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use agent_runner::{
    Hands, Progress, Sandboxed, Transcript, Watcher,
    outside::{Place, Workshop},
};
use sandbox::{RunCgroup, Spawner};

use super::{
    terminal::Terminal,
    watch::{Calls, Observer},
};
use crate::desk::{questions::Questions, transcript::RunTranscript};

/// A run's sandbox, observer, transcript and terminal.
pub(crate) struct Equipment<'a> {
    pub(crate) spawner: &'a Spawner,
    pub(crate) cgroup: &'a RunCgroup,
    pub(crate) workspace: &'a Path,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) observer: &'a Observer,
    pub(crate) questions: Questions,
    pub(crate) transcript: RunTranscript,
    pub(crate) terminal: Terminal,
}

impl Equipment<'_> {
    /// The environment of a call, with its own variables instead of others of their name.
    fn environment(&self, own: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
        let is_own = |name: &OsString| own.iter().any(|(other, _)| other == name);
        let others = self.environment.iter().filter(|(name, _)| !is_own(name));
        others.chain(own).cloned().collect()
    }
}

impl Workshop for Equipment<'_> {
    fn hands(&self, place: &Place) -> Box<dyn Hands + '_> {
        let directory = place.directory.as_deref().unwrap_or(Path::new(""));
        let environment = self.environment(&place.environment);
        let directory: PathBuf = self.workspace.join(directory);
        Box::new(Sandboxed::new(self.spawner, self.cgroup, directory, environment))
    }

    fn watcher(&self) -> Box<dyn Watcher + '_> {
        Box::new(Calls {
            observer: self.observer.clone(),
            questions: self.questions.clone(),
            run: self.cgroup.path().to_owned(),
        })
    }

    fn transcript(&self) -> Box<dyn Transcript + '_> {
        Box::new(self.transcript.clone())
    }

    fn progress(&self) -> Box<dyn Progress + '_> {
        Box::new(self.terminal.clone())
    }
}
