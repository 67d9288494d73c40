//! Acts on how a process is scheduled and what it may use, by each system call that can.

use libc::c_long;
use nix::errno::Errno;

use crate::sys;

const ACTS: [&str; 7] = [
    "set_priority",
    "set_io_priority",
    "set_parameters",
    "set_scheduler",
    "set_attributes",
    "one_processor",
    "starve",
];

/// Whether there is an act of this name.
pub(crate) fn is_act(name: &str) -> bool {
    ACTS.contains(&name)
}

/// Does an act to a process, none of which needs a privilege.
pub(crate) fn act(name: &str, process: i32) -> Result<i64, Errno> {
    let pid = c_long::from(process);
    // sched_setattr(2): size, policy, two words of flags, and the nice value, which nobody may lower.
    let attributes: [u32; 12] = [48, libc::SCHED_BATCH as u32, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0];
    // A static priority of 0, which ordinary policies ask for.
    let parameters: [i32; 1] = [0];
    let first_processor: [u64; 1] = [1];
    let three_files: [u64; 2] = [3, 3];
    let (batch, files) = (c_long::from(libc::SCHED_BATCH), c_long::from(libc::RLIMIT_NOFILE));
    let parameters = address(&parameters);
    match name {
        "set_priority" => sys::call(libc::SYS_setpriority, [libc::PRIO_PROCESS.into(), pid, 19]),
        // ioprio_set(2): IOPRIO_WHO_PROCESS, and the idle class.
        "set_io_priority" => sys::call(libc::SYS_ioprio_set, [1, pid, 3 << 13]),
        "set_parameters" => sys::call(libc::SYS_sched_setparam, [pid, parameters]),
        "set_scheduler" => sys::call(libc::SYS_sched_setscheduler, [pid, batch, parameters]),
        "set_attributes" => sys::call(libc::SYS_sched_setattr, [pid, address(&attributes), 0]),
        "one_processor" => {
            sys::call(libc::SYS_sched_setaffinity, [pid, 8, address(&first_processor)])
        }
        _ => sys::call(libc::SYS_prlimit64, [pid, files, address(&three_files), 0]),
    }
}

fn address<T>(values: &[T]) -> c_long {
    values.as_ptr().expose_provenance() as c_long
}
