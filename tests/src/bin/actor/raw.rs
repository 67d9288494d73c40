//! System calls by name, with numbers and strings as arguments: what matters is whether they are let
//! in at all.

use std::ffi::{CString, OsString};

use ebpf_common::syscall::POWERS;
use libc::c_long;
use nix::errno::Errno;

use crate::{act::NoSuchAct, sys};

/// The bit of the x32 ABI's numbers.
const X32: c_long = 0x4000_0000;

/// The number of a call by its name.
fn number(name: &str) -> Option<c_long> {
    Some(match name {
        "setpriority" => libc::SYS_setpriority,
        "ioprio_set" => libc::SYS_ioprio_set,
        "sched_setparam" => libc::SYS_sched_setparam,
        "sched_setscheduler" => libc::SYS_sched_setscheduler,
        "sched_setattr" => libc::SYS_sched_setattr,
        "clone3" => libc::SYS_clone3,
        "syslog" => libc::SYS_syslog,
        "x32_kill" => X32 | libc::SYS_kill,
        "x32_unlink" => X32 | libc::SYS_unlink,
        _ => POWERS.iter().find(|power| power.name == name)?.number.into(),
    })
}

/// Calls what the first word names with what the others say: a number, or `&` and a string.
pub(crate) fn call(words: &[OsString]) -> Result<Result<i64, Errno>, NoSuchAct> {
    let (name, words) = words.split_first().ok_or_else(|| NoSuchAct("no call".to_owned()))?;
    let name = name.to_string_lossy();
    let number = number(&name).ok_or_else(|| NoSuchAct(format!("there is no call {name}")))?;
    // They must live through the call.
    let mut strings = Vec::new();
    let mut arguments = [0; 6];
    for (argument, word) in arguments.iter_mut().zip(words) {
        let word = word.to_string_lossy();
        *argument = match word.strip_prefix('&') {
            Some(text) => {
                let text = CString::new(text).map_err(|_| NoSuchAct("a NUL".to_owned()))?;
                let address = text.as_ptr().expose_provenance() as c_long;
                strings.push(text);
                address
            }
            None => word.parse().map_err(|_| NoSuchAct(format!("{word} is no number")))?,
        };
    }
    let result = sys::call(number, arguments);
    drop(strings);
    Ok(result)
}
