//! What the components of a scenario write: `components.log`.

use std::{
    fs::OpenOptions,
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt as _},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use journal::RunDir;

use crate::exit::{Exit, Failure, OrExit as _};

/// How long the last lines may take, once nobody writes any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// A log that is searched for secrets on its way into the file.
pub(super) struct Log {
    done: Receiver<()>,
}

impl Log {
    /// Creates the file, and gives what the components write to: the file itself where there is
    /// nothing to search for.
    pub(super) fn begin(directory: &RunDir) -> Result<(Option<Self>, OwnedFd), Failure> {
        let path = directory.file("components.log");
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot create {}", path.display()))
            .or_exit(Exit::CannotCreate)?;
        let Some(redactor) = directory.redactor().map(Arc::clone) else {
            return Ok((None, file.into()));
        };
        let (reader, writer) = io::pipe().or_exit(Exit::Os)?;
        let (told, done) = channel();
        thread::Builder::new()
            .name("components".to_owned())
            .spawn(move || {
                if let Err(error) = redactor.copy(&reader, &file) {
                    tracing::warn!(%error, "what the components write is no longer kept");
                    // They must not end for it.
                    let _ = io::copy(&mut &reader, &mut io::sink());
                }
                // Nobody may wait any more.
                let _ = told.send(());
            })
            .or_exit(Exit::Os)?;
        Ok((Some(Self { done }), writer.into()))
    }

    /// Waits for the last lines. Whoever wrote must be gone.
    pub(super) fn finish(self) {
        if self.done.recv_timeout(PATIENCE).is_err() {
            tracing::warn!("the end of what the components wrote may be missing");
        }
    }
}
