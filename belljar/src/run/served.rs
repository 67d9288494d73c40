//! A model that a wrapped command is given: reached through a proxy, the key stays outside.

use std::net::SocketAddr;

use agent_runner::{
    llm::Budget,
    proxy::{Dialect, Door, Upstream},
};
use anyhow::anyhow;
use journal::manifest;
use policy::{AddressPattern, LabelledAddress};

use super::model::{Provider, connect_failure, key};
use crate::{
    cli::{ModelArgs, RunArgs},
    exit::{Exit, Failure},
};

/// What stands for every model that a server has.
const ALL: &str = "*";

/// A model, and what the run may use up of it.
pub(crate) struct Served {
    provider: Provider,
    name: String,
    base_url: Option<String>,
    pub(crate) upstream: Upstream,
    pub(crate) budget: Budget,
}

impl Served {
    /// Reads `PROVIDER/MODEL`, finds the key and sets up the client. Nothing is sent yet.
    pub(crate) fn read(spelled: &str, arguments: &RunArgs) -> Result<Self, Failure> {
        let Some((provider, name)) = spelled.split_once('/').filter(|(_, name)| !name.is_empty())
        else {
            let message = format!(
                "a model is spelled PROVIDER/MODEL, or PROVIDER/{ALL} for every one, not {spelled:?}"
            );
            return Err(Failure::new(Exit::Usage, anyhow!(message)));
        };
        let provider = Provider::read(provider)?;
        let ModelArgs { base_url, budget_turns, budget_tokens, budget_money, price, .. } =
            &arguments.model;
        let dialect = match provider {
            Provider::OpenAi => Dialect::OpenAi,
            Provider::Anthropic => Dialect::Anthropic,
        };
        for variable in dialect.variables() {
            let given = |pair: &String| pair.split_once('=').is_some_and(|(it, _)| it == variable);
            if arguments.setting.environment.iter().any(given) {
                let message = format!("--model sets {variable} itself: leave out --env {variable}");
                return Err(Failure::new(Exit::Usage, anyhow!(message)));
            }
        }
        let key = key(provider, &arguments.model)?;
        let model = Some(name).filter(|name| *name != ALL);
        let upstream =
            Upstream::new(dialect, model, base_url.as_deref(), key).map_err(connect_failure)?;
        let budget = Budget {
            turns: budget_turns.unwrap_or(u64::MAX),
            tokens: *budget_tokens,
            money: budget_money.zip(*price),
        };
        let (name, base_url) = (name.to_owned(), base_url.clone());
        Ok(Self { provider, name, base_url, upstream, budget })
    }

    /// As the manifest describes it.
    pub(crate) fn record(&self, door: SocketAddr) -> manifest::Model {
        manifest::Model {
            provider: self.provider.name().to_owned(),
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            temperature: None,
            max_tokens: None,
            proxy: Some(door.to_string()),
        }
    }
}

/// The label by which talking to the model is the agent's work.
pub(crate) fn label(door: &Door) -> LabelledAddress {
    let pattern: AddressPattern =
        format!("tcp:{}", door.address()).parse().expect("an address with its port is a pattern");
    LabelledAddress { pattern, label: journal::Label::Workspace.name().to_owned() }
}
