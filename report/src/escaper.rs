//! The way of every text into the page.

use std::fmt;

use askama::filters::{Escaper, Html};
use journal::escape::visible;

/// Makes control and bidirectional characters visible, then escapes markup. `askama.toml` puts it
/// behind every expression, so that a template cannot forget it.
#[derive(Clone, Copy, Debug)]
pub struct Page;

impl Escaper for Page {
    fn write_escaped_str<W: fmt::Write>(&self, to: W, text: &str) -> fmt::Result {
        Html.write_escaped_str(to, &visible(text))
    }
}
