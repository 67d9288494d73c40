//! Takes orders and has them carried out at the same time.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use journal::{Tier, scenario::Declared};

use super::{Answer, Order, Place, Request};
use crate::{
    cancel::Cancel,
    hands::Hands,
    session::{AgentEnd, How, Limits, Numbers, Session, SessionError, SessionParts},
    watch::{Progress, Transcript, Watcher},
};

/// How often it is looked whether the end was asked for while no order comes.
const LOOK: Duration = Duration::from_millis(100);

/// Makes anew for each call what calls cannot share: they are made at the same time.
pub trait Workshop: Sync {
    /// The sandbox, for a call that begins there.
    fn hands(&self, place: &Place) -> Box<dyn Hands + '_>;
    /// The observer.
    fn watcher(&self) -> Box<dyn Watcher + '_>;
    /// The transcript that all write to.
    fn transcript(&self) -> Box<dyn Transcript + '_>;
    /// The terminal.
    fn progress(&self) -> Box<dyn Progress + '_>;
}

/// Where orders are handed in; clones lead to the same desk. When the last of them is gone, so is the
/// agent.
#[derive(Clone, Debug)]
pub struct Front(Sender<Message>);

/// The other side of a [`Front`].
#[derive(Debug)]
pub struct Orders(Receiver<Message>);

enum Message {
    Order(Box<Order>),
    End,
}

/// Two ends of a queue for orders.
#[must_use]
pub fn front() -> (Front, Orders) {
    let (sender, receiver) = mpsc::channel();
    (Front(sender), Orders(receiver))
}

impl Front {
    /// Hands in an order. It is dropped, and its answer with it, where the desk is closed.
    pub fn order(&self, order: Order) {
        let _ = self.0.send(Message::Order(Box::new(order)));
    }

    /// Closes the desk: calls that are being made are cancelled, no other one begins.
    pub fn close(&self) {
        let _ = self.0.send(Message::End);
    }
}

/// What a desk is made of.
pub struct DeskParts<'a> {
    /// Makes what each call needs.
    pub workshop: &'a dyn Workshop,
    /// How it is ended from outside.
    pub cancel: Cancel,
    /// The granted tier: which tools are offered.
    pub tier: Tier,
    /// What all calls together may use up.
    pub limits: Limits,
    /// The numbers of calls, shared with whoever else makes some.
    pub numbers: Numbers,
}

/// Has orders carried out.
pub struct Desk<'a> {
    parts: DeskParts<'a>,
    deadline: Mutex<Option<Instant>>,
    declared: Mutex<Declared>,
    broken: Mutex<Option<SessionError>>,
}

impl<'a> Desk<'a> {
    /// A desk without any order yet. The agent's time begins now.
    #[must_use]
    pub fn new(parts: DeskParts<'a>) -> Self {
        let deadline = parts.limits.agent_time.map(|time| Instant::now() + time).into();
        Self { parts, deadline, declared: Mutex::default(), broken: Mutex::default() }
    }

    /// Takes orders until the last front is gone or somebody asks for the end, and waits for the calls
    /// that are being made then, which are cancelled.
    ///
    /// # Errors
    ///
    /// [`SessionError`] where the harness failed.
    pub fn serve(self, orders: Orders) -> Result<AgentEnd, SessionError> {
        let how = thread::scope(|scope| {
            let mut live = Vec::new();
            let how = self.take(&orders, |call, order| {
                live.retain(|(_, making): &(Cancel, ScopedJoinHandle<'_, ()>)| {
                    !making.is_finished()
                });
                let (cancel, desk) = (order.cancel.clone(), &self);
                live.push((cancel, scope.spawn(move || desk.make(call, order))));
            });
            // Whoever waits for a call that was not begun hears that it never will be.
            drop(orders);
            for (cancel, _) in &live {
                cancel.cancel();
            }
            how
        })?;
        if let Some(error) = lock(&self.broken).take() {
            return Err(error);
        }
        let (place, cancel) = (Place::default(), self.parts.cancel.clone());
        self.session(&place, cancel, |session| session.note_end(&how))?;
        let declared = lock(&self.declared).clone();
        Ok(AgentEnd { how, calls: self.parts.numbers.begun(), declared })
    }

    /// Begins calls, in the order in which they come, and has each of them made.
    fn take(&self, orders: &Orders, mut make: impl FnMut(u64, Order)) -> Result<How, SessionError> {
        let hands = self.parts.workshop.hands(&Place::default());
        let mut looked = Instant::now();
        loop {
            if self.parts.cancel.is_cancelled() || lock(&self.broken).is_some() {
                return Ok(How::Cancelled);
            }
            let passed = looked.elapsed();
            looked += passed;
            if let Some(deadline) = &mut *lock(&self.deadline) {
                // The agent's time stands still while a person has frozen the run.
                if hands.is_held() {
                    *deadline += passed;
                }
                if *deadline <= looked {
                    return Ok(How::OutOfTime);
                }
            }
            let order = match orders.0.recv_timeout(LOOK) {
                Ok(Message::Order(order)) => *order,
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => {
                    return Ok(How::Finished);
                }
                Err(RecvTimeoutError::Timeout) => continue,
            };
            if self.parts.numbers.begun() >= self.parts.limits.calls {
                return Ok(How::OutOfCalls);
            }
            let Order { request, cancel, .. } = &order;
            let call = self.session(&Place::default(), cancel.clone(), |session| {
                session.begin(request.name(), &request.recorded())
            })?;
            make(call, order);
        }
    }

    /// Makes a call that has begun, and answers.
    fn make(&self, call: u64, order: Order) {
        let Order { mut request, cancel, answer } = order;
        let place = match &request {
            Request::Exec(exec) => exec.place.clone(),
            Request::Tool { .. } | Request::Read(_) | Request::Write(_) => Place::default(),
        };
        let made = self.session(&place, cancel, |session| {
            let start = Instant::now();
            let outcome = session.carry(call, &mut request)?;
            let duration = start.elapsed();
            session.end(call, &outcome.recorded(), duration)?;
            if session.declared.filed {
                lock(&self.declared).clone_from(&session.declared);
            }
            Ok(Answer { call, outcome, duration })
        });
        match made {
            Ok(made) => answer(made),
            Err(error) => {
                lock(&self.broken).get_or_insert(error);
            }
        }
    }

    /// A session for one call.
    fn session<T>(
        &self,
        place: &Place,
        cancel: Cancel,
        work: impl FnOnce(&mut Session<'_>) -> Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        let DeskParts { workshop, tier, limits, numbers, .. } = &self.parts;
        let mut hands = workshop.hands(place);
        let mut watcher = workshop.watcher();
        let mut transcript = workshop.transcript();
        let mut progress = workshop.progress();
        let parts = SessionParts {
            hands: &mut *hands,
            watcher: &mut *watcher,
            transcript: &mut *transcript,
            progress: &mut *progress,
            cancel,
            tier: *tier,
            limits: *limits,
        };
        let mut session = Session::numbered(parts, numbers.clone());
        session.deadline = *lock(&self.deadline);
        session.cancelled = "it was cancelled";
        work(&mut session)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
