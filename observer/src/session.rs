//! One supervisor and its run, from the request to watch it to the account of its evidence.

use std::sync::Arc;

use journal::evidence::Evidence;

use crate::{
    control::{Control, Incoming},
    exposition::End,
    interpret::LandlockInForce,
    observer::Observer,
    protocol::{Answer, Fault, Request, Watch},
    serve::{Event, ServeError, Served},
    totals::Judgement,
    watching::WatchError,
};

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was asked for yet.
    New,
    /// A run is watched in this slot.
    Watched(u32),
    /// Its processes are gone, and its last effects are on their way.
    Ending(u32),
    /// Its account is given, and its supervisor judges it.
    Accounted,
    /// There is nothing left to do.
    Over,
}

/// A connection, and what came of it.
pub(crate) struct Session {
    /// None when the supervisor is gone, or the session has failed: then the run stays watched until
    /// nothing of it lives, so that nothing is set free.
    pub(crate) control: Option<Control>,
    /// Why no run can be watched for this supervisor.
    unfit: Option<String>,
    run: String,
    stage: Stage,
    pub(crate) failure: Option<ServeError>,
}

impl Session {
    pub(crate) fn new(control: Control, unfit: Option<String>) -> Self {
        Self { control: Some(control), unfit, run: String::new(), stage: Stage::New, failure: None }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The slot of its run, as long as it has one.
    pub(crate) fn slot(&self) -> Option<u32> {
        match self.stage {
            Stage::Watched(slot) | Stage::Ending(slot) => Some(slot),
            Stage::New | Stage::Accounted | Stage::Over => None,
        }
    }

    /// Nothing more can be recorded of the run: its supervisor sees the connection end.
    pub(crate) fn fail(&mut self, error: ServeError, served: &mut Served<'_>) {
        if let Some(slot) = self.slot() {
            served.observer().run(slot).give_up();
        }
        // Nobody is left to be told where it is the connection that failed.
        if let Some(control) = &mut self.control
            && !matches!(error, ServeError::Control(_))
        {
            let _ = control.send(&Answer::Failed { reason: causes(&error) });
        }
        self.control = None;
        if self.failure.is_none() {
            served.tell(&Event::Failed { run: &self.run, error: &error });
            self.failure = Some(error);
        }
    }

    /// Answers what has come by now.
    pub(crate) fn listen(&mut self, served: &mut Served<'_>) {
        while let Some(control) = &mut self.control {
            let result = match control.receive() {
                Ok(Incoming::Nothing) => return,
                Ok(Incoming::Request(request)) => self.answer(*request, served),
                Ok(Incoming::Closed) => return self.abandon(served),
                Err(error) => Err(ServeError::Control(error)),
            };
            match result {
                Ok(()) => {}
                // The run's evidence is closed: nothing that fails now touches it.
                Err(error) if self.stage == Stage::Accounted => {
                    tracing::debug!(%error, run = self.run, "its supervisor gives no verdict");
                    self.control = None;
                }
                Err(error) => self.fail(error, served),
            }
        }
        if self.slot().is_none() {
            self.stage = Stage::Over;
        }
    }

    /// The supervisor is gone.
    fn abandon(&mut self, served: &mut Served<'_>) {
        self.control = None;
        match self.slot() {
            Some(_) => served.tell(&Event::Abandoned { run: &self.run }),
            None => self.stage = Stage::Over,
        }
    }

    fn answer(&mut self, request: Request, served: &mut Served<'_>) -> Result<(), ServeError> {
        let done = match (request, self.stage) {
            (Request::Watch(request), Stage::New) => return self.watch(&request, served),
            (Request::Finish, Stage::Watched(slot)) => {
                served.observer().run(slot).end();
                self.stage = Stage::Ending(slot);
                return Ok(());
            }
            (Request::Judged(judgement), Stage::Accounted) => {
                return self.judged(&judgement, served);
            }
            (Request::Questions, Stage::Watched(slot)) => {
                let questions = served.observer().run(slot).keeper.questions.take();
                return self.send(&Answer::Questions { questions });
            }
            (Request::Answer { question, number, approved }, Stage::Watched(slot)) => {
                let answered = served.observer().run(slot).answer(question, number, approved);
                return self.send(&answered.unwrap_or_else(|error| refusal(&error)));
            }
            (request, Stage::Watched(slot)) => tell(served.observer(), slot, request),
            (_, Stage::New) => Err(WatchError::Request("no run is watched yet".to_owned())),
            (_, Stage::Ending(_) | Stage::Accounted | Stage::Over) => {
                Err(WatchError::Request("the run has ended".to_owned()))
            }
        };
        self.send(&done.map_or_else(|error| refusal(&error), |()| Answer::Done))
    }

    /// Counts the verdict, and lets the supervisor go.
    fn judged(&mut self, judgement: &Judgement, served: &Served<'_>) -> Result<(), ServeError> {
        let answer = match judgement.stranger() {
            None => {
                served.judged(judgement);
                Answer::Done
            }
            Some(word) => refusal(&WatchError::Request(format!("no metric knows {word:?}"))),
        };
        self.send(&answer)?;
        self.control = None;
        Ok(())
    }

    fn watch(&mut self, request: &Watch, served: &mut Served<'_>) -> Result<(), ServeError> {
        self.run.clone_from(&request.run);
        let begun = match self.unfit.take() {
            Some(reason) => Err(WatchError::Unfit(reason)),
            None => served.begin(request),
        };
        match begun {
            Ok((slot, answer)) => {
                self.stage = Stage::Watched(slot);
                self.send(&answer)
            }
            Err(error) => {
                served.tell(&Event::Refused { run: &self.run, error: &error });
                let sent = self.send(&refusal(&error));
                self.control = None;
                sent
            }
        }
    }

    fn send(&mut self, answer: &Answer) -> Result<(), ServeError> {
        match &mut self.control {
            Some(control) => control.send(answer).map_err(ServeError::Control),
            None => Ok(()),
        }
    }

    /// Ends the watch over a run of which nothing is left, and whose supervisor is gone.
    pub(crate) fn tidy(&mut self, served: &mut Served<'_>) {
        let Stage::Watched(slot) = self.stage else { return };
        if self.control.is_none() && served.observer().run(slot).is_deserted() {
            served.observer().run(slot).end();
            self.stage = Stage::Ending(slot);
        }
    }

    /// Gives account when the last effects are in.
    pub(crate) fn conclude(&mut self, served: &mut Served<'_>) {
        let Stage::Ending(slot) = self.stage else { return };
        if self.failure.is_some() {
            served.observer().release(slot, false);
            served.ended(slot, &self.run, End::Incomplete, None);
            self.stage = Stage::Over;
            return;
        }
        let metrics = Arc::clone(&served.observer().run(slot).metrics);
        match served.observer().account(slot) {
            Ok(None) => {}
            Ok(Some(evidence)) => {
                self.stage = if self.control.is_some() { Stage::Accounted } else { Stage::Over };
                let end = how(&evidence, self.control.is_some());
                served.ended(slot, &self.run, end, Some(&evidence));
                if let Err(error) =
                    self.send(&Answer::Finished { evidence, metrics: metrics.text() })
                {
                    self.fail(error, served);
                    self.stage = Stage::Over;
                }
            }
            Err(error) => {
                self.stage = Stage::Over;
                served.ended(slot, &self.run, End::Incomplete, None);
                self.fail(error.into(), served);
            }
        }
    }
}

fn how(evidence: &Evidence, has_supervisor: bool) -> End {
    match (has_supervisor, evidence.is_whole()) {
        (false, _) => End::Abandoned,
        (true, true) => End::Complete,
        (true, false) => End::Incomplete,
    }
}

/// Carries out a request that concerns a watched run.
fn tell(observer: &mut Observer, slot: u32, request: Request) -> Result<(), WatchError> {
    let watching = observer.run(slot);
    match request {
        Request::Watch(_) => Err(WatchError::Request("a run is watched already".to_owned())),
        Request::Call { call, leaf, path } => Ok(watching.call(call, leaf, path)?),
        Request::Component { name, leaf } => watching.component(name, leaf),
        Request::Landlock { abi, scopes_signals } => {
            watching.landlock(LandlockInForce { abi, scopes_signals });
            Ok(())
        }
        Request::Objective { proxy, measured } => {
            watching.metrics.objective(proxy, measured);
            Ok(())
        }
        Request::Reload { policy: (text, name) } => watching.reload(&text, &name),
        Request::Ping => Ok(()),
        Request::Questions | Request::Answer { .. } => {
            Err(WatchError::Request("it has an answer of its own".to_owned()))
        }
        Request::Judged(_) => Err(WatchError::Request("the run has not ended yet".to_owned())),
        Request::Finish => {
            watching.end();
            Ok(())
        }
    }
}

fn refusal(error: &WatchError) -> Answer {
    if let WatchError::Unfit(reason) = error {
        return Answer::Unfit { reason: reason.clone() };
    }
    let fault = match error {
        WatchError::Load(_)
        | WatchError::Maps(_)
        | WatchError::Canary(_)
        | WatchError::Hooks(_) => Fault::Kernel,
        WatchError::Metrics { .. } => Fault::Address,
        _ => Fault::Request,
    };
    Answer::Refused { reason: causes(error), fault }
}

/// An error with its causes.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // The verifier's log can be thousands of lines; its end says what was wrong.
        let tail: Vec<&str> = text.lines().rev().take(8).collect();
        for line in tail.into_iter().rev() {
            reason.push_str(": ");
            reason.push_str(line);
        }
        cause = error.source();
    }
    reason
}
