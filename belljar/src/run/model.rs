//! A language model, as the command line asks for it.

use std::{fs::File, io::Read as _, os::unix::fs::PermissionsExt as _, path::Path};

use agent_runner::{
    llm::{Anthropic, ApiKey, Budget, ConnectError, LlmAgent, Model, OpenAi, Retries, Sampling},
    tools,
};
use anyhow::{Context as _, anyhow};
use journal::{Tier, manifest};

use crate::{
    cli::{ModelArgs, RunArgs},
    exit::{Exit, Failure, OrExit as _},
};

/// Whose wire format a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    OpenAi,
    Anthropic,
}

impl Provider {
    pub(super) fn read(name: &str) -> Result<Self, Failure> {
        match name {
            "openai" => Ok(Self::OpenAi),
            "anthropic" => Ok(Self::Anthropic),
            _ => {
                let message = format!(
                    "no provider is called {name:?}: there are openai, which most servers speak, \
                     and anthropic"
                );
                Err(Failure::new(Exit::Usage, anyhow!(message)))
            }
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The variable that holds the key.
    fn variable(self) -> &'static str {
        match self {
            Self::OpenAi => "OPENAI_API_KEY",
            Self::Anthropic => "ANTHROPIC_API_KEY",
        }
    }
}

/// A model that can be asked.
pub(crate) struct PlannedModel {
    provider: Provider,
    name: String,
    sampling: Sampling,
    base_url: Option<String>,
    model: Option<Box<dyn Model>>,
    budget: Budget,
}

impl PlannedModel {
    /// Reads `PROVIDER/MODEL`, finds the key and sets up the client. Nothing is sent yet.
    pub(crate) fn read(spelled: &str, arguments: &RunArgs, turns: u32) -> Result<Self, Failure> {
        let ModelArgs { base_url, temperature, max_tokens, .. } = &arguments.model;
        let Some((provider, name)) = spelled.split_once('/').filter(|(_, name)| !name.is_empty())
        else {
            let message = format!("a model is spelled llm:PROVIDER/MODEL, not \"llm:{spelled}\"");
            return Err(Failure::new(Exit::Usage, anyhow!(message)));
        };
        let provider = Provider::read(provider)?;
        let sampling = Sampling {
            temperature: *temperature,
            max_tokens: *max_tokens,
            seed: arguments.setting.seed(),
        };
        let key = key(provider, &arguments.model)?;
        let base_url = base_url.clone();
        let url = base_url.as_deref();
        let model: Result<Box<dyn Model>, ConnectError> = match provider {
            Provider::OpenAi => {
                OpenAi::new(name, url, key, sampling).map(|model| Box::new(model) as _)
            }
            Provider::Anthropic => {
                Anthropic::new(name, url, key, sampling).map(|model| Box::new(model) as _)
            }
        };
        let model = model.map_err(connect_failure)?;
        let ModelArgs { budget_turns, budget_tokens, budget_money, price, .. } = &arguments.model;
        let budget = Budget {
            turns: budget_turns.unwrap_or(turns.into()),
            tokens: *budget_tokens,
            money: budget_money.zip(*price),
        };
        Ok(Self { provider, name: name.to_owned(), sampling, base_url, model: Some(model), budget })
    }

    /// As the manifest names the agent.
    pub(crate) fn agent_name(&self) -> String {
        format!("llm:{}/{}", self.provider.name(), self.name)
    }

    /// As the manifest describes it.
    pub(crate) fn record(&self) -> manifest::Model {
        manifest::Model {
            provider: self.provider.name().to_owned(),
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            temperature: self.sampling.temperature,
            max_tokens: self.sampling.max_tokens,
            proxy: None,
        }
    }

    /// The agent that it becomes, once.
    pub(crate) fn agent(&mut self, instruction: &str, tier: Tier) -> LlmAgent {
        let model = self.model.take().expect("a run has one agent");
        let tools = tools::tools_for(tier);
        LlmAgent::new(model, instruction, tools, self.budget, Retries::default())
    }
}

/// Why a server could not be got ready to be asked.
pub(super) fn connect_failure(error: ConnectError) -> Failure {
    let exit = match error {
        ConnectError::Url(_) | ConnectError::Secret => Exit::Usage,
        ConnectError::Key => Exit::Configuration,
        ConnectError::Client(_) | ConnectError::Runtime(_) => Exit::Os,
    };
    Failure::new(exit, error)
}

/// The key: from the file that was named, else from the environment. A server of the user's own may
/// want none.
pub(super) fn key(provider: Provider, arguments: &ModelArgs) -> Result<Option<ApiKey>, Failure> {
    let variable = provider.variable();
    let text = match &arguments.api_key_file {
        Some(file) => Some(key_in(file)?),
        None => std::env::var(variable).ok().filter(|text| !text.is_empty()),
    };
    match text {
        Some(text) => ApiKey::new(&text).map(Some).or_exit(Exit::Configuration),
        None if arguments.base_url.is_some() => Ok(None),
        None => {
            let message = format!(
                "there is no key for {}: set {variable}, or name a file with --api-key-file",
                provider.name()
            );
            Err(Failure::new(Exit::Configuration, anyhow!(message)))
        }
    }
}

/// The key in a file, which the agent's user must not be able to read as well.
fn key_in(file: &Path) -> Result<String, Failure> {
    let said = || format!("cannot read the key in {}", file.display());
    let mut opened = File::open(file).with_context(said).or_exit(Exit::Data)?;
    let mode = opened.metadata().with_context(said).or_exit(Exit::Data)?.permissions().mode();
    if mode & 0o004 != 0 {
        let message = format!(
            "the key in {} can be read by everyone, and so by the agent: chmod o-r it",
            file.display()
        );
        return Err(Failure::new(Exit::Configuration, anyhow!(message)));
    }
    let mut text = String::new();
    opened.read_to_string(&mut text).with_context(said).or_exit(Exit::Data)?;
    Ok(text)
}
