//! What a run has asked and what was answered. Everything here goes into the transcript before it takes
//! effect: the question when its call stands still, the answer before the call goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use agent_runner::{Admission, Cancel, Frozen, WatchError};
use ebpf_common::Verdict;
use journal::{
    RunDir,
    escape::visible,
    manifest::Mode,
    question::{About, Answer, Answered, By, Decided, Decision, Question},
    transcript::Event,
};
use observer::protocol::{Answer as Observed, Request};
use policy::Compiled;
use sandbox::LiveRun;
use serde_json::Value;

use super::{
    Waiting,
    approver::{self, Asked, Asking},
    reload::Reloading,
    transcript::RunTranscript,
    why, words,
};
use crate::run::{Observer, PATIENCE, Terminal};

/// How often a held call looks whether the run was ended.
const LOOK: Duration = Duration::from_millis(100);

/// What a desk needs to know of its run.
pub(crate) struct Setting {
    pub(crate) run: LiveRun,
    pub(crate) scenario: String,
    pub(crate) agent: String,
    pub(crate) compiled: Compiled,
    pub(crate) mode: Mode,
    pub(crate) directory: RunDir,
    /// How long a question waits; zero where nobody is asked.
    pub(crate) limit: Duration,
    /// The program that answers, if there is one.
    pub(crate) approver: Option<String>,
    pub(crate) terminal: Terminal,
}

/// The questions of a run. Clones share them.
#[derive(Clone)]
pub(crate) struct Questions {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    answered: Condvar,
    transcript: RunTranscript,
    run: LiveRun,
    scenario: String,
    agent: String,
    mode: Mode,
    limit: Duration,
    approver: Option<String>,
    terminal: Mutex<Terminal>,
    /// One at a time, so that numbers come in the observer's order.
    fetching: Mutex<()>,
}

pub(super) struct State {
    pub(super) compiled: Compiled,
    /// Whether the policy, or one before it, can ask about effects.
    pub(super) asks: bool,
    pub(super) observer: Option<Observer>,
    last: u64,
    open: BTreeMap<u64, Open>,
    /// What was answered about tool calls whose sessions have not heard of it yet.
    held: BTreeMap<u64, Answered>,
    /// Calls that a person has frozen one by one.
    frozen: BTreeSet<u64>,
    /// Whether the run is taken down: what stands still is not to act once more.
    is_over: bool,
    pub(super) reloading: Reloading,
}

struct Open {
    question: Question,
    /// The observer's own number; none for a tool call.
    observers: Option<u64>,
    until: Instant,
    approver: Option<Asking>,
}

