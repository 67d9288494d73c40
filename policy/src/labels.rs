//! What a path means: the label of the nearest labelled directory above it.

use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use ebpf_common::Label;
use thiserror::Error;

use crate::nearest;

/// A directory or file, and what it and everything below it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledRoot {
    /// Absolute and canonical: without symbolic links, `.` and `..`.
    pub path: PathBuf,
    /// One of [`Label::FOR_PATHS`].
    pub label: Label,
}

/// Why `NAME=PATH` is not a labelled root.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LabelledRootError {
    /// There is no `=`.
    #[error("`{text}` is not NAME=PATH")]
    NoEquals {
        /// What was given.
        text: String,
    },
    /// There is nothing behind the `=`.
    #[error("label `{label}` has no path")]
    NoPath {
        /// The label's name.
        label: &'static str,
    },
    /// The name is no label that a path can carry.
    #[error("no path can be labelled `{name}`: {help}")]
    Label {
        /// The name as given.
        name: String,
        /// The nearest label, or all of them.
        help: String,
    },
}

impl FromStr for LabelledRoot {
    type Err = LabelledRootError;

    /// Reads `NAME=PATH` as `--label` takes it. The path is taken as it stands; the caller makes it
    /// canonical.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, path)) = text.split_once('=') else {
            return Err(LabelledRootError::NoEquals { text: text.to_owned() });
        };
        let Some(label) = Label::FOR_PATHS.into_iter().find(|label| label.name() == name) else {
            let help = nearest::help(name, Label::FOR_PATHS.into_iter().map(Label::name));
            return Err(LabelledRootError::Label { name: name.to_owned(), help });
        };
        if path.is_empty() {
            return Err(LabelledRootError::NoPath { label: label.name() });
        }
        Ok(Self { path: path.into(), label })
    }
}

/// Labels paths by the labelled roots of a run.
#[derive(Clone, Debug, Default)]
pub struct PathLabels {
    roots: HashMap<PathBuf, Label>,
}

impl PathLabels {
    /// Takes the roots of a run. Of two labels for one path `oversight` counts, else the later one.
    pub fn new(roots: impl IntoIterator<Item = LabelledRoot>) -> Self {
        let mut labels = HashMap::new();
        for LabelledRoot { path, label } in roots {
            let stored = labels.entry(path).or_insert(label);
            if *stored != Label::Oversight {
                *stored = label;
            }
        }
        Self { roots: labels }
    }

    /// The label of an absolute path whose symbolic links have been followed.
    ///
    /// The root with the most components in common decides; but where any directory above the path
    /// is oversight's, so is the path. Without a root it is [`Label::System`]. A relative path, or
    /// one with `..`, can lead anywhere: [`Label::Unknown`], so resolve it first.
    #[must_use]
    pub fn label(&self, path: &Path) -> Label {
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            return Label::Unknown;
        }
        let mut nearest = None;
        for label in path.ancestors().filter_map(|above| self.roots.get(above).copied()) {
            if label == Label::Oversight {
                return label;
            }
            nearest = nearest.or(Some(label));
        }
        nearest.unwrap_or(Label::System)
    }
}

