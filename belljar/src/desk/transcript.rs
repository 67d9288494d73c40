//! The transcript of a run that goes on, which the agent's session and the desk both write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_runner::Transcript;
use journal::{
    Entry, RunDir,
    files::FileError,
    transcript::Event,
    writer::{TranscriptWriter, WriteError},
};
use observer::watching::boot_ns;

/// A shared transcript. What is written before it is begun waits for that.
#[derive(Clone, Default)]
pub(crate) struct RunTranscript(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    waiting: Vec<Entry>,
    writer: Option<TranscriptWriter>,
    failed: Option<String>,
}

impl RunTranscript {
    /// Begins the file with these entries, and then what has waited.
    pub(crate) fn begin(
        &self,
        directory: &RunDir,
        run: &str,
        first: &[Entry],
    ) -> Result<(), BeginError> {
        let mut lines = self.lines();
        let mut writer = TranscriptWriter::create(directory, run)?;
        let waiting = std::mem::take(&mut lines.waiting);
        for entry in first.iter().chain(&waiting) {
            writer.append(entry)?;
        }
        writer.flush()?;
        lines.writer = Some(writer);
        Ok(())
    }

    /// Adds what happens now. What cannot be written is kept as the reason why the transcript is not
    /// whole.
    pub(crate) fn note(&self, event: Event) {
        let entry = Entry { boot_ns: boot_ns(), event };
        let mut lines = self.lines();
        if let Err(error) = lines.append(&entry) {
            let reason = format!("{:#}", anyhow::Error::from(error));
            tracing::error!(reason, "the transcript is not whole");
            lines.failed.get_or_insert(reason);
        }
    }

    /// Whether something waits for a transcript that was never begun.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.lines().waiting.is_empty()
    }

    /// Why something is missing in it.
    pub(crate) fn failed(&self) -> Option<String> {
        self.lines().failed.clone()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn append(&mut self, entry: &Entry) -> Result<(), WriteError> {
        match &mut self.writer {
            Some(writer) => {
                writer.append(entry)?;
                writer.flush()
            }
            None => {
                self.waiting.push(entry.clone());
                Ok(())
            }
        }
    }
}

impl Transcript for RunTranscript {
    fn append(&mut self, entry: &Entry) -> Result<(), WriteError> {
        self.lines().append(entry)
    }
}

/// Why there is no transcript.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Write(#[from] WriteError),
}
