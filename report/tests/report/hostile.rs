//! Whatever the agent wrote, it neither commands a terminal nor becomes markup.

use journal::{
    Effect, Verb, Verdict,
    scenario::{DeclaredEffect, LeftProcess},
};

use crate::{
    golden,
    runs::{self, Run, effect, file},
    structure,
};

/// What an agent may try to slip into a report.
pub(crate) const ATTACKS: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'/><svg onload=alert(1)>",
    "</title></style></svg><h1>clean</h1>",
    "{{ report.run }}&lt;&#60;&amp;",
    "\u{1b}[2J\u{1b}[1;32mclean\u{9b}0m\u{7}",
    "\u{202e}naelc si nur sihT\u{2066}\u{200f}\u{feff}",
    "a\nRun k3v9x2aa is clean.\r\n\nEvidence: complete\u{2028}\u{85}",
    "x'; \u{0}\t\u{8}--> ]]> <!--",
];

/// A run with the attack in every place that others than Belljar write.
pub(crate) fn attacked(attack: &str) -> Run {
    let mut run = runs::misaligned();
    let text = || format!("lead {attack} end");
    let record = &mut run.record;
    record.manifest.command = vec![text()];
    record.manifest.agent = text();
    record.manifest.invalid = vec![text()];
    record.manifest.probe_set_reason = Some(text());
    for words in record.manifest.enforcers.values_mut() {
        *words = text();
    }
    for call in &mut record.calls {
        call.tool = text();
    }
    record.scenario.instruction = text();
    let objective = record.scenario.objective.as_mut().unwrap();
    (objective.name, objective.unit) = (text(), text());
    for constraint in &mut record.scenario.constraints {
        (constraint.name, constraint.description) = (text(), text());
        if let journal::scenario::Judged::State { evidence, word_of, .. } = &mut constraint.judged {
            (*evidence, *word_of) = (text(), Some(text()));
        }
    }
    record.declared.summary = text();
    record.declared.effects = vec![DeclaredEffect { verb: Verb::Unlink, object: text() }];
    record.problems = vec![text()];
    record.evidence.as_mut().unwrap().problems = vec![text()];
    record.persistence.as_mut().unwrap().processes =
        vec![LeftProcess { tgid: 1, call: 1, comm: text(), command_line: text() }];
    for effect in &mut run.effects {
        effect.subject.comm = text();
        effect.subject.exe = Some(text());
        effect.outcome = Some(text());
        effect.reason = text();
        effect.object.path = Some(text());
        effect.object.to = Some(text());
        effect.object.to_label = Some(text());
    }
    run.effects.push(Effect {
        component: Some(text()),
        verdict: Verdict::Deny,
        ..effect(90, 17.0, 1, Verb::Unlink, file(&text(), &text()))
    });
    run
}

/// The characters that must not be in a report: they move a cursor, reorder, hide or end lines.
fn is_forbidden(character: char) -> bool {
    (character.is_control() && character != '\n')
        || "\u{202e}\u{2066}\u{200f}\u{feff}\u{2028}".contains(character)
}

#[test]
fn nothing_that_an_agent_writes_commands_a_terminal() {
    for attack in ATTACKS {
        let text = attacked(attack).text();
        assert!(text.contains("lead "), "{text}");
        assert!(!text.contains(is_forbidden), "{attack:?}\n{text:?}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

#[test]
fn nothing_that_an_agent_writes_begins_a_line_of_a_report() {
    let text = attacked("x\nEvidence: complete\nRun k3v9x2aa is clean.").text();
    let begins = |words: &str| text.lines().filter(|line| line.starts_with(words)).count();
    assert_eq!((begins("Evidence: "), begins("Run k3v9x2aa is ")), (1, 1), "{text}");
    assert!(!text.contains("\nRun k3v9x2aa is clean"), "{text}");
    assert!(text.contains("x\\x0aEvidence: complete\\x0aRun"), "{text}");
}

#[test]
fn nothing_that_an_agent_writes_becomes_markup() {
    for attack in ATTACKS {
        let page = attacked(attack).page();
        golden::keep("hostile", &page);
        assert!(!page.contains(is_forbidden), "{attack:?}");
        // Elements and attributes are those of the templates, whatever the attack.
        let text = structure::check(&page);
        let shown = journal::escape::visible(attack).into_owned();
        assert!(text.contains(&shown), "{shown:?}\n{text}");
    }
}

#[test]
fn an_attack_leaves_the_number_of_elements_as_it_is() {
    // The agent's summary is shown line by line, each in a paragraph.
    let elements = |page: &str| {
        let document = structure::parse(page);
        let nodes = document.descendants().filter(roxmltree::Node::is_element);
        nodes.filter(|node| !node.has_tag_name("p")).count()
    };
    let harmless = elements(&attacked("word").page());
    for attack in ATTACKS {
        assert_eq!(elements(&attacked(attack).page()), harmless, "{attack:?}");
    }
}

#[test]
fn deceptive_characters_are_shown_and_not_dropped() {
    let (text, page) = (attacked("a\u{202e}b\u{1b}c").text(), attacked("a\u{202e}b\u{1b}c").page());
    assert!(text.contains("a\\u{202e}b\\x1bc"), "{text}");
    assert!(page.contains("a\\u{202e}b\\x1bc"), "{page}");
}
