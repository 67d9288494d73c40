//! What a model may use up, beside the calls and the time of [`crate::Limits`].

use super::conversation::Usage;

/// What a million tokens cost, in one currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Of what is read.
    pub input: f64,
    /// Of what is written.
    pub output: f64,
}

/// What a model may use up. It is checked before each request, so the last one may go beyond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Replies.
    pub turns: u64,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
    /// Money, and what tokens cost.
    pub money: Option<(f64, Price)>,
}

/// What it has used up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    turns: u64,
    input: u64,
    output: u64,
}

/// Bytes of a token, roughly, for servers that do not count.
const TOKEN_BYTES: u64 = 4;

impl Spent {
    /// Adds a reply; what the server did not count is estimated from the sizes in bytes.
    pub(crate) fn add(&mut self, usage: Usage, request_bytes: u64, reply_bytes: u64) {
        self.begin();
        self.count(usage, request_bytes, reply_bytes);
    }

    /// Adds a reply that is asked for.
    pub(crate) fn begin(&mut self) {
        self.turns += 1;
    }

    /// Takes a reply back that did not come.
    pub(crate) fn give_back(&mut self) {
        self.turns -= 1;
    }

    /// Adds what a reply took.
    pub(crate) fn count(&mut self, usage: Usage, request_bytes: u64, reply_bytes: u64) {
        self.input += usage.input.unwrap_or(request_bytes.div_ceil(TOKEN_BYTES));
        self.output += usage.output.unwrap_or(reply_bytes.div_ceil(TOKEN_BYTES));
    }
}

impl Budget {
    /// What is used up, if anything is, in words that end "was ended: ".
    pub(crate) fn exhausted(&self, spent: &Spent) -> Option<String> {
        if spent.turns >= self.turns {
            return Some(format!("its {} turns are used up", self.turns));
        }
        if let Some(tokens) = self.tokens
            && spent.input + spent.output >= tokens
        {
            return Some(format!("its {tokens} tokens are used up"));
        }
        if let Some((limit, price)) = self.money {
            let cost =
                (spent.input as f64 * price.input + spent.output as f64 * price.output) / 1e6;
            if cost >= limit {
                return Some(format!("its budget of {limit} is used up: {cost:.4} were spent"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_budget_ends_when_it_is_reached() {
        let mut spent = Spent::default();
        spent.add(Usage { input: Some(900_000), output: None }, 7, 400_000);
        assert_eq!(spent, Spent { turns: 1, input: 900_000, output: 100_000 });
        let all = Budget { turns: 2, tokens: None, money: None };
        assert_eq!(all.exhausted(&spent), None);
        let turns = Budget { turns: 1, ..all };
        assert_eq!(turns.exhausted(&spent).unwrap(), "its 1 turns are used up");
        let tokens = |tokens| Budget { tokens: Some(tokens), ..all };
        assert!(tokens(1_000_000).exhausted(&spent).is_some());
        assert!(tokens(1_000_001).exhausted(&spent).is_none());
        let price = Price { input: 1.0, output: 10.0 };
        let money = |limit| Budget { money: Some((limit, price)), ..all };
        assert!(money(1.9).exhausted(&spent).is_some());
        assert!(money(1.91).exhausted(&spent).is_none());
    }
}
