//! Which crate may import which.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::programs;

const USER_SPACE: &[&str] = &[
    "agent-runner",
    "archive",
    "ebpf-common",
    "journal",
    "observer",
    "policy",
    "report",
    "sandbox",
    "scenarios",
    "scoring",
    "studies",
];

/// Every crate, and the crates of ours that it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("agent-runner", &["journal", "policy", "sandbox"]),
    ("archive", &["journal", "scoring"]),
    ("belljar", USER_SPACE),
    ("ebpf-common", &[]),
    ("journal", &["ebpf-common"]),
    ("observer", &["ebpf-common", "journal", "policy"]),
    ("policy", &["ebpf-common"]),
    ("probes", &["ebpf-common"]),
    ("report", &["journal", "scoring"]),
    ("sandbox", &["policy"]),
    ("scenarios", &["journal", "policy", "sandbox"]),
    ("scoring", &["journal", "policy"]),
    ("studies", &["journal", "report", "scoring"]),
    // The tests drive the binary; what they read of it are the formats of its files. The verifier
    // layer loads the observer's programs, the benchmark attaches them to cgroups of its own.
    ("tests", &["ebpf-common", "journal", "observer", "policy", "sandbox"]),
    ("xtask", &[]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Only the crates of this repository are named by a path.
    path: Option<String>,
}

/// Compares `cargo metadata` with the table.
pub(super) fn check() -> Result<Vec<String>> {
    let mut cargo = programs::cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata = serde_json::from_str::<Metadata>(&programs::output(&mut cargo)?)
        .context("cannot read what `cargo metadata` writes")?;
    Ok(broken(&metadata, MAY_IMPORT))
}

fn broken(metadata: &Metadata, table: &[(&str, &[&str])]) -> Vec<String> {
    let mut broken = Vec::new();
    for package in &metadata.packages {
        let Some((_, allowed)) = table.iter().find(|(name, _)| *name == package.name) else {
            broken.push(format!(
                "crate `{}` is not in the table of crates: add it to DESIGN's table and to \
                 xtask/src/check/dependencies.rs",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            if dependency.path.is_some() && !allowed.contains(&dependency.name.as_str()) {
                let allowed = if allowed.is_empty() {
                    "nothing of ours".to_owned()
                } else {
                    allowed.join(", ")
                };
                broken.push(format!(
                    "crate `{}` imports `{}`, but may import only {allowed}",
                    package.name, dependency.name
                ));
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_against_the_direction_is_named() {
        let metadata = serde_json::from_str(
            r#"{"packages": [
                {"name": "policy", "dependencies": [{"name": "toml", "path": null}, {"name": "sandbox", "path": "/r"}]},
                {"name": "new", "dependencies": []}
            ]}"#,
        )
        .unwrap();
        let broken = broken(&metadata, MAY_IMPORT);
        assert_eq!(broken.len(), 2);
        assert_eq!(broken[0], "crate `policy` imports `sandbox`, but may import only ebpf-common");
        assert!(broken[1].starts_with("crate `new` is not in the table"));
    }
}
