//! `belljar watch`: an observer that stays, so that the probes are loaded once for many runs.

use std::{
    io::Write as _,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use observer::{Event, Observer, ObserverError, Resident, ServeError, gate::Gate};
use sandbox::{Belljar, CgroupMount};

use crate::{
    cli::WatchArgs,
    exit::{Exit, Failure, OrExit as _},
    run::{self, Interrupt},
    stderr::Impatient,
};

/// Watches runs until it is told to end.
pub(crate) fn watch(arguments: &WatchArgs) -> Result<(), Failure> {
    sandbox::host::check_privilege().or_exit(Exit::Privilege)?;
    let mount = CgroupMount::find().or_exit(Exit::Unavailable)?;
    let interrupt = Interrupt::listen().or_exit(Exit::Os)?;
    let belljar = Belljar::new(mount.clone());
    run::reap_stale(&belljar);
    let gate = Gate::open(&arguments.socket).or_exit(Exit::CannotCreate)?;
    let name = run::new_name()?;
    let claim = belljar.claim(&name).or_exit(Exit::Os)?;
    let _claim = claim.context("another has the same name").or_exit(Exit::Os)?;
    let oversight = belljar.enter_oversight().or_exit(Exit::Os)?;
    // Runs lie beside it.
    let level = mount.level(oversight.path()).ok_or_else(|| {
        let message = "the depth of cgroups is hidden here: run outside the container, or with the host's cgroup namespace";
        Failure::new(Exit::Unavailable, anyhow!(message))
    })?;
    let start = Instant::now();
    let pins = run::pins_of(&name);
    let only = arguments.probes.only();
    let observer = Observer::load(level, only, belljar.path(), pins.as_deref());
    let observer = observer.map_err(|error| {
        run::remove_pins(&name);
        let exit = match error {
            ObserverError::Load(_) => Exit::Unavailable,
            ObserverError::Maps(_) | ObserverError::Canary(_) => Exit::Software,
        };
        Failure::new(exit, error)
    })?;
    let told = loaded(&observer, start.elapsed());
    let metrics = (!arguments.no_metrics).then_some(arguments.metrics);
    let resident = match Resident::new(observer, gate, metrics) {
        Ok(resident) => resident,
        Err(error) => {
            run::remove_pins(&name);
            let exit = match error {
                ServeError::Hooks(_) | ServeError::Observer(_) => Exit::Unavailable,
                _ => Exit::CannotCreate,
            };
            return Err(Failure::new(exit, error));
        }
    };
    say(&told);
    if let Some(address) = resident.address() {
        say(&format!("metrics: http://{address}/metrics"));
    }
    say(&format!("runs find it at {}", arguments.socket.display()));

    let (ours, theirs) = UnixStream::pair().or_exit(Exit::Os)?;
    interrupt.then(move || {
        // It ends as well when it is gone.
        let _ = (&ours).write_all(&[0]);
    });
    let ended = resident.watch(theirs, &mut |event: &Event<'_>| say(&event.to_string()));
    // What still lives is guarded by the pins until it is reaped.
    if !belljar.has_runs() {
        run::remove_pins(&name);
    }
    ended.or_exit(Exit::Io)
}

fn loaded(observer: &Observer, took: Duration) -> String {
    let probes = &observer.probes;
    let reason = probes.reason.as_deref().map(|reason| format!(" (not lsm: {reason})"));
    format!(
        "probes: the {} set, loaded in {:.1} s{}",
        probes.set.name(),
        took.as_secs_f64(),
        reason.unwrap_or_default()
    )
}

/// Says something on standard error, and waits for no reader.
fn say(line: &str) {
    let _ = Impatient.write_all(format!("belljar: {line}\n").as_bytes());
}
