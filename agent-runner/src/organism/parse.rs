//! From TOML to an organism.

use journal::Verb;
use toml::de::DeTable;

use super::{
    Call, Organism, Repeat, Report, ReportedEffect, Step,
    condition::Conditions,
    error::{Document, OrganismError, Problem},
    reader::{Reader, as_table, as_text},
    selector::Selector,
    template::{Name, Template, Tree},
};
use crate::tools::{TOOLS, Tool};

/// The format that this reads.
const VERSION: i64 = 1;

/// Longest pause of a step, seconds.
const MOST_WAIT_SECONDS: u32 = 600;

/// Most rounds of a step.
const MOST_TIMES: u32 = 1000;

const ORGANISM_KEYS: &[&str] = &["version", "name", "doc", "disposition", "step", "report"];
const STEP_KEYS: &[&str] =
    &["turn", "say", "tool", "arguments", "capture", "when", "wait_seconds", "repeat"];
const REPEAT_KEYS: &[&str] = &["times", "until"];
const REPORT_KEYS: &[&str] = &["summary", "effects"];
const EFFECT_KEYS: &[&str] = &["verb", "object", "when"];

pub(crate) fn organism(document: Document) -> Result<Organism, OrganismError> {
    let parsed = DeTable::parse(document.source()).map_err(|error| {
        let span = error.span().unwrap_or_default();
        document.error(span, Problem::Toml(error.message().to_owned()))
    })?;
    // The whole file as the place of what is missing would underline all of it.
    let reader = Reader::new(&document, parsed.get_ref(), 0..0, "the organism", ORGANISM_KEYS)?;
    match reader.integer("version")? {
        None => return Err(reader.missing("version")),
        Some((VERSION, _)) => {}
        Some((other, span)) => return Err(document.error(span, Problem::Version(other))),
    }
    let text = |key| reader.required_text(key).map(|(text, _)| text.to_owned());
    let (name, doc, disposition) = (text("name")?, text("doc")?, text("disposition")?);
    let mut steps: Vec<Step> = Vec::new();
    for node in reader.array("step")?.into_iter().flatten() {
        let (table, span) = as_table(&document, "step", node)?;
        let before = steps.last().map_or(1, |step| step.turn);
        steps.push(step(&Reader::new(&document, table, span, "the step", STEP_KEYS)?, before)?);
    }
    let report = reader.reader("report", REPORT_KEYS)?.as_ref().map(report).transpose()?;
    drop(parsed);
    Ok(Organism { name, doc, disposition, document, steps, report })
}

/// `before` is the turn of the step before, which it shares unless it says otherwise.
fn step(reader: &Reader<'_, '_>, before: u32) -> Result<Step, OrganismError> {
    let document = reader.document;
    let (turn, turn_span) = match reader.integer("turn")? {
        None => (before, reader.span()),
        Some((turn, span)) => match u32::try_from(turn) {
            Ok(turn) if turn >= before => (turn, span),
            _ => return Err(document.error(span, Problem::Backwards { turn, before })),
        },
    };
    let say = template(reader, "say")?;
    let call = call(reader)?;
    let wait = reader.seconds("wait_seconds", MOST_WAIT_SECONDS)?;
    if say.is_none() && call.is_none() && wait.is_none() {
        return Err(document.error(reader.span(), Problem::EmptyStep));
    }
    let mut captures = Vec::new();
    if let Some((table, _)) = reader.table("capture")? {
        if call.is_none() {
            let span = reader.key_span("capture");
            return Err(document.error(span, Problem::NeedsTool("capture")));
        }
        for (key, node) in table {
            let name = Name::new(document, key.get_ref(), key.span())?;
            let (selector, span) = as_text(document, key.get_ref(), node)?;
            captures.push((name, Selector::parse(document, selector, &span)?));
        }
    }
    Ok(Step {
        turn,
        turn_span,
        when: Conditions::parse(reader, "when")?,
        say,
        call,
        captures,
        wait: wait.unwrap_or_default(),
        repeat: reader.reader("repeat", REPEAT_KEYS)?.as_ref().map(repeat).transpose()?,
    })
}

fn template(reader: &Reader<'_, '_>, key: &str) -> Result<Option<Template>, OrganismError> {
    reader.text(key)?.map(|(text, span)| Template::parse(reader.document, text, &span)).transpose()
}

fn call(reader: &Reader<'_, '_>) -> Result<Option<Call>, OrganismError> {
    let document = reader.document;
    let arguments = reader.table("arguments")?;
    let Some((name, span)) = reader.text("tool")? else {
        return match arguments {
            None => Ok(None),
            Some(_) => {
                let span = reader.key_span("arguments");
                Err(document.error(span, Problem::NeedsTool("arguments")))
            }
        };
    };
    let tool = Tool::named(name).ok_or_else(|| {
        document.unknown("tool", name, span.clone(), TOOLS.iter().map(|tool| tool.name))
    })?;
    let mut given = Vec::new();
    for (key, value) in arguments.iter().flat_map(|(table, _)| table.iter()) {
        let names = || tool.arguments.iter().map(|argument| argument.name);
        if !names().any(|name| name == key.get_ref()) {
            return Err(document.unknown("argument", key.get_ref(), key.span(), names()));
        }
        given.push((key.get_ref().to_string(), Tree::parse(document, value)?));
    }
    for argument in tool.arguments.iter().filter(|argument| argument.required) {
        if !given.iter().any(|(name, _)| name == argument.name) {
            let problem = Problem::MissingArgument { tool: tool.name, argument: argument.name };
            return Err(document.error(span, problem));
        }
    }
    Ok(Some(Call { tool, arguments: Tree::Table(given) }))
}

fn repeat(reader: &Reader<'_, '_>) -> Result<Repeat, OrganismError> {
    let (times, span) = reader.integer("times")?.ok_or_else(|| reader.missing("times"))?;
    let bounds = Problem::Bounds { key: "times".to_owned(), least: 1, most: MOST_TIMES };
    let times = u32::try_from(times)
        .ok()
        .filter(|times| (1..=MOST_TIMES).contains(times))
        .ok_or_else(|| reader.document.error(span, bounds))?;
    // Without `until` the loop must not end early, and no conditions at all would always hold.
    let until = match reader.get("until") {
        None => None,
        Some(_) => Some(Conditions::parse(reader, "until")?),
    };
    Ok(Repeat { times, until })
}

fn report(reader: &Reader<'_, '_>) -> Result<Report, OrganismError> {
    let document = reader.document;
    let summary = template(reader, "summary")?.ok_or_else(|| reader.missing("summary"))?;
    let mut effects = Vec::new();
    for node in reader.array("effects")?.into_iter().flatten() {
        let (table, span) = as_table(document, "effects", node)?;
        let effect = Reader::new(document, table, span, "the effect", EFFECT_KEYS)?;
        let (verb, span) = effect.required_text("verb")?;
        let verb = Verb::from_name(verb).ok_or_else(|| {
            document.unknown("verb", verb, span, Verb::ALL.iter().map(|verb| verb.name()))
        })?;
        let object = template(&effect, "object")?.ok_or_else(|| effect.missing("object"))?;
        effects.push(ReportedEffect { verb, object, when: Conditions::parse(&effect, "when")? });
    }
    Ok(Report { summary, effects })
}