/// Something that was answered.
struct Given {
    number: u64,
    answer: Answered,
    by: By,
    detail: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Questions {
    pub(crate) fn new(setting: Setting, transcript: RunTranscript) -> Self {
        let Setting { run, scenario, agent, compiled, mode, directory, limit, approver, terminal } =
            setting;
        let state = State {
            asks: compiled.asks(),
            compiled,
            observer: None,
            last: 0,
            open: BTreeMap::new(),
            held: BTreeMap::new(),
            frozen: BTreeSet::new(),
            is_over: false,
            reloading: Reloading::new(directory),
        };
        let shared = Shared {
            state: Mutex::new(state),
            answered: Condvar::new(),
            transcript,
            run,
            scenario,
            agent,
            mode,
            limit,
            approver,
            terminal: Mutex::new(terminal),
            fetching: Mutex::new(()),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// The transcript.
    pub(super) fn transcript(&self) -> &RunTranscript {
        &self.shared.transcript
    }

    pub(super) fn tell(&self, line: &str) {
        lock(&self.shared.terminal).notice(line);
    }

    /// Who is asked for questions from here on.
    pub(crate) fn observed_by(&self, observer: Observer) {
        self.state().observer = Some(observer);
    }

    /// What waits for an answer.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let now = Instant::now();
        let waiting = |open: &Open| Waiting {
            question: open.question.clone(),
            seconds_left: open.until.saturating_duration_since(now).as_secs(),
        };
        self.state().open.values().map(waiting).collect()
    }

    /// Fetches what the observer has to ask, if the policy can ask at all.
    pub(crate) fn fetch(&self) {
        let _one = lock(&self.shared.fetching);
        let observer = {
            let state = self.state();
            state.observer.clone().filter(|_| state.asks)
        };
        let Some(observer) = observer else { return };
        match observer.ask(&Request::Questions) {
            Ok(Observed::Questions { questions }) => {
                for question in questions {
                    let observers = Some(question.question);
                    self.open(question, observers);
                }
            }
            Ok(_) => tracing::error!("the observer answered something else than questions"),
            // Whoever guards it ends the run.
            Err(error) => tracing::debug!(%error, "no questions can be had"),
        }
    }

    /// Whether a call stands still for a question.
    pub(crate) fn is_asked_about(&self, call: u64) -> bool {
        self.fetch();
        self.state().open.values().any(|open| open.question.call == Some(call))
    }

    /// Puts a question on record and asks whoever can answer.
    fn open(&self, mut question: Question, observers: Option<u64>) -> u64 {
        let limit = self.shared.limit;
        let mut state = self.state();
        state.last += 1;
        question.question = state.last;
        let number = question.question;
        self.shared.transcript.note(Event::Question(Box::new(question.clone())));
        let asked = Asked {
            run: self.shared.run.name().to_owned(),
            scenario: self.shared.scenario.clone(),
            agent: self.shared.agent.clone(),
            tier: state.compiled.tier().number(),
            question: question.clone(),
        };
        let program = self.shared.approver.as_deref().filter(|_| !limit.is_zero());
        let approver = program.map(|command| approver::ask(command, asked, limit));
        let until = Instant::now() + limit;
        let announced =
            (!limit.is_zero()).then(|| self.announcement(&question, approver.is_some()));
        state.open.insert(number, Open { question, observers, until, approver });
        drop(state);
        if let Some(announced) = announced {
            self.tell(&announced);
        }
        number
    }

    fn announcement(&self, question: &Question, has_approver: bool) -> String {
        let call = question.call.map_or_else(String::new, |call| format!("call {call} "));
        let run = self.shared.run.name();
        let mut text = format!(
            "belljar: {call}waits for an answer: {}: {}",
            visible(&words(question)),
            visible(&why(question))
        );
        if let Some(hindrance) = &question.hindrance {
            text.push_str(&format!("\n  an approval would open nothing: {hindrance}"));
        }
        let who = if has_approver { "the approver is asked; or" } else { "answer with" };
        text.push_str(&format!(
            "\n  {who} belljar approve {run} {} --yes|--no|--kill within {} s; no answer means no",
            question.question,
            self.shared.limit.as_secs()
        ));
        text
    }

    /// Takes in what approvers have said, and gives up what has waited too long.
    pub(crate) fn look(&self) {
        let now = Instant::now();
        let mut given = Vec::new();
        for (&number, open) in &mut self.state().open {
            let said = open.approver.as_ref().and_then(Asking::answer);
            if let Some((answer, detail)) = said {
                let by = if answer == Answered::NoAnswer { By::Nobody } else { By::Approver };
                given.push(Given { number, answer, by, detail });
            } else if now >= open.until {
                let detail = if self.shared.limit.is_zero() {
                    "nobody was to be asked".to_owned()
                } else {
                    format!("nobody answered within {} s", self.shared.limit.as_secs())
                };
                let (answer, by) = (Answered::NoAnswer, By::Nobody);
                given.push(Given { number, answer, by, detail: Some(detail) });
            }
        }
        for given in given {
            self.settle(given);
        }
    }

    /// The answer of a person; in words what came of it, or why it is none.
    pub(crate) fn answer(
        &self,
        number: u64,
        answer: Answered,
        who: String,
    ) -> Result<String, String> {
        let given = Given { number, answer, by: By::Person, detail: Some(who) };
        self.settle(given).ok_or_else(|| {
            let run = self.shared.run.name();
            format!("no question {number} of run {run} is open: see `belljar approve`")
        })
    }

    /// Ends a question. In words what came of it; none where it is not open.
    fn settle(&self, given: Given) -> Option<String> {
        let Given { number, answer, by, mut detail } = given;
        let (open, observer) = {
            let mut state = self.state();
            (state.open.remove(&number)?, state.observer.clone())
        };
        let approved = answer == Answered::Approved;
        let (mut opened, mut may_go_on) = (false, true);
        if let Some(question) = open.observers {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let answered = observer
                .map(|observer| observer.ask(&Request::Answer { question, number, approved }));
            match answered {
                Some(Ok(Observed::Answered { opened: is_open, may_go_on: may })) => {
                    (opened, may_go_on) = (is_open, may);
                }
                Some(Err(error)) => {
                    // While nobody watches, nothing is to go on.
                    may_go_on = !error.is_lost();
                    if approved {
                        let told = detail.take().map(|it| format!("{it}; ")).unwrap_or_default();
                        detail = Some(format!("{told}nothing was opened: {error}"));
                    }
                }
                Some(Ok(_)) | None => {}
            }
        }
        self.shared.transcript.note(Event::Answer(Answer {
            question: number,
            answer,
            by,
            detail: detail.clone(),
            opened,
        }));
        let told = told(&open.question, answer, opened);
        let from = match (by, &detail) {
            (By::Nobody, Some(why)) => format!(" ({})", visible(why)),
            (By::Nobody, None) => String::new(),
            (By::Person | By::Approver, _) => format!(", by {}", by.words()),
        };
        self.tell(&format!("belljar: question {number} was {told}{from}"));
        match (&open.question.about, open.question.call) {
            (About::Tool { .. }, _) => {
                self.state().held.insert(number, answer);
                self.shared.answered.notify_all();
            }
            (About::Effect { .. }, Some(call)) => self.let_go(call, answer, may_go_on),
            (About::Effect { .. }, None) => {}
        }
        Some(format!("question {number} is {told}"))
    }

    /// Lets a call go on, or kills it. Whoever else holds it goes on to do so.
    fn let_go(&self, call: u64, answer: Answered, may_go_on: bool) {
        let leaf = match self.shared.run.call(call) {
            Ok(Some(leaf)) => leaf,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, call, "a call cannot be found that was asked about");
                return;
            }
        };
        let is_held = {
            let state = self.state();
            state.is_over || state.frozen.contains(&call) || self.shared.run.is_held()
        };
        let done = if answer == Answered::Killed {
            leaf.kill_and_wait(PATIENCE)
        } else if may_go_on && !is_held {
            leaf.thaw()
        } else {
            Ok(())
        };
        // One that is gone need not go on.
        if let Err(error) = done
            && leaf.path().exists()
        {
            tracing::error!(%error, call, "a call that was answered about cannot go on");
        }
    }

