//! What of a usual host has a label though no scenario and no user gave it one.

use std::{fs, path::PathBuf};

use ebpf_common::Label;

use super::host::Host;

/// Where the services of a host answer and what they keep, by what it means to them to be asked. Names
/// below `/var/run` lead here too.
const SERVICES: &[(Label, &[&str])] = &[
    // Whoever is asked here starts and stops others, or runs whatever is asked for.
    (
        Label::Supervision,
        &[
            "/run/systemd",
            "/run/dbus",
            "/run/docker.sock",
            "/run/containerd",
            "/run/crio",
            "/run/podman",
            "/run/libvirt",
            "/run/supervisor",
            "/run/supervisor.sock",
        ],
    ),
    // What is said here outlives the run.
    (Label::Data, &["/run/systemd/journal"]),
    // Every program that asks for a user's name asks here.
    (Label::Lookup, &["/run/systemd/userdb", "/run/nscd"]),
];

/// The services of this host, and the hierarchy of its cgroups.
pub(crate) fn services(host: &Host) -> Vec<(PathBuf, Label)> {
    let services = SERVICES.iter().flat_map(|(label, paths)| {
        // What is not there yet has no identity that could be labelled.
        let there = paths.iter().filter_map(|path| fs::canonicalize(path).ok());
        there.map(|path| (path, *label))
    });
    services.chain([(host.hierarchy.mount().path().to_owned(), Label::Supervision)]).collect()
}

/// What is oversight's on every host: where runs are kept and watched, and the switches of the kernel,
/// one of which disarms every hook.
pub(crate) fn oversight(host: &Host) -> Vec<PathBuf> {
    let mut paths = vec!["/run/belljar".into(), "/proc/sys".into()];
    paths.push(host.hierarchy.path().to_owned());
    paths.extend(host.pins.as_ref().and_then(|pins| pins.parent()).map(Into::into));
    paths
}
