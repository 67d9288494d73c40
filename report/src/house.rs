//! What pages of other crates share with those of a run: their style, the way of every text into them,
//! and the policy that keeps them to themselves.

pub use crate::escaper::Page as Escape;
use crate::script::{self, STYLE};

/// The style sheet, with `more` behind it.
#[must_use]
pub fn style(more: &str) -> String {
    format!("{STYLE}{more}")
}

/// The Content-Security-Policy of a page without script: nothing is fetched, and nothing but this text
/// is style.
#[must_use]
pub fn policy(style: &str) -> String {
    format!(
        "default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'",
        script::source(style)
    )
}