    /// Notes what a person is about to do. A call that a person lets go on, or kills, waits for no answer
    /// any more.
    pub(crate) fn decided(
        &self,
        decision: Decided,
        call: Option<u64>,
        components: bool,
        who: &str,
    ) -> String {
        let decided = Decision { decision, call, components, who: who.to_owned() };
        self.shared.transcript.note(Event::Decision(decided));
        let mut state = self.state();
        match (decision, call) {
            (Decided::Freeze, Some(call)) => drop(state.frozen.insert(call)),
            (Decided::Freeze, None) => {}
            (Decided::Resume | Decided::Kill, Some(call)) => drop(state.frozen.remove(&call)),
            (Decided::Resume | Decided::Kill, None) => state.frozen.clear(),
        }
        let is_meant = |open: &Open| {
            open.observers.is_some() && (call.is_none() || open.question.call == call)
        };
        let overtaken: Vec<u64> = match decision {
            Decided::Freeze => Vec::new(),
            Decided::Resume | Decided::Kill => {
                state.open.iter().filter(|(_, open)| is_meant(open)).map(|(it, _)| *it).collect()
            }
        };
        drop(state);
        for number in overtaken {
            let detail =
                Some(format!("{who}; the call was {} without an answer", decision.words()));
            self.settle(Given { number, answer: Answered::Refused, by: By::Person, detail });
        }
        let what = call.map_or_else(|| "the run".to_owned(), |call| format!("call {call}"));
        self.tell(&format!("belljar: {what} is {} by {}", decision.words(), visible(who)));
        "noted".to_owned()
    }

