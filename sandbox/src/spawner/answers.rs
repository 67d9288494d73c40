//! Which of the spawner's answers go to whom.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use super::{Exit, SpawnerGone, channel::Channel, message::Notice};

/// A job whose process has become its own.
///
/// [`Started::wait`] blocks; in async code call it within `tokio::task::spawn_blocking`.
#[derive(Debug)]
pub struct Started {
    /// Its thread group. It is reaped as soon as it ends, so once [`Started::wait`] could return
    /// the number may become another process's.
    pub tgid: u32,
    pub(super) exit: Receiver<Exit>,
}

impl Started {
    /// Waits for the process to end.
    ///
    /// # Errors
    ///
    /// [`SpawnerGone`].
    pub fn wait(self) -> Result<Exit, SpawnerGone> {
        self.exit.recv().map_err(|_| SpawnerGone)
    }

    /// Waits for the process to end, but no longer than this. `None` when it has not. What was told
    /// once is not told again.
    ///
    /// # Errors
    ///
    /// [`SpawnerGone`].
    pub fn wait_timeout(&self, patience: Duration) -> Result<Option<Exit>, SpawnerGone> {
        match self.exit.recv_timeout(patience) {
            Ok(exit) => Ok(Some(exit)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(SpawnerGone),
        }
    }
}

/// Where the answers of a job arrive.
pub(super) struct Answer {
    /// Whether it was started.
    pub(super) start: Receiver<Notice>,
    /// How it ended, once it was.
    pub(super) exit: Receiver<Exit>,
}

/// Where the answers of a job are sent.
struct Waiting {
    start: Option<Sender<Notice>>,
    exit: Sender<Exit>,
}

/// The jobs that wait for answers; `None` once none will come.
pub(super) struct Answers(Mutex<Option<HashMap<u64, Waiting>>>);

impl Answers {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }

    /// To be called before the order is sent.
    pub(super) fn expect(&self, job: u64) -> Result<Answer, SpawnerGone> {
        let (start, started) = channel();
        let (exit, exited) = channel();
        let waiting = Waiting { start: Some(start), exit };
        self.lock().as_mut().ok_or(SpawnerGone)?.insert(job, waiting);
        Ok(Answer { start: started, exit: exited })
    }

    /// The order could not be sent.
    pub(super) fn forget(&self, job: u64) {
        if let Some(jobs) = self.lock().as_mut() {
            jobs.remove(&job);
        }
    }

    /// Passes the spawner's answers on until it is gone.
    pub(super) fn hear(&self, channel: &Channel) {
        loop {
            match channel.receive() {
                Ok(Some((notice, _))) => self.pass_on(notice),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "the spawner can no longer be understood");
                    break;
                }
            }
        }
        // Dropping the senders tells all who wait.
        self.lock().take();
    }

    fn pass_on(&self, notice: Notice) {
        let mut jobs = self.lock();
        let Some(jobs) = jobs.as_mut() else { return };
        // Whoever asked may have lost interest: a send that nobody receives is no fault.
        match notice {
            Notice::Started { job, .. } => {
                if let Some(start) = jobs.get_mut(&job).and_then(|it| it.start.take()) {
                    let _ = start.send(notice);
                }
            }
            Notice::Held { job }
            | Notice::Unborn { job, .. }
            | Notice::Refused { job, .. }
            | Notice::Tightened { job, .. } => {
                if let Some(start) = jobs.remove(&job).and_then(|it| it.start) {
                    let _ = start.send(notice);
                }
            }
            Notice::Exited { job, exit } => {
                if let Some(waiting) = jobs.remove(&job) {
                    let _ = waiting.exit.send(exit);
                }
            }
            Notice::Ready(_) | Notice::Unready { .. } => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, Waiting>>> {
        // Nothing is done under the lock that could leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_reaches_its_job_and_silence_reaches_all() {
        let answers = Answers::new();
        let (first, second) = (answers.expect(1).unwrap(), answers.expect(2).unwrap());
        answers.pass_on(Notice::Started { job: 2, tgid: 9 });
        answers.pass_on(Notice::Exited { job: 2, exit: Exit::Code(3) });
        answers.pass_on(Notice::Exited { job: 7, exit: Exit::Code(4) });
        assert!(matches!(second.start.recv(), Ok(Notice::Started { job: 2, tgid: 9 })));
        assert_eq!(Started { tgid: 9, exit: second.exit }.wait(), Ok(Exit::Code(3)));

        let (near, far) = Channel::pair().unwrap();
        drop(far);
        answers.hear(&near);
        assert!(first.start.recv().is_err());
        assert_eq!(Started { tgid: 8, exit: first.exit }.wait(), Err(SpawnerGone));
        assert!(answers.expect(3).is_err());
    }
}
