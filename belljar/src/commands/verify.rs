//! `belljar verify`: proves that a run's journal is whole, or one effect of it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use journal::{
    RunDir,
    escape::visible,
    key::{KnownKey, Relation},
    proof::{self, Checked, Proof, ProveError},
    verify,
};

use crate::{
    cli::VerifyArgs,
    exit::{Exit, Failure, OrExit as _},
    stdout::outln,
};

/// The longest proof that is read: a line of a journal is shorter by far.
const LONGEST_PROOF: u64 = 16 * 1024 * 1024;

/// Verifies a run directory or a proof. It needs no privilege but to read it.
pub(crate) fn verify(arguments: &VerifyArgs) -> Result<ExitCode, Failure> {
    let key = arguments.public_key.as_deref().map(known_key).transpose()?;
    let is_file = fs::metadata(&arguments.path).is_ok_and(|metadata| metadata.is_file());
    match (&arguments.effect, &arguments.proof) {
        (Some(seq), Some(file)) => prove(arguments, key.as_ref(), *seq, file),
        _ if is_file => check_proof(arguments, key.as_ref()),
        _ => verify_run(arguments, key.as_ref()),
    }
}

/// Digits are never taken for a file's name.
fn known_key(text: &str) -> Result<KnownKey, Failure> {
    if let Some(key) = KnownKey::parse(text) {
        return Ok(key);
    }
    let read = fs::read_to_string(text).ok();
    read.and_then(|text| KnownKey::parse(&text)).ok_or_else(|| {
        let message = "--public-key takes 64 hexadecimal digits of an Ed25519 key, or a file with \
                       what `belljar key show --json` printed";
        Failure::new(Exit::Usage, anyhow!(message))
    })
}

fn verify_run(arguments: &VerifyArgs, key: Option<&KnownKey>) -> Result<ExitCode, Failure> {
    let directory = RunDir::open(&arguments.path).or_exit(Exit::Data)?;
    let verification = verify::verify(&directory, key);
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&verification).or_exit(Exit::Software)?);
    } else {
        print_all(&verification.problems)?;
        if verification.holds() {
            let lines = |count: Option<u64>| count.unwrap_or(0);
            outln!(
                "whole: {} effects, {} lines of transcript, signed by {}{}",
                lines(verification.effects),
                lines(verification.transcript),
                visible(verification.public_key.as_deref().unwrap_or("nobody")),
                trust("directory", verification.key_relation),
            );
        }
    }
    Ok(code(verification.holds()))
}

/// What the signature means for who verifies.
fn trust(what: &str, relation: Option<Relation>) -> String {
    match relation {
        None => format!("\n(the {what} agrees with itself; --public-key proves who signed it)"),
        Some(Relation::Same) => String::new(),
        Some(Relation::Successor) => "\n(which the key given was rotated to)".to_owned(),
        Some(Relation::Predecessor) => "\n(which was rotated to the key given)".to_owned(),
    }
}

fn prove(
    arguments: &VerifyArgs,
    key: Option<&KnownKey>,
    seq: u64,
    file: &Path,
) -> Result<ExitCode, Failure> {
    let directory = RunDir::open(&arguments.path).or_exit(Exit::Data)?;
    let proof = match proof::prove(&directory, seq) {
        Ok(proof) => proof,
        Err(error) => {
            if let ProveError::NotWhole { problems } = &error {
                print_all(problems)?;
            }
            return Err(Failure::new(Exit::Data, error));
        }
    };
    // Who names a key wants no proof that another has signed.
    let checked = proof.check(key);
    if checked.holds() {
        let text = serde_json::to_string_pretty(&proof).or_exit(Exit::Software)? + "\n";
        // It may be handed on, but what is in it is the owner's until he does.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot create {}", file.display()))
            .or_exit(Exit::CannotCreate)?;
    }
    tell(arguments, &checked)
}

fn check_proof(arguments: &VerifyArgs, key: Option<&KnownKey>) -> Result<ExitCode, Failure> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(&arguments.path)?.take(LONGEST_PROOF).read_to_string(&mut text)?;
        Ok(text)
    };
    let name = arguments.path.display();
    let text = read().with_context(|| format!("cannot read {name}")).or_exit(Exit::Data)?;
    let proof: Proof = serde_json::from_str(&text)
        .with_context(|| format!("{name} is neither a run directory nor a proof"))
        .or_exit(Exit::Data)?;
    tell(arguments, &proof.check(key))
}

fn tell(arguments: &VerifyArgs, checked: &Checked) -> Result<ExitCode, Failure> {
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(checked).or_exit(Exit::Software)?);
    } else {
        print_all(&checked.problems)?;
        if checked.holds() {
            let seq = &checked.effect["seq"];
            outln!(
                "proved: effect {seq} of run {}, line {} of {}, signed by {}{}",
                visible(&checked.run),
                checked.line,
                checked.effects,
                visible(&checked.public_key),
                trust("proof", checked.key_relation),
            );
            let effect = serde_json::to_string_pretty(&checked.effect).or_exit(Exit::Software)?;
            for line in effect.lines() {
                outln!("{}", visible(line));
            }
        }
    }
    Ok(code(checked.holds()))
}

fn print_all<T: ToString>(problems: &[T]) -> Result<(), Failure> {
    for problem in problems {
        outln!("{}", visible(&problem.to_string()));
    }
    Ok(())
}

fn code(holds: bool) -> ExitCode {
    if holds { ExitCode::SUCCESS } else { Exit::Data.into() }
}