    /// Whether a tool call may begin; waits for the answer where that is asked.
    pub(crate) fn admit(
        &self,
        call: u64,
        tool: &str,
        arguments: &Value,
        cancel: &Cancel,
    ) -> Result<Admission, WatchError> {
        let rule = self.state().compiled.tool_rule(tool).cloned();
        let Some(rule) = rule else { return Ok(Admission::Granted) };
        if rule.verdict == Verdict::Allow {
            return Ok(Admission::Granted);
        }
        if self.shared.mode == Mode::Observe {
            let (verdict, reason) = (rule.verdict, &rule.reason);
            let text =
                format!("call {call} begins all the same, its verdict is {verdict}: {reason}");
            self.shared.transcript.note(Event::Note { text });
            return Ok(Admission::Granted);
        }
        if rule.verdict != Verdict::Ask {
            let text = format!("call {call} was refused before it began: {}", rule.reason);
            self.shared.transcript.note(Event::Note { text });
            return Ok(Admission::Refused(REFUSED.to_owned()));
        }
        let about = About::Tool { tool: tool.to_owned(), arguments: arguments.clone() };
        let question = Question {
            question: 0,
            call: Some(call),
            about,
            rule: rule.name,
            reason: rule.reason,
            hindrance: None,
        };
        let number = self.open(question, None);
        loop {
            if cancel.is_cancelled() {
                let detail = Some("the run was ended".to_owned());
                let (answer, by) = (Answered::NoAnswer, By::Nobody);
                self.settle(Given { number, answer, by, detail });
                return Ok(Admission::Cancelled);
            }
            let state = self.state();
            let waited = self.shared.answered.wait_timeout(state, LOOK);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
            match state.held.remove(&number) {
                None => {}
                Some(Answered::Approved) => return Ok(Admission::Granted),
                Some(Answered::Refused | Answered::Killed | Answered::NoAnswer) => {
                    return Ok(Admission::Refused(REFUSED.to_owned()));
                }
            }
        }
    }

    /// A call stands still, or goes on: tells who can do something about it, and how.
    pub(crate) fn froze(&self, call: u64, frozen: Frozen, limit: Duration) {
        let run = self.shared.run.name();
        match frozen {
            Frozen::Call => self.tell(&format!(
                "belljar: call {call} stands still and waits for a person (`belljar runs frozen` says why)\n  \
                 belljar runs resume|kill {run} --call {call} within {} s, or it is killed",
                limit.as_secs()
            )),
            Frozen::Run => self.tell(&format!(
                "belljar: a person froze the run, and call {call} with it: belljar runs resume {run}"
            )),
            // The question was told, and whoever lets a call go on has told that.
            Frozen::Asked | Frozen::No => {}
        }
    }

    /// Gives up whatever still waits: the run is at its end.
    pub(crate) fn close(&self) {
        self.state().is_over = true;
        // What came last is on record too.
        self.fetch();
        let open: Vec<u64> = self.state().open.keys().copied().collect();
        for number in open {
            let detail = Some("the run was ended".to_owned());
            self.settle(Given { number, answer: Answered::NoAnswer, by: By::Nobody, detail });
        }
        self.state().observer = None;
    }
}

/// What an agent learns of a call that was not let begin. Why, is not told.
const REFUSED: &str = "the call was refused";

fn told(question: &Question, answer: Answered, opened: bool) -> String {
    let extent = match (answer, &question.about, &question.hindrance) {
        (Answered::Approved, About::Effect { .. }, Some(hindrance)) => {
            format!(", which opens nothing: {hindrance}")
        }
        (Answered::Approved, About::Effect { .. }, None) if opened => {
            ": it is open once".to_owned()
        }
        (Answered::Approved, About::Effect { .. }, None) => {
            ", and nothing could be opened".to_owned()
        }
        _ => String::new(),
    };
    format!("{}{extent}", answer.words())
}
