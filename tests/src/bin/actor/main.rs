//! A program that does what it is told, act by act, and says how each act ended.
//!
//! `actor ACT WORDS… , ACT WORDS… , …`: acts are separated by words that are a comma. After each a
//! line of JSON goes to standard output: `act`, `index` (from 0), `tgid` of who did it, `outcome`
//! (`"ok"` or an errno's name) and, where there is one, `value`. A test compares that with the record.
#![deny(unsafe_code)]

mod act;
mod change;
mod daemon;
mod evade;
mod net;
mod raw;
mod schedule;
mod sys;

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use nix::errno::Errno;
use serde_json::json;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut actor = act::Actor::default();
    for (index, act) in words.split(|word| word == ",").enumerate() {
        let Some((name, arguments)) = act.split_first() else {
            eprintln!("actor: act {index} is empty");
            return ExitCode::from(64);
        };
        let name = name.to_string_lossy();
        match actor.act(&name, arguments) {
            Ok(ended) => {
                let mut out = std::io::stdout().lock();
                // Who reads may be gone: the acts are what counts.
                let _ = writeln!(out, "{}", line(&name, index, ended));
                let _ = out.flush();
            }
            Err(act::NoSuchAct(message)) => {
                eprintln!("actor: act {index}, {name}: {message}");
                return ExitCode::from(64);
            }
        }
    }
    ExitCode::SUCCESS
}

/// How one act ended.
fn line(name: &str, index: usize, ended: Result<Option<i64>, Errno>) -> String {
    let outcome = match ended {
        Ok(_) => "ok".to_owned(),
        Err(errno) => format!("{errno:?}"),
    };
    let tgid = std::process::id();
    let mut line = json!({ "act": name, "index": index, "tgid": tgid, "outcome": outcome });
    if let Ok(Some(value)) = ended {
        line["value"] = value.into();
    }
    line.to_string()
}
