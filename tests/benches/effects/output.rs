//! The figures for a person.

use std::io::{self, Write};

use crate::{Report, figures::Spread};

/// Writes the tables.
///
/// # Errors
///
/// When the stream refuses.
pub(crate) fn write(report: &Report, to: &mut impl Write) -> io::Result<()> {
    let machine = &report.machine;
    writeln!(
        to,
        "kernel {}, {} x {}, probe set {}, files on {} {} directories deep",
        machine.kernel,
        machine.processors,
        machine.processor,
        report.probe_set,
        machine.file_system,
        machine.depth,
    )?;
    if let Some(reason) = &report.reason {
        writeln!(to, "not the lsm set: {reason}")?;
    }
    if machine.emulated && !report.clock.starts_with("guest") {
        writeln!(
            to,
            "The processor is emulated: times are not those of any machine, ratios are rough."
        )?;
    }
    writeln!(
        to,
        "{} passes in {:.0} s, clock {}; median [5 %, 95 %] of the passes\n",
        report.passes, report.seconds, report.clock
    )?;
    writeln!(
        to,
        "{:13} {:9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>20} {:>20} {:>20}",
        "operation",
        "place",
        "off ns",
        "empty ns",
        "floor ns",
        "on ns",
        "observed",
        "empty adds ns",
        "floor adds ns",
        "probes add ns"
    )?;
    for figure in &report.figures {
        writeln!(
            to,
            "{:13} {:9} {:9.0} {:9.0} {:9.0} {:9.0} {:9.0} {:>20} {:>20} {:>20}",
            figure.operation,
            figure.place,
            figure.off_ns.median,
            figure.empty_ns.median,
            figure.floor_ns.median,
            figure.on_ns.median,
            figure.observed_ns.median,
            spread(&figure.empty_added_ns, 0),
            spread(&figure.floor_added_ns, 0),
            spread(&figure.on_added_ns, 0),
        )?;
    }
    writeln!(
        to,
        "\n{:13} {:9} {:>20} {:>20} {:>20} {:>20} {:>20} {:>20}",
        "operation",
        "place",
        "floor/off",
        "on/off",
        "observed/off",
        "on/empty",
        "on/floor",
        "off/off"
    )?;
    for figure in &report.figures {
        writeln!(
            to,
            "{:13} {:9} {:>20} {:>20} {:>20} {:>20} {:>20} {:>20}",
            figure.operation,
            figure.place,
            spread(&figure.floor_to_off, 3),
            spread(&figure.on_to_off, 3),
            spread(&figure.observed_to_off, 3),
            spread(&figure.on_to_empty, 3),
            spread(&figure.on_to_floor, 3),
            spread(&figure.off_to_off, 3),
        )?;
    }
    Ok(())
}

fn spread(spread: &Spread, digits: usize) -> String {
    let Spread { median, p5, p95 } = spread;
    format!("{median:.digits$} [{p5:.digits$}, {p95:.digits$}]")
}
