//! The secrets that a policy names, found where it says that they are.

use std::{ffi::OsString, fs};

use anyhow::{Context as _, anyhow};
use journal::redact::{Redaction, SHORTEST_BYTES};
use policy::Policy;

use crate::exit::{Exit, Failure, OrExit as _};

/// Reads the secrets. `environment` is what the agent is given beside a clean one.
pub(super) fn resolve(
    policy: &Policy,
    environment: &[(OsString, OsString)],
) -> Result<Redaction, Failure> {
    let redact = policy.redact();
    let mut secrets = Vec::new();
    for name in &redact.environment {
        let given = environment.iter().filter(|(given, _)| given == name.as_str());
        let values = given.map(|(_, value)| value.clone()).chain(std::env::var_os(name));
        let mut values = values.peekable();
        if values.peek().is_none() {
            // It may be one that is not always set; that nothing is kept out must be told.
            tracing::warn!(name, "the policy redacts a variable that is not set");
        }
        for value in values {
            secrets.push(secret(value, &format!("the variable {name}"))?);
        }
    }
    for path in &redact.files {
        let what = format!("the file {}", path.display());
        let text = fs::read(path)
            .with_context(|| format!("cannot read {}, which the policy redacts", path.display()))
            .or_exit(Exit::Data)?;
        let text = String::from_utf8(text)
            .map_err(|_| anyhow!("{what}, which the policy redacts, is not UTF-8"))
            .or_exit(Exit::Data)?;
        let whole = secret(text.trim().into(), &what)?;
        // Of a key of many lines each one may be written alone.
        let lines = whole.lines().filter(|line| line.len() >= SHORTEST_BYTES);
        secrets.extend(lines.map(str::to_owned));
        secrets.push(whole);
    }
    if let Some(place) = secrets.iter().position(|secret| policy.source().contains(secret)) {
        let message = format!(
            "the policy holds the secret number {} that it redacts, and the run directory holds the \
             policy: name where the secret is instead",
            place + 1
        );
        return Err(Failure::new(Exit::Data, anyhow!(message)));
    }
    Ok(Redaction { secrets, patterns: redact.patterns.clone() })
}

/// A secret that can be searched for; the message does not repeat it.
fn secret(value: OsString, what: &str) -> Result<String, Failure> {
    let wrong = |why: &str| {
        let message = format!("{what}, which the policy redacts, holds {why}");
        Failure::new(Exit::Data, anyhow!(message))
    };
    let value = value.into_string().map_err(|_| wrong("what is not UTF-8"))?;
    if value.len() < SHORTEST_BYTES {
        let why = format!("fewer than {SHORTEST_BYTES} bytes: it would be found everywhere");
        return Err(wrong(&why));
    }
    Ok(value)
}
