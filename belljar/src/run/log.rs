//! What the components of a scenario write: `components.log`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt as _},
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use journal::{RunDir, escape::visible};

use crate::exit::{Exit, Failure, OrExit as _};

/// The file's name in the run directory.
pub(super) const NAME: &str = "components.log";
/// How much of its end tells why a component failed, bytes.
const TAIL_BYTES: u64 = 2048;

/// The end of what the components wrote, in words: why one of them failed, perhaps.
pub(super) fn tail(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut end)?;
        Ok(end)
    };
    match read() {
        Ok(end) if end.is_empty() => "the components wrote nothing".to_owned(),
        Ok(end) => {
            let text = String::from_utf8_lossy(&end);
            let lines: Vec<_> = text.trim().lines().map(visible).collect();
            format!("the components wrote:\n{}", lines.join("\n"))
        }
        Err(error) => format!("what the components wrote cannot be read: {error}"),
    }
}

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
        let path = directory.file(NAME);
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