impl PathLabels {
    /// The labels of the roots that lie below an absolute path: what a rename of it takes along.
    pub fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = Label> + 'a {
        let below = move |root: &Path| root != path && root.starts_with(path);
        self.roots.iter().filter(move |(root, _)| below(root)).map(|(_, label)| *label)
    }

    /// Lets the labels of roots at or below `from` go along to `to`, as a rename has moved them.
    pub fn moved(&mut self, from: &Path, to: &Path) {
        let moving: Vec<PathBuf> =
            self.roots.keys().filter(|root| root.starts_with(from)).cloned().collect();
        let taken: Vec<_> =
            moving.iter().filter_map(|root| self.roots.remove_entry(root)).collect();
        for (root, label) in taken {
            let rest = root.strip_prefix(from).expect("it was selected by this prefix");
            // Joining nothing would add a slash, which is another key.
            let root = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            self.roots.insert(root, label);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn root(label: Label, path: &str) -> LabelledRoot {
        LabelledRoot { path: path.into(), label }
    }

    fn labels() -> PathLabels {
        PathLabels::new([
            root(Label::Workspace, "/run/w"),
            root(Label::Data, "/run/w/data"),
            root(Label::Oversight, "/run/w/journal"),
            root(Label::Config, "/run/w/journal/config"),
        ])
    }

    #[test]
    fn the_nearest_root_decides_by_whole_components() {
        let labels = labels();
        assert_eq!(labels.label(Path::new("/run/w")), Label::Workspace);
        assert_eq!(labels.label(Path::new("/run/w/a/b")), Label::Workspace);
        assert_eq!(labels.label(Path::new("/run/w/data/x")), Label::Data);
        assert_eq!(labels.label(Path::new("/run/w/database")), Label::Workspace);
        assert_eq!(labels.label(Path::new("/run/web")), Label::System);
        assert_eq!(labels.label(Path::new("/run//w/./data/")), Label::Data);
    }

    #[test]
    fn oversight_wins_over_a_nearer_root() {
        assert_eq!(labels().label(Path::new("/run/w/journal/config/x")), Label::Oversight);
        let twice =
            PathLabels::new([root(Label::Oversight, "/a/b"), root(Label::Workspace, "/a/b/")]);
        assert_eq!(twice.label(Path::new("/a/b")), Label::Oversight);
    }

    #[test]
    fn what_lies_below_a_path_is_told_by_whole_components() {
        let below = |path| {
            let labels = labels();
            let mut below: Vec<_> = labels.below(Path::new(path)).map(Label::name).collect();
            below.sort_unstable();
            below
        };
        assert_eq!(below("/run"), ["config", "data", "oversight", "workspace"]);
        assert_eq!(below("/run/w/journal"), ["config"]);
        assert_eq!(below("/run/w/data"), [""; 0]);
        assert_eq!(below("/ru"), [""; 0]);
    }

    #[test]
    fn labels_go_along_with_what_is_moved() {
        let mut labels = labels();
        labels.moved(Path::new("/run/w/data"), Path::new("/srv/d"));
        labels.moved(Path::new("/run/w/journal"), Path::new("/run/j"));
        assert_eq!(labels.label(Path::new("/srv/d/x")), Label::Data);
        assert_eq!(labels.label(Path::new("/run/w/data/x")), Label::Workspace);
        assert_eq!(labels.label(Path::new("/run/j/config")), Label::Oversight);
        labels.moved(Path::new("/run"), Path::new("/other"));
        assert_eq!(labels.label(Path::new("/other/w/x")), Label::Workspace);
        assert_eq!(labels.label(Path::new("/run/w/x")), Label::System);
    }

    #[test]
    fn a_path_that_could_lead_anywhere_is_unknown() {
        assert_eq!(labels().label(Path::new("/run/w/../../etc")), Label::Unknown);
        assert_eq!(labels().label(Path::new("run/w")), Label::Unknown);
    }

    #[test]
    fn a_label_option_is_read_up_to_the_first_equals_sign() {
        assert_eq!("data=/a=b".parse(), Ok(root(Label::Data, "/a=b")));
    }

    #[test]
    fn a_label_option_that_is_wrong_says_how() {
        let error = |text: &str| text.parse::<LabelledRoot>().unwrap_err().to_string();
        assert_eq!(error("/tmp/x"), "`/tmp/x` is not NAME=PATH");
        assert_eq!(error("data="), "label `data` has no path");
        assert_eq!(error("dta=/x"), "no path can be labelled `dta`: did you mean `data`?");
        assert_eq!(
            error("host=/x"),
            "no path can be labelled `host`: one of `workspace`, `data`, `config`, `supervision`, \
             `oversight`, `lookup`, `instance`"
        );
    }

    /// The definition, word by word: compare component lists of every root.
    fn model(roots: &[LabelledRoot], path: &[String]) -> Label {
        let parts = |root: &LabelledRoot| -> Vec<String> {
            let parts = root.path.to_str().unwrap().split('/').filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        let above: Vec<_> = roots.iter().filter(|root| path.starts_with(&parts(root))).collect();
        if above.iter().any(|root| root.label == Label::Oversight) {
            return Label::Oversight;
        }
        let longest = above.into_iter().max_by_key(|root| parts(root).len());
        longest.map_or(Label::System, |root| root.label)
    }

    fn parts() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[ab]{1,2}", 0..5)
    }

    proptest! {
        #[test]
        fn the_labeller_agrees_with_its_definition(
            roots in proptest::collection::vec((parts(), 0..Label::FOR_PATHS.len()), 0..8),
            path in parts(),
        ) {
            let roots: Vec<_> = roots
                .into_iter()
                .map(|(parts, label)| {
                    root(Label::FOR_PATHS[label], &format!("/{}", parts.join("/")))
                })
                .collect();
            let labels = PathLabels::new(roots.clone());
            let text = format!("/{}", path.join("/"));
            prop_assert_eq!(labels.label(Path::new(&text)), model(&roots, &path));
        }
    }
}
