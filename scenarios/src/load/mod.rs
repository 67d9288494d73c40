//! The load: requests at a fixed rate, whether or not they are answered, over a bounded number of
//! loopback connections. It is the independent measure.
//!
//! The loop is open. A request's latency counts from the moment at which it was due, not from that
//! at which a connection was free, so that a backend that stalls cannot make the stall go unseen.
//! What waits is bounded: a request that finds the queue full is shed and counted.

mod client;
mod schedule;
mod window;

use std::{
    cell::RefCell,
    collections::VecDeque,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet};

pub(crate) use client::Challenge;
pub(crate) use window::{Figures, Window};

use schedule::Schedule;

/// Longest that a load runs, whatever happens.
const MAX_DURATION: Duration = Duration::from_secs(4 * 3600);
/// Requests that may wait for a connection.
const MAX_WAITING: usize = 256;
/// Time between two looks at what is due.
const TICK: Duration = Duration::from_millis(2);
/// Different payloads; the right answer to each is worked out beforehand.
const CHALLENGES: u64 = 64;

/// What a load came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadTotals {
    /// Requests that were due.
    pub offered: u64,
    /// Right answers.
    pub validated: u64,
    /// Requests without an answer: connection refused, closed or timed out.
    pub failed: u64,
    /// Answers that were wrong.
    pub wrong: u64,
    /// Requests that found the queue full.
    pub shed: u64,
}

/// How much load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) rate_per_second: f64,
    pub(crate) connections: u32,
    pub(crate) request_rounds: u64,
    pub(crate) seed: u64,
}

/// What the connections share; all of it lives on one thread.
struct Shared {
    waiting: VecDeque<Instant>,
    totals: LoadTotals,
    window: Window,
}

/// A load under way, on a runtime of one thread.
pub(crate) struct Load {
    shared: Rc<RefCell<Shared>>,
    // Dropping it ends the tasks.
    _tasks: JoinSet<()>,
}

impl Load {
    /// Starts the load. Working out the right answers takes [`CHALLENGES`] requests' processor time.
    pub(crate) fn start(plan: Plan) -> Self {
        let challenges: Rc<[Challenge]> = (0..CHALLENGES)
            .map(|number| Challenge::new(plan.seed, number, plan.request_rounds))
            .collect();
        let window = Window::begin(Instant::now());
        let totals = LoadTotals::default();
        let shared = Rc::new(RefCell::new(Shared { waiting: VecDeque::new(), totals, window }));
        let arrivals = Rc::new(Semaphore::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..plan.connections {
            let connection = Connection {
                shared: Rc::clone(&shared),
                arrivals: Rc::clone(&arrivals),
                challenges: Rc::clone(&challenges),
                address: plan.address,
                sent: u64::from(number) << 32,
            };
            tasks.spawn_local(connection.run());
        }
        tasks.spawn_local(offer(Rc::clone(&shared), arrivals, plan.rate_per_second));
        Self { shared, _tasks: tasks }
    }

    /// Ends the window and begins the next.
    pub(crate) fn next_window(&self) -> Figures {
        let now = Instant::now();
        let mut shared = self.shared.borrow_mut();
        shared.window.runs(now);
        shared.window.next(now)
    }

    pub(crate) fn totals(&self) -> LoadTotals {
        self.shared.borrow().totals
    }
}

/// Puts requests into the queue as they come due.
async fn offer(shared: Rc<RefCell<Shared>>, arrivals: Rc<Semaphore>, rate_per_second: f64) {
    let mut schedule = Schedule::new(Instant::now(), rate_per_second);
    let end = Instant::now() + MAX_DURATION;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        if now >= end {
            return;
        }
        let mut shared = shared.borrow_mut();
        shared.window.runs(now);
        for due in schedule.due(now) {
            shared.totals.offered += 1;
            if shared.waiting.len() < MAX_WAITING {
                shared.waiting.push_back(due);
                arrivals.add_permits(1);
            } else {
                shared.totals.shed += 1;
            }
        }
    }
}

/// One of the load's connections.
struct Connection {
    shared: Rc<RefCell<Shared>>,
    arrivals: Rc<Semaphore>,
    challenges: Rc<[Challenge]>,
    address: SocketAddr,
    /// Number of the next request, different among all connections.
    sent: u64,
}

impl Connection {
    /// Pause after a failure, so that a dead backend is not hammered.
    const PAUSE: Duration = Duration::from_millis(20);

    async fn run(mut self) {
        let mut client = None;
        loop {
            let Ok(permit) = self.arrivals.acquire().await else { return };
            permit.forget();
            let Some(due) = self.shared.borrow_mut().waiting.pop_front() else { continue };
            self.sent += 1;
            let challenge = &self.challenges[(self.sent % CHALLENGES) as usize];
            let outcome = client::ask(&mut client, self.address, challenge, self.sent).await;
            let failed = {
                let mut shared = self.shared.borrow_mut();
                match outcome {
                    Ok(true) => {
                        shared.totals.validated += 1;
                        shared.window.answer(due.elapsed());
                        false
                    }
                    Ok(false) => {
                        shared.totals.wrong += 1;
                        true
                    }
                    Err(_) => {
                        shared.totals.failed += 1;
                        true
                    }
                }
            };
            if failed {
                client = None;
                tokio::time::sleep(Self::PAUSE).await;
            }
        }
    }
}
