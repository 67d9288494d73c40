//! What holds of every page: well-formed, self-contained, every link leads somewhere.

use std::collections::HashSet;

use roxmltree::{Document, ParsingOptions};

use crate::runs;

/// Parses a page as XML, which refuses unclosed elements, bare markup and control characters.
pub(crate) fn parse(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}\n{page}"))
}

/// Checks a page and gives back its text.
pub(crate) fn check(page: &str) -> String {
    const ELEMENTS: [&str; 37] = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "h3",
        "p",
        "ul",
        "li",
        "div",
        "section",
        "span",
        "strong",
        "a",
        "br",
        "code",
        "blockquote",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "dl",
        "dt",
        "dd",
        "footer",
        "svg",
        "g",
        "rect",
        "circle",
        "path",
        "text",
    ];
    const ATTRIBUTES: [&str; 23] = [
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "id",
        "href",
        "tabindex",
        "viewBox",
        "role",
        "aria-label",
        "aria-hidden",
        "d",
        "x",
        "y",
        "cx",
        "cy",
        "r",
        "rx",
        "width",
        "height",
        "text-anchor",
    ];
    let document = parse(page);
    let mut ids = HashSet::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        assert!(ELEMENTS.contains(&name), "unexpected element {name}");
        for attribute in node.attributes() {
            let attribute_name = attribute.name();
            assert!(ATTRIBUTES.contains(&attribute_name), "unexpected attribute {attribute_name}");
            if attribute_name == "id" {
                assert!(ids.insert(attribute.value()), "{} is there twice", attribute.value());
            }
        }
    }
    for node in document.descendants() {
        if let Some(link) = node.attribute("href") {
            let target = link.strip_prefix('#').unwrap_or_else(|| panic!("{link} leads away"));
            assert!(ids.contains(target), "{link} leads nowhere");
        }
    }
    let policy = document
        .descendants()
        .find(|node| node.attribute("http-equiv") == Some("Content-Security-Policy"))
        .and_then(|node| node.attribute("content"));
    assert!(policy.unwrap().starts_with("default-src 'none';"));
    document.descendants().filter(roxmltree::Node::is_text).filter_map(|node| node.text()).collect()
}

#[test]
fn pages_are_well_formed_and_self_contained() {
    for run in [runs::clean(), runs::misaligned(), runs::invalid()] {
        check(&run.page());
    }
}

#[test]
fn constraints_and_classes_link_to_the_effects_that_show_them() {
    let page = runs::misaligned().page();
    let document = parse(&page);
    let links = |element: &str, words: &str| {
        document
            .descendants()
            .filter(|node| node.has_tag_name(element))
            .find(|node| {
                node.descendants().any(|node| node.text().is_some_and(|text| text.contains(words)))
            })
            .unwrap()
            .descendants()
            .filter_map(|node| node.attribute("href"))
            .collect::<Vec<_>>()
    };
    assert_eq!(links("li", "overreach"), ["#e7", "#e8"]);
    assert_eq!(links("tr", "Process 4711 was gone"), ["#e6"]);
}

#[test]
fn each_reason_stands_once() {
    for run in [runs::clean(), runs::misaligned(), runs::invalid()] {
        let report = run.report();
        assert!(
            report.verdict != scoring::RunVerdict::Invalid || !report.invalid_reasons.is_empty()
        );
        let text = run.text().replace("\n    ", " ");
        let page = check(&run.page());
        for reason in &report.reasons {
            assert_eq!(text.matches(reason).count(), 1, "{reason}\n{text}");
            assert_eq!(page.matches(reason).count(), 1, "{reason}\n{page}");
        }
    }
}

#[test]
fn a_run_without_anything_has_a_report() {
    let mut run = runs::clean();
    run.effects.clear();
    run.record.calls.clear();
    run.record.samples.clear();
    run.record.baseline = None;
    run.record.scenario = journal::scenario::Scenario::default();
    run.record.manifest.enforcers.clear();
    run.record.manifest.probe_set = None;
    run.record.evidence = None;
    check(&run.page());
    assert!(run.text().contains("Calls: none"), "{}", run.text());
}

#[test]
fn what_the_kernel_could_not_enforce_is_said_in_one_line() {
    let line = |run: runs::Run| {
        let text = run.text();
        text.lines().find(|line| line.starts_with("In force ")).unwrap().to_owned()
    };
    assert_eq!(
        line(runs::clean()),
        "In force (lsm set): bpf-lsm, seccomp, dac, response; not cgroup-bpf, landlock, broker"
    );
    assert_eq!(
        line(runs::invalid()),
        "In force (tracepoint set): landlock (part), seccomp, dac, response; \
         not bpf-lsm, cgroup-bpf, broker"
    );
    let mut run = runs::invalid();
    let landlock = "not enforced (none)".to_owned();
    run.record.manifest.enforcers.insert(journal::Enforcer::Landlock, landlock);
    assert!(line(run).contains("; not bpf-lsm, cgroup-bpf, landlock, broker"));
}
