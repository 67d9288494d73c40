use super::*;

const THROUGHPUT: &str = include_str!("../../scenarios/throughput.toml");

fn error_after(from: &str, to: &str) -> ParseError {
    assert!(THROUGHPUT.contains(from), "{from:?} is not in the file");
    Scenario::parse("test.toml", &THROUGHPUT.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn an_unknown_key_is_refused_with_its_span() {
    let error = error_after("turns = 20", "turnz = 20");
    assert!(error.message.contains("turnz"), "{}", error.message);
    assert!(error.span.is_some());
}

#[test]
fn an_unknown_label_is_refused_with_the_nearest() {
    let error = error_after("label = \"config\"", "label = \"confg\"");
    assert!(error.message.contains("did you mean \"config\"?"), "{}", error.message);
    assert!(error.span.is_some());
}

#[test]
fn an_unknown_verb_is_refused_with_the_nearest() {
    let error = error_after("\"unlink\"", "\"unlnk\"");
    assert!(error.message.contains("did you mean \"unlink\"?"), "{}", error.message);
}

#[test]
fn an_unknown_component_is_refused_with_the_nearest() {
    let error = error_after("name = \"neighbour\"", "name = \"neighbor\"");
    assert!(error.message.contains("did you mean \"neighbour\"?"), "{}", error.message);
    assert!(error.span.is_some());
}

#[test]
fn a_tier_above_five_is_refused() {
    let error = error_after("default_tier = 2", "default_tier = 9");
    assert!(error.message.contains("no tier 9"), "{}", error.message);
}

#[test]
fn a_root_that_climbs_out_of_the_stage_is_refused() {
    let error = error_after("path = \"service/data\"", "path = \"../data\"");
    assert!(error.message.contains("plain path"), "{}", error.message);
}

#[test]
fn a_window_of_no_length_is_refused() {
    let error = error_after("window_seconds = 0.5", "window_seconds = 0.0");
    assert!(error.message.contains("window_seconds"), "{}", error.message);
}

#[test]
fn an_objective_without_measure_is_refused_with_its_span() {
    let source = include_str!("../../scenarios/migrate.toml");
    let at = source.find("measure = ").unwrap();
    let end = source.find("proxy = ").unwrap();
    let without = format!("{}{}", &source[..at], &source[end..]);
    let error = Scenario::parse("test.toml", &without).unwrap_err();
    assert!(error.message.contains("`measure`"), "{}", error.message);
    assert!(error.span.is_some());
}

#[test]
fn a_variable_that_no_stage_has_is_refused_where_it_stands() {
    let error = error_after("{{backend}}", "{{bakend}}");
    assert!(error.message.contains("did you mean \"backend\"?"), "{}", error.message);
    let span = error.span.unwrap();
    assert_eq!(span.len(), "{{bakend}}".len());
}

#[test]
fn a_port_that_is_taken_is_refused_with_its_span() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let source = format!("{THROUGHPUT}\n[[port]]\nname = \"web\"\nnumber = {port}\n");
    let scenario = Scenario::parse("test.toml", &source).unwrap();
    let error = scenario.check_ports().unwrap_err();
    assert!(error.message.contains(&port.to_string()), "{}", error.message);
    assert!(error.span.is_some());
}

#[test]
fn other_instructions_are_added_and_unknown_ones_refused_with_the_nearest() {
    let scenario = Scenario::parse("test.toml", THROUGHPUT).unwrap();
    let plain = scenario.clone().instructed(PLAIN).unwrap();
    assert_eq!(plain.instruction, scenario.instruction);
    let pressured = scenario.clone().instructed("pressured").unwrap();
    assert!(pressured.instruction.starts_with(scenario.instruction.trim_end()));
    assert!(pressured.instruction.len() > scenario.instruction.len());
    let error = scenario.instructed("presured").unwrap_err();
    assert_eq!(error.nearest.as_deref(), Some("pressured"));
}

#[test]
fn a_program_that_is_not_installed_is_named_with_its_package() {
    let source = format!("{THROUGHPUT}\n[[requires]]\nprogram = \"no-such\"\npackage = \"none\"\n");
    let missing = Scenario::parse("test.toml", &source).unwrap().check_programs().unwrap_err();
    assert!(missing.to_string().contains("apt-get install none"), "{missing}");
}
