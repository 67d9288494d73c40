//! `belljar verify`: proves that a run's journal is whole.

use std::process::ExitCode;

use anyhow::anyhow;
use journal::{RunDir, verify};

use crate::{
    cli::VerifyArgs,
    exit::{Exit, Failure, OrExit as _},
    stdout::outln,
};

/// Verifies a run directory. It needs no privilege but to read it.
pub(crate) fn verify(arguments: &VerifyArgs) -> Result<ExitCode, Failure> {
    let directory = RunDir::open(&arguments.directory).or_exit(Exit::Data)?;
    let key = match &arguments.public_key {
        None => None,
        Some(digits) => Some(verify::public_key(digits).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                anyhow!("--public-key takes 64 hexadecimal digits of an Ed25519 key"),
            )
        })?),
    };
    let verification = verify::verify(&directory, key.as_ref());
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&verification).or_exit(Exit::Software)?);
    } else {
        for problem in &verification.problems {
            outln!("{problem}");
        }
        if verification.holds() {
            let lines = |count: Option<u64>| count.unwrap_or(0);
            outln!(
                "whole: {} effects, {} lines of transcript, signed by {}{}",
                lines(verification.effects),
                lines(verification.transcript),
                verification.public_key.as_deref().unwrap_or("nobody"),
                if verification.key_given {
                    ""
                } else {
                    "\n(the directory agrees with itself; --public-key proves who signed it)"
                },
            );
        }
    }
    let exit = if verification.holds() { ExitCode::SUCCESS } else { Exit::Data.into() };
    Ok(exit)
}
