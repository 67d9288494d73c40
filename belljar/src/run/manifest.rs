//! What the manifest says of a run: how it begins, and what is in force in it.

use std::{collections::BTreeMap, ffi::OsStr};

use journal::{Enforcer, Manifest, clock::Clock, escape::escape, manifest::ProbeSet};
use nix::sys::utsname::{UtsName, uname};
use observer::watching::boot_ns;
use sandbox::Spawner;
use sha2::{Digest as _, Sha256};

use super::{
    bring_up::Watched,
    host::Host,
    plan::{Agent, Plan},
};
use crate::cli::SettingArgs;

/// The manifest of a run that begins.
pub(super) fn begun(
    arguments: &SettingArgs,
    plan: &Plan,
    host: &Host,
    boot_time_unix_ns: i128,
) -> Manifest {
    let names = uname().ok();
    let of = |name: fn(&UtsName) -> &OsStr| {
        names.as_ref().map(|names| name(names).to_string_lossy().into_owned()).unwrap_or_default()
    };
    Manifest {
        format: 1,
        run: host.run.clone(),
        belljar: env!("CARGO_PKG_VERSION").to_owned(),
        host: of(|names| names.nodename()),
        kernel: of(|names| names.release()),
        boot_time_unix_ns,
        probe_set: None,
        probe_set_reason: None,
        enforcers: BTreeMap::new(),
        labels: BTreeMap::new(),
        addresses: BTreeMap::new(),
        scenario: plan.scenario.name.clone(),
        agent: plan.agent.name(),
        command: match &plan.agent {
            Agent::Command { program, arguments } => std::iter::once(program)
                .chain(arguments)
                .map(|argument| escape(argument.as_encoded_bytes()).into_owned())
                .collect(),
            Agent::Organism { .. } | Agent::Model(_) | Agent::Outside(_) => Vec::new(),
        },
        model: match &plan.agent {
            Agent::Model(model) => Some(model.record()),
            Agent::Organism { .. } | Agent::Command { .. } | Agent::Outside(_) => None,
        },
        replay_of: match &plan.agent {
            Agent::Outside(door) => door.replays().map(str::to_owned),
            Agent::Organism { .. } | Agent::Model(_) | Agent::Command { .. } => None,
        },
        tier: plan.tier,
        mode: plan.mode,
        seed: arguments.seed(),
        uid: host.user.uid(),
        policy_sha256: hex::encode(Sha256::digest(plan.policy.source())),
        start: Clock::new(boot_time_unix_ns).rfc3339(boot_ns()),
        end: None,
        clock_step_ns: None,
        agent_exit: None,
        agent_ended: None,
        invalid: Vec::new(),
    }
}

/// What is in force, in words. What is not is said as well.
pub(super) fn enforcers(
    watched: &Watched,
    spawner: &Spawner,
    gaps: &[String],
    limits: &str,
) -> BTreeMap<Enforcer, String> {
    let mut enforcers = BTreeMap::new();
    if watched.probe_set == ProbeSet::Lsm {
        let text = "every verb on files and processes but fork and exit".to_owned();
        enforcers.insert(Enforcer::BpfLsm, text);
    }
    let text = "connect, bind and send, by address".to_owned();
    enforcers.insert(Enforcer::CgroupBpf, text);
    let ready = spawner.ready();
    let summary = ready.landlock.summary();
    if ready.landlock.extent != sandbox::Extent::NotAsked {
        let mut text = summary.trim_start_matches("landlock: ").to_owned();
        if !gaps.is_empty() {
            text.push_str(&format!("; not: {}", gaps.join("; ")));
        }
        enforcers.insert(Enforcer::Landlock, text);
    }
    if ready.has_seccomp {
        let text = "mounts, namespaces, BPF, io_uring, foreign ABIs and the like".to_owned();
        enforcers.insert(Enforcer::Seccomp, text);
    }
    let dac = format!("a user of its own, no capabilities, no_new_privs; limits: {limits}");
    enforcers.insert(Enforcer::Dac, dac);
    enforcers.insert(Enforcer::Response, "freezing or killing a call's cgroup".to_owned());
    enforcers
}
