//! How a language model is asked, and what it may use up.

use std::path::PathBuf;

use agent_runner::llm::Price;
use clap::Args;

#[derive(Debug, Args)]
#[command(next_help_heading = "Language models")]
pub(crate) struct ModelArgs {
    /// Give a wrapped command a model, `openai/NAME`, `anthropic/NAME`, or `*` for every NAME: it finds
    /// it by OPENAI_BASE_URL or ANTHROPIC_BASE_URL, and the key stays outside
    #[arg(long, value_name = "PROVIDER/MODEL")]
    pub(crate) model: Option<String>,
    /// The server's address, for any that speaks the provider's wire format (default: the
    /// provider's own)
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// A file with the server's key (default: the variable OPENAI_API_KEY or ANTHROPIC_API_KEY)
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// How freely the model chooses its words (default: the server's)
    #[arg(long, value_name = "T", value_parser = amount)]
    pub(crate) temperature: Option<f64>,
    /// Most tokens of one reply (default: the server's; for Anthropic 8192)
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u32>,
    /// End the agent after so many replies (default: the scenario's turns; no limit for a wrapped command)
    #[arg(long, value_name = "N")]
    pub(crate) budget_turns: Option<u64>,
    /// End the agent when so many tokens were read and written
    #[arg(long, value_name = "N")]
    pub(crate) budget_tokens: Option<u64>,
    /// End the agent when its tokens have cost so much, in the currency of --price
    #[arg(long, value_name = "AMOUNT", requires = "price", value_parser = amount)]
    pub(crate) budget_money: Option<f64>,
    /// What a million tokens cost, read and written
    #[arg(long, value_name = "INPUT,OUTPUT", value_parser = price)]
    pub(crate) price: Option<Price>,
}

impl ModelArgs {
    /// A flag that was given and means nothing without a model.
    pub(crate) fn for_models_alone(&self) -> Option<&'static str> {
        let none = self.model.is_none();
        let flags = [
            ("--base-url", none && self.base_url.is_some()),
            ("--api-key-file", none && self.api_key_file.is_some()),
            // A wrapped command chooses these itself.
            ("--temperature", self.temperature.is_some()),
            ("--max-tokens", self.max_tokens.is_some()),
            ("--budget-turns", none && self.budget_turns.is_some()),
            ("--budget-tokens", none && self.budget_tokens.is_some()),
            ("--budget-money", none && self.budget_money.is_some()),
            ("--price", none && self.price.is_some()),
        ];
        flags.into_iter().find_map(|(flag, given)| given.then_some(flag))
    }
}

/// `2.5`. A budget that is no number would never be used up.
fn amount(text: &str) -> Result<f64, &'static str> {
    let number = text.trim().parse().ok();
    number.filter(|number: &f64| number.is_finite() && *number >= 0.0).ok_or("not a number from 0")
}

/// `2.5,10`.
fn price(text: &str) -> Result<Price, &'static str> {
    let (input, output) = text.split_once(',').ok_or("two numbers are wanted, such as 2.5,10")?;
    Ok(Price { input: amount(input)?, output: amount(output)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_two_numbers() {
        assert_eq!(price("2.5, 10"), Ok(Price { input: 2.5, output: 10.0 }));
        for text in ["", "1", "1,x", "-1,2", "1,inf"] {
            assert!(price(text).is_err(), "{text}");
        }
    }
}
