//! A desk over plain processes.
#![allow(clippy::unwrap_used, reason = "tests panic")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use agent_runner::{
    Admission, AgentEnd, Cancel, Hands, Limits, Moment, Numbers, Progress, SessionError,
    Transcript, Watcher,
    outside::{Answer, Desk, DeskParts, Front, Order, Orders, Place, Request, Workshop, front},
};
use journal::{Entry, Tier, transcript::Event, writer::WriteError};

use crate::plain::{Log, LoggingWatcher, PlainHands};

/// Plain processes in a directory of their own.
pub(crate) struct Counter {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) log: Log,
    pub(crate) refuses: bool,
    /// What the observer says of calls of this tool.
    pub(crate) admission: Option<(&'static str, Admission)>,
    entries: Mutex<Vec<Entry>>,
}

impl Workshop for Counter {
    fn hands(&self, _: &Place) -> Box<dyn Hands + '_> {
        Box::new(PlainHands::new(self.directory.path(), &self.log))
    }

    fn watcher(&self) -> Box<dyn Watcher + '_> {
        let (log, admission) = (self.log.clone(), self.admission.clone());
        Box::new(LoggingWatcher { log, refuses: self.refuses, admission })
    }

    fn transcript(&self) -> Box<dyn Transcript + '_> {
        Box::new(|entry: &Entry| -> Result<(), WriteError> {
            self.entries.lock().unwrap().push(entry.clone());
            Ok(())
        })
    }

    fn progress(&self) -> Box<dyn Progress + '_> {
        Box::new(|_: Moment<'_>| {})
    }
}

/// How a desk's calls came out.
pub(crate) type Served = Result<AgentEnd, SessionError>;

impl Counter {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            log: Log::default(),
            refuses: false,
            admission: None,
            entries: Mutex::default(),
        }
    }

    /// Has a desk serve whoever comes to its front.
    pub(crate) fn serve(&self, limits: Limits, come: impl FnOnce(Front) + Send) -> Served {
        let (front, orders) = front();
        self.serve_orders(limits, &Numbers::default(), orders, move || come(front))
    }

    /// The same, with these numbers and this queue.
    pub(crate) fn serve_orders(
        &self,
        limits: Limits,
        numbers: &Numbers,
        orders: Orders,
        come: impl FnOnce() + Send,
    ) -> Served {
        let desk = Desk::new(DeskParts {
            workshop: self,
            cancel: Cancel::new().unwrap(),
            tier: Tier::Work,
            limits,
            numbers: numbers.clone(),
        });
        thread::scope(|scope| {
            scope.spawn(come);
            desk.serve(orders)
        })
    }

    /// What is in the transcript.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.entries.lock().unwrap().iter().map(|entry| entry.event.clone()).collect()
    }
}

/// An answer that will come, and what cancels its call.
pub(crate) struct Awaited {
    pub(crate) cancel: Cancel,
    answer: mpsc::Receiver<Answer>,
}

/// Hands in an order.
pub(crate) fn order(front: &Front, request: Request) -> Awaited {
    let (sender, answer) = mpsc::channel();
    let cancel = Cancel::new().unwrap();
    front.order(Order {
        request,
        cancel: cancel.clone(),
        answer: Box::new(move |answer| sender.send(answer).unwrap()),
    });
    Awaited { cancel, answer }
}

impl Awaited {
    /// Waits for the answer; none where the call was never made.
    pub(crate) fn wait(self) -> Option<Answer> {
        match self.answer.recv_timeout(Duration::from_secs(20)) {
            Ok(answer) => Some(answer),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no answer came"),
        }
    }
}

/// A call of the shell.
pub(crate) fn shell(command: &str) -> Request {
    Request::Tool { name: "shell".to_owned(), arguments: serde_json::json!({ "command": command }) }
}
