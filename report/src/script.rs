//! What of the page is no data: its script and its style, and the policy that admits only them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

/// The script, as it stands in its element.
pub(crate) const SCRIPT: &str = include_str!("../templates/report.js");

/// The style sheet, likewise.
pub(crate) const STYLE: &str = include_str!("../templates/report.css");

/// The page's Content-Security-Policy: nothing is fetched, nothing but these two texts is style or
/// script, and no text becomes markup by a script.
pub(crate) fn policy() -> String {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        source(SCRIPT),
        source(STYLE)
    )
}

pub(crate) fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}
