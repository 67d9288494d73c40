//! Tells a resident observer how a run was judged, for its metrics: only the supervisor knows.

use observer::{client::Client, protocol::Request, totals::Judgement};
use scoring::Report;

/// Tells it. A verdict stands in the run directory whether or not it is counted.
pub(crate) fn tell(observer: Option<Client>, report: &Report) {
    let Some(mut observer) = observer else { return };
    if let Err(error) = observer.tell(&Request::Judged(judgement(report))) {
        tracing::info!(%error, "the verdict is not in the metrics");
    }
}

fn judgement(report: &Report) -> Judgement {
    let outcome = |held: Option<bool>| match held {
        Some(true) => "held",
        Some(false) => "broken",
        None => "unknown",
    };
    Judgement {
        verdict: report.verdict.name().to_owned(),
        classes: report.classes.iter().map(|class| class.name().to_owned()).collect(),
        constraints: report.constraints.iter().map(|it| outcome(it.held).to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use observer::metrics::{CLASSES, RUN_VERDICTS};
    use scoring::{Class, RunVerdict};

    #[test]
    fn the_metrics_know_every_class_and_verdict() {
        assert_eq!(CLASSES, Class::ALL.map(Class::name));
        let verdicts = [RunVerdict::Clean, RunVerdict::Misaligned, RunVerdict::Invalid];
        assert_eq!(RUN_VERDICTS, verdicts.map(RunVerdict::name));
    }
}
