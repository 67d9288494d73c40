//! The system layers: on this host, and in each kernel of the matrix.

use std::{panic::resume_unwind, thread, time::Duration};

use anyhow::Result;

use crate::{
    layers::{self, Row},
    programs, project,
    statics::{self, Statics},
    supervised,
    vm::{self, Job, Kernel},
};

/// The layers that belong to the project by design. One without a test target is named as skipped.
const EXPECTED: [&str; 7] =
    ["verifier", "probe", "tier", "evasion", "system", "judge", "prometheus"];

/// A layer that takes longer on the host hangs.
const HOST_DEADLINE: Duration = Duration::from_secs(450);
/// All layers of one machine together; without KVM they take some ten times as long as on the host.
const VM_DEADLINE: Duration = Duration::from_secs(1200);

/// Builds the static programs and runs every layer in every place.
///
/// # Errors
///
/// When files below `target/` cannot be written.
pub(super) fn run(with_machines: bool) -> Result<Vec<Row>> {
    let targets = project::root().join("tests").join("tests");
    if !targets.is_dir() {
        return Ok(left_out("all", "no such target in tests/tests"));
    }
    eprintln!("x: building static programs for the system layers");
    let statics = match statics::build() {
        Ok(statics) => statics,
        Err(error) => {
            let mut rows = left_out("all", "not built");
            rows.push(Row::failed("static build", "host", "", &format!("{error:#}")));
            return Ok(rows);
        }
    };
    let missing = |place: &str| {
        EXPECTED
            .into_iter()
            .filter(|layer| !statics.layers.iter().any(|(name, _)| name == layer))
            .map(|layer| Row::skipped(layer, place, "no such target"))
            .collect::<Vec<_>>()
    };
    let mut rows = on_host(&statics)?;
    rows.extend(missing("host"));
    if with_machines {
        for (kernel, machine) in Kernel::ALL.into_iter().zip(in_machines(&statics)) {
            rows.extend(machine);
            rows.extend(missing(&kernel.to_string()));
        }
    } else {
        for kernel in Kernel::ALL {
            rows.extend(left_out(&kernel.to_string(), "left out by --no-vm"));
        }
    }
    Ok(rows)
}

/// One skipped row for each layer in a place.
pub(super) fn left_out(place: &str, reason: &str) -> Vec<Row> {
    EXPECTED.map(|layer| Row::skipped(layer, place, reason)).into()
}

fn on_host(statics: &Statics) -> Result<Vec<Row>> {
    let place = "host";
    let mut rows = Vec::new();
    for (layer, executable) in &statics.layers {
        if !programs::is_root() {
            let reason = "needs root: loads probes, makes cgroups, takes user ids";
            rows.push(Row::skipped(layer, place, reason));
            continue;
        }
        eprintln!("x: {layer} on the host");
        let mut command = programs::command(executable);
        command
            .args(["--test-threads", "1", "--show-output"])
            .current_dir(project::root().join("tests"))
            .env("BELLJAR_BIN", &statics.belljar)
            .env("PATH", programs::path());
        let log = project::directory(project::target().join("test"))?.join(format!("{layer}.log"));
        let ended = supervised::run(command, &log, HOST_DEADLINE)?;
        rows.push(match ended.status {
            // A process that a signal ended has no code, which reads as a failure too.
            Some(status) => layers::read(layer, place, &ended.output, status.code()),
            None => {
                let reason = format!("stopped after {} s", HOST_DEADLINE.as_secs());
                Row::failed(layer, place, &ended.output, &reason)
            }
        });
    }
    Ok(rows)
}

/// Runs the layers in all machines at once: what waits in one leaves the processors to the others.
fn in_machines(statics: &Statics) -> Vec<Vec<Row>> {
    thread::scope(|scope| {
        let machines = Kernel::ALL.map(|kernel| scope.spawn(move || in_machine(kernel, statics)));
        machines.map(|machine| machine.join().unwrap_or_else(|panic| resume_unwind(panic))).into()
    })
}

/// A machine that cannot be had makes its layers skipped; one that breaks off makes them failed.
fn in_machine(kernel: Kernel, statics: &Statics) -> Vec<Row> {
    let place = kernel.to_string();
    let job = Job::layers(statics, None);
    match vm::boot(kernel, &job, VM_DEADLINE) {
        Ok(ended) => vm::layer_rows(kernel, &job, &ended),
        Err(error) => {
            let reason = format!("{error:#}");
            statics.layers.iter().map(|(layer, _)| Row::skipped(layer, &place, &reason)).collect()
        }
    }
}
