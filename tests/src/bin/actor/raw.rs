//! System calls by name, with numbers and strings as arguments: what matters is whether they are let
//! in at all.

use std::ffi::{CString, OsString};

use libc::c_long;
use nix::errno::Errno;

use crate::{act::NoSuchAct, sys};

/// The bit of the x32 ABI's numbers.
const X32: c_long = 0x4000_0000;

/// The number of a call by its name.
fn number(name: &str) -> Option<c_long> {
    Some(match name {
        "ptrace" => libc::SYS_ptrace,
        "process_vm_readv" => libc::SYS_process_vm_readv,
        "process_vm_writev" => libc::SYS_process_vm_writev,
        "process_madvise" => libc::SYS_process_madvise,
        "migrate_pages" => libc::SYS_migrate_pages,
        "setpriority" => libc::SYS_setpriority,
        "ioprio_set" => libc::SYS_ioprio_set,
        "sched_setparam" => libc::SYS_sched_setparam,
        "sched_setscheduler" => libc::SYS_sched_setscheduler,
        "sched_setattr" => libc::SYS_sched_setattr,
        "clone3" => libc::SYS_clone3,
        "clone" => libc::SYS_clone,
        "unshare" => libc::SYS_unshare,
        "setns" => libc::SYS_setns,
        "mount" => libc::SYS_mount,
        "umount2" => libc::SYS_umount2,
        "open_tree" => libc::SYS_open_tree,
        "fsopen" => libc::SYS_fsopen,
        "move_mount" => libc::SYS_move_mount,
        "mount_setattr" => libc::SYS_mount_setattr,
        "pivot_root" => libc::SYS_pivot_root,
        "chroot" => libc::SYS_chroot,
        "open_by_handle_at" => libc::SYS_open_by_handle_at,
        "setuid" => libc::SYS_setuid,
        "setresuid" => libc::SYS_setresuid,
        "setgroups" => libc::SYS_setgroups,
        "io_uring_enter" => libc::SYS_io_uring_enter,
        "io_uring_register" => libc::SYS_io_uring_register,
        "bpf" => libc::SYS_bpf,
        "perf_event_open" => libc::SYS_perf_event_open,
        "fanotify_init" => libc::SYS_fanotify_init,
        "userfaultfd" => libc::SYS_userfaultfd,
        "finit_module" => libc::SYS_finit_module,
        "init_module" => libc::SYS_init_module,
        "delete_module" => libc::SYS_delete_module,
        "kexec_load" => libc::SYS_kexec_load,
        "reboot" => libc::SYS_reboot,
        "swapoff" => libc::SYS_swapoff,
        "acct" => libc::SYS_acct,
        "iopl" => libc::SYS_iopl,
        "sethostname" => libc::SYS_sethostname,
        "clock_settime" => libc::SYS_clock_settime,
        "adjtimex" => libc::SYS_adjtimex,
        "add_key" => libc::SYS_add_key,
        "request_key" => libc::SYS_request_key,
        "ioctl" => libc::SYS_ioctl,
        "syslog" => libc::SYS_syslog,
        "x32_kill" => X32 | libc::SYS_kill,
        "x32_unlink" => X32 | libc::SYS_unlink,
        _ => return None,
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
