//! The secrets that a policy names, found where it says that they are.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context as _, anyhow};
use journal::{
    redact::{Redaction, Redactor, SHORTEST_BYTES},
    words::words,
};
use nix::fcntl::OFlag;
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
            add(&mut secrets, secret(value, &format!("the variable {name}"))?);
        }
    }
    for path in &redact.files {
        let what = format!("the file {}", path.display());
        let text = read(path)
            .with_context(|| format!("cannot read {}, which the policy redacts", path.display()))
            .or_exit(Exit::Data)?;
        let text = String::from_utf8(text)
            .map_err(|_| anyhow!("{what}, which the policy redacts, is not UTF-8"))
            .or_exit(Exit::Data)?;
        add(&mut secrets, secret(text.trim().into(), &what)?);
    }
    refuse_words(&secrets, &redact.patterns)?;
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

/// The most that a file of secrets may hold.
const MOST_BYTES: u64 = 1 << 20;

/// Reads a file that is one: what a device or a pipe gives may have no end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > MOST_BYTES {
        return Err(io::Error::other(format!("it holds more than {MOST_BYTES} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds a secret; of one with many lines each may be written alone.
fn add(secrets: &mut Vec<String>, whole: String) {
    let lines = whole.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_BYTES);
    secrets.extend(lines.map(str::to_owned));
    secrets.push(whole);
}

/// Refuses what occurs in a word of the record's own format: without that word nobody could read the
/// record.
fn refuse_words(secrets: &[String], patterns: &[String]) -> Result<(), Failure> {
    let refused = |what: &str, word: &str| {
        let message = format!(
            "{what} that the policy redacts occurs in `{word}`, a word of the record's own format, which \
             could not be read without it"
        );
        Err(Failure::new(Exit::Data, anyhow!(message)))
    };
    for (number, secret) in secrets.iter().enumerate() {
        if let Some(word) = words().find(|word| word.contains(secret.as_str())) {
            return refused(&format!("the secret number {}", number + 1), word);
        }
    }
    for pattern in patterns {
        let redaction = Redaction { secrets: Vec::new(), patterns: vec![pattern.clone()] };
        // The policy was read, so it is a pattern.
        let Ok(Some(redactor)) = Redactor::new(&redaction) else { continue };
        if let Some(word) = words().find(|word| redactor.text(word) != *word) {
            return refused(&format!("what looks like {pattern:?}"), word);
        }
    }
    Ok(())
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
