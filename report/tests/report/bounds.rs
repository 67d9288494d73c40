//! A report stays readable, whatever the run.

use journal::{
    Effect, Verb, Verdict,
    scenario::{DeclaredEffect, LeftProcess},
};
use scoring::report::CallReport;

use crate::{
    golden,
    runs::{self, call, effect, file},
    structure,
};

const MANY: u64 = 100_000;

fn violation(seq: u64) -> Effect {
    let object = file("data", &format!("/srv/data/{seq}"));
    Effect {
        verdict: Verdict::Deny,
        ..effect(seq, 12.0 + seq as f64 * 1e-5, 5, Verb::Unlink, object)
    }
}

#[test]
fn a_hundred_thousand_notable_effects_are_bounded_and_the_rest_is_counted() {
    let run = runs::misaligned();
    let mut report = run.report();
    report.notable = (0..MANY).map(violation).collect();
    for (index, effect) in report.notable.iter_mut().enumerate() {
        effect.subject.tgid = index as u32;
    }
    report.violations = (0..MANY).collect();
    report.undeclared = (0..MANY).collect();
    for constraint in &mut report.constraints {
        constraint.seqs = (0..MANY).collect();
    }
    for evidence in report.class_evidence.values_mut() {
        evidence.seqs = (0..MANY).collect();
    }
    let text = report::text(&report, &run.record);
    assert!(text.len() < 20_000, "{}", text.len());
    assert!(
        text.contains("99980 more violations are not shown; report.json and effects.jsonl"),
        "{text}"
    );
    assert!(text.contains("99980 more observed effects are not shown"), "{text}");
    let page = report::page(&report, &run.record, run.effects.iter().cloned());
    golden::keep("many", &page);
    assert!(page.len() < 400_000, "{}", page.len());
    let text = structure::check(&page);
    assert!(text.contains("99800 more violations are not shown; effects.jsonl has all."), "{text}");
    assert!(text.contains("and 99988 more"), "{text}");
    assert!(text.contains("140 more processes are that acted not listed."), "{text}");
}

#[test]
fn what_is_done_once_is_shown_among_what_is_done_many_times() {
    let run = runs::misaligned();
    let mut report = run.report();
    report.notable = (0..60).map(violation).collect();
    report.notable[57].verb = Verb::Chmod;
    report.notable[58].object.label = "oversight".to_owned();
    report.notable[59].object.label = "oversight".to_owned();
    report.violations = (0..60).collect();
    let text = report::text(&report, &run.record);
    for seq in [0, 57, 58, 59] {
        assert!(text.contains(&format!("\n  #{seq} ")), "{seq} is not shown:\n{text}");
    }
    assert!(text.contains("40 more violations are not shown"), "{text}");
}

#[test]
fn many_calls_are_bounded_and_those_with_violations_come_first() {
    let mut run = runs::clean();
    run.record.calls = (1..=MANY).map(|number| call(number, "shell", 1.0, 0.1)).collect();
    let mut report = run.report();
    report.calls[77_000].did.violations = 1;
    let text = report::text(&report, &run.record);
    assert!(text.contains("99980 more calls are not shown, 0 of them with violations"), "{text}");
    assert!(text.contains("\n  77001 "), "{text}");
    let page = report::page(&report, &run.record, run.effects.iter().cloned());
    assert!(page.len() < 400_000, "{}", page.len());
    assert!(structure::check(&page).contains("99800 more calls are not shown"));
    for call in &mut report.calls {
        *call = CallReport { did: report.components[0].did.clone(), ..call.clone() };
        call.did.violations = 1;
    }
    let text = report::text(&report, &run.record);
    assert!(
        text.contains("99980 more calls are not shown, 99980 of them with violations"),
        "{text}"
    );
}

#[test]
fn what_the_agent_declares_and_leaves_behind_is_bounded() {
    let mut run = runs::misaligned();
    let object = |number| format!("/srv/{number}");
    run.record.declared.effects = (0..MANY)
        .map(|number| DeclaredEffect { verb: Verb::Unlink, object: object(number) })
        .collect();
    run.record.declared.summary = "word ".repeat(100_000);
    run.record.manifest.invalid = (0..MANY).map(|number| format!("Reason {number}.")).collect();
    run.record.calls[0].tool = "x".repeat(1_000_000);
    let process = LeftProcess { comm: "c".repeat(100_000), ..LeftProcess::default() };
    run.record.persistence.as_mut().unwrap().processes = vec![process; 1000];
    let text = run.text();
    assert!(text.len() < 40_000, "{}", text.len());
    assert!(text.contains("99980 more declared effects are not shown"), "{text}");
    assert!(text.contains("more reasons are not shown"), "{text}");
    let page = run.page();
    assert!(page.len() < 700_000, "{}", page.len());
    structure::check(&page);
}

#[test]
fn many_samples_make_a_small_drawing() {
    let mut run = runs::clean();
    let one = run.record.samples[20].clone();
    run.record.samples = (0..MANY)
        .map(|index| journal::scenario::Sample {
            boot_ns: one.boot_ns + index * 1_000_000,
            ..one.clone()
        })
        .collect();
    let page = run.page();
    assert!(page.len() < 200_000, "{}", page.len());
    structure::check(&page);
}

#[test]
fn a_proxy_beyond_all_measure_does_not_flatten_the_drawing() {
    let mut run = runs::misaligned();
    for sample in run.record.samples.iter_mut().skip(30) {
        sample.proxy = Some(1e300);
    }
    golden::keep("proxy", &run.page());
    let page = structure::check(&run.page());
    assert!(
        page.contains("The proxy goes up to 1.00e300 responses/s, beyond the drawing"),
        "{page}"
    );
    assert!(run.text().contains("proxy says 1.00e300 responses/s"), "{}", run.text());
}
