//! What a run must not leave behind.

use std::{
    fs,
    path::{Path, PathBuf},
};

use journal::Manifest;

/// Where cgroup v2 is mounted.
///
/// # Panics
///
/// When it is not.
#[must_use]
pub fn cgroups() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut mount = mount.filter(|fields| fields.get(2) == Some(&"cgroup2"));
    PathBuf::from(mount.next().expect("cgroup v2 is mounted")[1])
}

/// Where the pins of a run are.
#[must_use]
pub fn pins(run: &str) -> PathBuf {
    Path::new("/sys/fs/bpf/belljar").join(run)
}

/// Where the files of a run are.
#[must_use]
pub fn stage(run: &str) -> PathBuf {
    Path::new("/var/lib/jobs").join(run)
}

/// Everything of a run that is still there, in words.
#[must_use]
pub fn of(run: &str, uid: u32) -> Vec<String> {
    let mut places = vec![
        cgroups().join("belljar").join(run),
        pins(run),
        stage(run),
        Path::new("/run/belljar").join(format!("{run}.lock")),
        Path::new("/run/belljar/users").join(uid.to_string()),
    ];
    places.retain(|place| place.exists());
    let mut traces: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    traces.extend(processes(uid).map(|tgid| format!("process {tgid} of user {uid}")));
    traces
}

/// Checks that nothing of a run is left.
///
/// # Panics
///
/// When something is.
#[track_caller]
pub fn assert_none(manifest: &Manifest) {
    let traces = of(&manifest.run, manifest.uid);
    assert!(traces.is_empty(), "the run left: {traces:#?}");
}

/// The processes of a user.
pub fn processes(uid: u32) -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").expect("/proc is mounted").flatten().filter_map(move |entry| {
        let tgid = entry.file_name().to_str()?.parse().ok()?;
        // A process that is gone by now is nobody's.
        let status = fs::read(entry.path().join("status")).ok()?;
        let status = String::from_utf8_lossy(&status);
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_whitespace().any(|field| field.parse() == Ok(uid)).then_some(tgid)
    })
}
