//! Ctrl-C and SIGTERM: a run ends in order.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::signal::unix::{SignalKind, signal};

type Hook = Box<dyn Fn() + Send>;

/// Knows whether the run was interrupted, and tells those who wait.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    happened: Arc<AtomicBool>,
    hooks: Arc<Mutex<Vec<Hook>>>,
}

impl Interrupt {
    /// Listens from now on, on a thread of its own.
    pub(crate) fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let heard = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut terminate, mut hang_up, mut ctrl_c) = {
            let _context = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
                signal(SignalKind::interrupt())?,
            )
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = hang_up.recv() => {}
                        _ = ctrl_c.recv() => {}
                    }
                    heard.raise();
                }
            });
        })?;
        Ok(interrupt)
    }

    /// Whether it has happened.
    pub(crate) fn happened(&self) -> bool {
        self.happened.load(Ordering::SeqCst)
    }

    /// Calls `hook` when it happens, or at once if it has.
    pub(crate) fn then(&self, hook: impl Fn() + Send + 'static) {
        let mut hooks = self.hooks.lock().expect("no hook panics");
        if self.happened() {
            hook();
        }
        hooks.push(Box::new(hook));
    }

    /// Calls `hook` when it happens from now on, whether or not it has happened before.
    pub(crate) fn next(&self, hook: impl Fn() + Send + 'static) {
        self.hooks.lock().expect("no hook panics").push(Box::new(hook));
    }

    fn raise(&self) {
        let hooks = self.hooks.lock().expect("no hook panics");
        self.happened.store(true, Ordering::SeqCst);
        for hook in hooks.iter() {
            hook();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_called_whether_it_came_before_or_after() {
        let interrupt = Interrupt::default();
        let calls = Arc::new(Mutex::new(0));
        let count = |calls: &Arc<Mutex<i32>>| {
            let calls = Arc::clone(calls);
            move || *calls.lock().unwrap() += 1
        };
        interrupt.then(count(&calls));
        assert_eq!(*calls.lock().unwrap(), 0);
        interrupt.raise();
        interrupt.then(count(&calls));
        assert_eq!(*calls.lock().unwrap(), 2);
        assert!(interrupt.happened());
    }
}
