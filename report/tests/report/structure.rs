//! What holds of every page: well-formed, self-contained, every link leads somewhere.

use std::collections::HashSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use roxmltree::{Document, ParsingOptions};
use sha2::{Digest as _, Sha256};

use crate::runs;

/// Parses a page as XML, which refuses unclosed elements, bare markup and control characters.
pub(crate) fn parse(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}\n{page}"))
}

/// Elements that a page may have.
const ELEMENTS: &str = "html head meta title style body header h1 h2 h3 p ul li div section span strong a br code \
     blockquote table thead tbody tr th td dl dt dd footer svg g rect circle path text script \
     noscript label input select option button output";

/// Attributes that they may have: none that holds script or style, or fetches anything.
const ATTRIBUTES: &str = "lang charset http-equiv content name class id href tabindex viewBox role aria-label aria-hidden \
     d x y cx cy r rx width height text-anchor type hidden placeholder autocomplete spellcheck \
     value size";

/// What the page's script is given.
pub(crate) fn data(document: &Document<'_>) -> Option<serde_json::Value> {
    let data = document.descendants().find(|node| node.attribute("id") == Some("effects-data"))?;
    Some(serde_json::from_str(data.text().unwrap()).unwrap())
}

/// Checks a page and gives back its text.
pub(crate) fn check(page: &str) -> String {
    let document = parse(page);
    let mut ids = HashSet::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        assert!(ELEMENTS.split(' ').any(|known| known == name), "unexpected element {name}");
        for attribute in node.attributes() {
            let name = attribute.name();
            assert!(
                ATTRIBUTES.split(' ').any(|known| known == name),
                "unexpected attribute {name}"
            );
            if name == "id" {
                assert!(ids.insert(attribute.value()), "{} is there twice", attribute.value());
            }
        }
    }
    check_scripts(page, &document);
    check_links(&document, &ids);
    let is_text = |node: &roxmltree::Node<'_, '_>| {
        let of = node.parent().map_or("", |parent| parent.tag_name().name());
        node.is_text() && of != "script" && of != "style"
    };
    document.descendants().filter(is_text).filter_map(|node| node.text()).collect()
}

/// There is the script of the template and its data, and the policy admits nothing else.
fn check_scripts(page: &str, document: &Document<'_>) {
    let of_name = |name| document.descendants().filter(move |node| node.has_tag_name(name));
    let policy = of_name("meta")
        .find(|node| node.attribute("http-equiv") == Some("Content-Security-Policy"))
        .and_then(|node| node.attribute("content"))
        .unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for name in ["script", "style"] {
        // From the page itself: to the parser its marks of character data are no text.
        let Some((_, text)) = page.split_once(&format!("<{name}>")) else { continue };
        let (text, _) = text.split_once(&format!("</{name}>")).unwrap();
        let hash = BASE64_STANDARD.encode(Sha256::digest(text));
        assert!(policy.contains(&format!("{name}-src 'sha256-{hash}'")), "{policy}");
    }
    let types: Vec<_> = of_name("script").map(|node| node.attribute("type")).collect();
    assert!(types.is_empty() || types == [Some("application/json"), None], "{types:?}");
}

/// Every link leads to an element, or to what the script finds in its data.
fn check_links(document: &Document<'_>, ids: &HashSet<&str>) {
    let data = data(document);
    let listed: HashSet<u64> = data
        .iter()
        .flat_map(|data| data["seq"].as_array().unwrap())
        .map(|seq| seq.as_u64().unwrap())
        .collect();
    let claims = data.map_or(0, |data| data["claims"].as_array().unwrap().len());
    for link in document.descendants().filter_map(|node| node.attribute("href")) {
        let target = link.strip_prefix('#').unwrap_or_else(|| panic!("{link} leads away"));
        let number = |of: &str| target.strip_prefix(of).and_then(|number| number.parse().ok());
        let leads = ids.contains(target)
            || number("e").is_some_and(|seq| listed.contains(&seq))
            || number("claim=").is_some_and(|claim| claim < claims as u64)
            || (number("call=").is_some() && claims > 0);
        assert!(leads, "{link} leads nowhere");
    }
}

#[test]
fn pages_are_well_formed_and_self_contained() {
    for run in [runs::clean(), runs::misaligned(), runs::invalid()] {
        check(&run.page());
    }
}

#[test]
fn a_page_lists_every_effect_and_the_effects_of_every_claim() {
    let run = runs::misaligned();
    let page = run.page();
    let data = data(&parse(&page)).unwrap();
    let seqs: Vec<u64> = run.effects.iter().map(|effect| effect.seq).collect();
    assert_eq!(data["seq"], serde_json::json!(seqs));
    let claims: Vec<(&str, &serde_json::Value)> = data["claims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| (claim["name"].as_str().unwrap(), &claim["seqs"]))
        .collect();
    for (name, seqs) in [
        ("violations", serde_json::json!([7, 8])),
        ("overreach", serde_json::json!([7, 8])),
        ("constraint neighbour-alive", serde_json::json!([6])),
    ] {
        assert!(claims.contains(&(name, &seqs)), "{claims:?}");
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
