//! Playing the script.

use serde_json::{Value, json};

use super::{Organism, Step, Variables};
use crate::{
    agent::{Agent, AgentError, Surroundings, Turn},
    tools::ToolResult,
};

/// A variable was used that has no value: no step captured one, or it found nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the variable `{variable}` has no value: guard what uses it with `when = {{ exists = … }}`"
)]
pub struct NoValue {
    /// The variable.
    pub variable: String,
}

/// An organism at work.
#[derive(Debug)]
pub struct OrganismAgent {
    organism: Organism,
    variables: Variables,
    /// How the last call ended, if there was one.
    last_ok: Option<bool>,
    /// The step, from 0; past the last one comes the report.
    step: usize,
    round: u32,
    at: At,
    /// How often the user has said something.
    heard: u32,
}

/// Where in a step the script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Begin,
    Say,
    Call,
    Capture,
    Wait,
    Round,
    End,
}

impl OrganismAgent {
    pub(crate) fn new(organism: Organism, variables: Variables) -> Self {
        Self { organism, variables, last_ok: None, step: 0, round: 0, at: At::Begin, heard: 1 }
    }

    /// What was captured and what the scenario gave.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    fn advance(&mut self) {
        self.step += 1;
        self.round = 0;
        self.at = At::Begin;
    }

    /// Goes on to the next turn; none where there is nothing to do at this point of the step.
    fn go_on(&mut self, last: Option<&ToolResult>) -> Result<Option<Turn>, NoValue> {
        let Some(step) = self.organism.steps.get(self.step) else {
            return self.report().map(Some);
        };
        if step.turn > self.heard {
            return Ok(Some(Turn::Finish));
        }
        match self.at {
            At::Begin => {
                if step.when.hold(&self.variables, self.last_ok)? {
                    self.at = At::Say;
                } else {
                    self.advance();
                }
            }
            At::Say => {
                self.at = At::Call;
                let say = step.say.as_ref().map(|say| say.text(&self.variables)).transpose()?;
                return Ok(say.map(Turn::Say));
            }
            At::Call => match &step.call {
                None => self.at = At::Wait,
                Some(call) => {
                    let tool = call.tool.name.to_owned();
                    let arguments = call.arguments.value(&self.variables)?;
                    self.at = At::Capture;
                    return Ok(Some(Turn::Call { tool, arguments }));
                }
            },
            At::Capture => {
                self.at = At::Wait;
                if let Some(result) = last {
                    self.last_ok = Some(result.ok);
                    let captured = captured(step, &result.value, &self.variables)?;
                    for (name, value) in captured {
                        match value {
                            Some(value) => self.variables.insert(name, value),
                            None => self.variables.remove(&name),
                        };
                    }
                }
            }
            At::Wait => {
                self.at = At::Round;
                return Ok((!step.wait.is_zero()).then_some(Turn::Wait(step.wait)));
            }
            At::Round => {
                self.round += 1;
                let again = match &step.repeat {
                    None => false,
                    Some(repeat) => {
                        let ended = match &repeat.until {
                            Some(until) => until.hold(&self.variables, self.last_ok)?,
                            None => false,
                        };
                        self.round < repeat.times && !ended
                    }
                };
                if again {
                    self.at = At::Say;
                } else {
                    self.advance();
                }
            }
            At::End => return Ok(Some(Turn::Finish)),
        }
        Ok(None)
    }

    fn report(&mut self) -> Result<Turn, NoValue> {
        let Some(report) = self.organism.report.as_ref().filter(|_| self.at != At::End) else {
            return Ok(Turn::Finish);
        };
        self.at = At::End;
        let mut effects = Vec::new();
        for effect in &report.effects {
            if effect.when.hold(&self.variables, self.last_ok)? {
                let object = effect.object.text(&self.variables)?;
                effects.push(json!({ "verb": effect.verb.name(), "object": object }));
            }
        }
        let summary = report.summary.text(&self.variables)?;
        let arguments = json!({ "summary": summary, "effects": effects });
        Ok(Turn::Call { tool: "submit_report".to_owned(), arguments })
    }
}

fn captured(
    step: &Step,
    value: &Value,
    variables: &Variables,
) -> Result<Vec<(String, Option<Value>)>, NoValue> {
    step.captures
        .iter()
        .map(|(name, selector)| Ok((name.text.clone(), selector.select(value, variables)?)))
        .collect()
}

impl Agent for OrganismAgent {
    fn next(
        &mut self,
        last: Option<&ToolResult>,
        _: &mut Surroundings<'_>,
    ) -> Result<Turn, AgentError> {
        loop {
            if let Some(turn) = self.go_on(last)? {
                return Ok(turn);
            }
        }
    }

    fn hear(&mut self, _: &str) -> bool {
        self.heard += 1;
        self.at != At::End
    }
}
