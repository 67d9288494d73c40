//! A command line of the actor.

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _};

/// Acts with their words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(pub(crate) Vec<OsString>);

impl Script {
    /// Adds an act.
    pub(crate) fn act<S: Into<OsString> + Clone>(mut self, name: &str, words: &[S]) -> Self {
        if !self.0.is_empty() {
            self.0.push(",".into());
        }
        self.0.push(name.into());
        self.0.extend(words.iter().cloned().map(Into::into));
        self
    }

    /// The words as the act `sub` reads them from a file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.as_bytes().iter().copied().chain([0])).collect()
    }
}
