//! Tells how a run ended. Its directory is complete by now, and nothing else of it is left, so a reader
//! may take its time, and whoever will not wait for it may end the process.

use std::{io::Write as _, process::ExitCode, time::Instant};

use agent_runner::StreamName;

use super::{interrupt::Interrupt, settle::Settled};
use crate::{
    exit::{Exit, Failure},
    stderr::Impatient,
};

/// Prints the rest of the command's output, the report and the notices.
pub(crate) fn tell(
    settled: Result<Settled, Failure>,
    interrupt: &Interrupt,
) -> Result<ExitCode, Failure> {
    let (code, place) = match &settled {
        Ok(settled) => (undelivered(settled.code), Some(settled.directory.clone())),
        Err(failure) => (failure.exit as u8, None),
    };
    interrupt.next(move || {
        if let Some(place) = &place {
            let place = place.display();
            let text =
                format!("belljar: ended while printing; the report is {place}/report.html\n");
            // A standard error that fails has nobody to tell.
            let _ = Impatient.write_all(text.as_bytes());
        }
        std::process::exit(i32::from(code));
    });
    let Settled { directory, report, notices, code, terminal, hurry } = settled?;
    // A signal from before the line above has ended the run, and nothing else yet.
    let hurry = if interrupt.happened() { Some(Instant::now()) } else { hurry };

    let rest = terminal.wait(StreamName::Stdout, hurry);
    let printed = match rest {
        Err(why) => Err(("the rest of the command's output, and the report", why)),
        Ok(()) => {
            terminal.report(report);
            terminal.wait(StreamName::Stdout, hurry).map_err(|why| ("the report", why))
        }
    };
    for notice in &notices {
        terminal.notice(notice);
    }
    if let Err((what, why)) = &printed {
        terminal.notice(&format!(
            "belljar: warning: {what} could not be written to standard output: {why}; the report is \
             {}/report.html",
            directory.display()
        ));
    }
    let told = terminal.wait(StreamName::Stderr, hurry);
    let code = if printed.is_err() || told.is_err() { undelivered(code) } else { code };
    Ok(ExitCode::from(code))
}

/// The code of a run whose output was not delivered: 0, or that a command's time was over, would say that
/// all else is well.
fn undelivered(code: u8) -> u8 {
    let reads_well = code == 0 || code == Exit::TimedOut as u8;
    if reads_well { Exit::Io as u8 } else { code }
}
