//! `belljar doctor`: what this host can see and enforce.

use std::os::unix::net::UnixStream;

use journal::manifest::ProbeSet;
use observer::{
    gate::SOCKET,
    probes::{Probes, RunsAt},
};
use sandbox::CgroupMount;
use serde::Serialize;

use crate::{
    cli::JsonArgs,
    exit::{Exit, Failure, OrExit as _},
    run::{PINS, bpf_file_system},
    stdout::outln,
};

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    works: bool,
    finding: String,
}

/// Looks at the host and prints what it found.
pub(crate) fn doctor(arguments: &JsonArgs) -> Result<(), Failure> {
    let findings = examine();
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&findings).or_exit(Exit::Software)?);
        return Ok(());
    }
    for Finding { what, works, finding } in &findings {
        outln!("{} {what:<12} {finding}", if *works { "yes" } else { "no " });
    }
    outln!("\nWhat that means for a policy: belljar policy explain");
    Ok(())
}

fn examine() -> Vec<Finding> {
    let told = |what, result: Result<String, String>| Finding {
        what,
        works: result.is_ok(),
        finding: result.unwrap_or_else(|error| error),
    };
    let (set, reason) = probe_set();
    let mut findings = vec![
        told(
            "privilege",
            sandbox::host::check_privilege()
                .map(|()| "root with all that a sandbox needs".to_owned())
                .map_err(|error| error.to_string()),
        ),
        told(
            "cgroup v2",
            CgroupMount::find()
                .map(|mount| format!("mounted at {}", mount.path().display()))
                .map_err(|error| error.to_string()),
        ),
        told(
            "probes",
            set.map(|set| format!("the {} set loads", set.name()))
                .ok_or_else(|| reason.clone().unwrap_or_default()),
        ),
        told(
            "bpf-lsm",
            if set == Some(ProbeSet::Lsm) {
                Ok("decides before an act happens".to_owned())
            } else {
                let reason = reason.unwrap_or_else(|| "not asked".to_owned());
                Err(format!(
                    "{reason}; boot with `bpf` in the kernel parameter lsm=, on a kernel that allows trampolines"
                ))
            },
        ),
        told(
            "cgroup-bpf",
            set.map(|_| "decides on connect, bind and send, by address".to_owned())
                .ok_or_else(|| "no probes load".to_owned()),
        ),
        told(
            "landlock",
            sandbox::host::landlock_abi()
                .map(|abi| {
                    let signals = if abi >= 6 { "" } else { "; signals need ABI 6, Linux 6.12" };
                    format!("ABI {abi}{signals}")
                })
                .ok_or_else(|| {
                    "the kernel has none, or boots without it: add `landlock` to lsm=".to_owned()
                }),
        ),
    ];
    findings.push(told(
        "seccomp",
        if sandbox::host::has_seccomp() {
            Ok("filters can be installed".to_owned())
        } else {
            Err("the kernel lacks CONFIG_SECCOMP_FILTER".to_owned())
        },
    ));
    findings.push(told(
        "pins",
        if bpf_file_system() {
            Ok(format!("below {PINS}: probes outlive an observer that dies"))
        } else {
            Err("mount -t bpf bpf /sys/fs/bpf, else probes end with the observer".to_owned())
        },
    ));
    findings.push(told(
        "observer",
        match UnixStream::connect(SOCKET) {
            Ok(_) => Ok(format!("a resident one listens on {SOCKET}")),
            Err(_) => {
                Err("none is resident: each run loads the probes for itself (belljar watch)".into())
            }
        },
    ));
    findings
}

/// The probe set that loads here, and why not a better one. Found out by loading it.
pub(crate) fn probe_set() -> (Option<ProbeSet>, Option<String>) {
    if let Err(error) = sandbox::host::check_privilege() {
        return (None, Some(format!("whether probes load is not known: {error}")));
    }
    // Any level will do: nobody is watched.
    match Probes::load(RunsAt { level: 2, parent: 0 }, None) {
        Ok(probes) => (Some(probes.set), probes.reason.clone()),
        Err(error) => (None, Some(format!("{:#}", anyhow::Error::from(error)))),
    }
}
