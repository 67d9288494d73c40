//! `system_load`: tier 1.

use nix::{sys::sysinfo::sysinfo, unistd::SysconfVar};
use procfs::{Current, LoadAverage, Meminfo};
use serde_json::{Value, json};

use super::{ToolError, argument::arguments, processes::configured, result::Act};

arguments! {
    /// Arguments of `system_load`.
    SystemLoad {}
}

/// Tells how busy the machine is.
pub(crate) fn system_load(_: &SystemLoad) -> Result<Value, ToolError> {
    let load = LoadAverage::current().act("read", "/proc/loadavg")?;
    let memory = Meminfo::current().act("read", "/proc/meminfo")?;
    let uptime = sysinfo().act("ask for", "the uptime")?.uptime();
    Ok(json!({
        "load": ([load.one, load.five, load.fifteen].map(hundredths)),
        "runnable": load.cur,
        "tasks": load.max,
        "cpus": configured(SysconfVar::_NPROCESSORS_ONLN),
        "uptime_seconds": uptime.as_secs(),
        "memory_total_bytes": memory.mem_total,
        "memory_available_bytes": memory.mem_available,
        "swap_total_bytes": memory.swap_total,
        "swap_free_bytes": memory.swap_free,
    }))
}

/// As the kernel writes it: two digits, which a wider number would blur.
fn hundredths(load: f32) -> f64 {
    (f64::from(load) * 100.0).round() / 100.0
}
